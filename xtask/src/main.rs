// SPDX-License-Identifier: GPL-2.0-only
//! Parses, dispatches, maps errors to exit codes.

fn main() {}
