// SPDX-License-Identifier: GPL-2.0-only
//! the source folder that make sees, switched from side to side.
