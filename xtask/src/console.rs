// SPDX-License-Identifier: GPL-2.0-only
//! the console scanner and its table of patterns (pure).
