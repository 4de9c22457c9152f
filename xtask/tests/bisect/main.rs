// SPDX-License-Identifier: GPL-2.0-only
//! The bisection on synthetic histories: its core against brute force and git, its
//! shell with an oracle made of a table.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod bisect_flaky;
mod bisect_git;
mod bisect_history;
mod bisect_honest;
mod bisect_log;
mod clone;
mod shell;
mod support;
