// SPDX-License-Identifier: GPL-2.0-only
//! one patch file: its parts, and how each hunk meets a file (pure).
