// SPDX-License-Identifier: GPL-2.0-only
//! the cache folder: its layout and its locks.
