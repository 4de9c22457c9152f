// SPDX-License-Identifier: GPL-2.0-only
//! Where a kernel tree comes from.

pub mod archive;
pub mod debian;
pub mod git;
pub mod import;
