// SPDX-License-Identifier: GPL-2.0-only
//! The bisection's core on synthetic histories, against brute force and git.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod bisect_flaky;
mod bisect_git;
mod bisect_history;
mod bisect_honest;
mod bisect_log;
mod bisect_quantity;
mod support;
