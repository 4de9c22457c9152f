// SPDX-License-Identifier: GPL-2.0-only
//! configure and build one side.
