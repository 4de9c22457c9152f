// SPDX-License-Identifier: GPL-2.0-only
//! Parses and dispatches; what runs is in the modules.

fn main() {}
