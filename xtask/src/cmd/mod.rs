// SPDX-License-Identifier: GPL-2.0-only
//! One file a subcommand: glue only.

pub mod bench;
pub mod doctor;
pub mod test;
