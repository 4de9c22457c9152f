// SPDX-License-Identifier: GPL-2.0-only
//! The bisection's core on synthetic histories, against brute force and git.

mod bisect_flaky;
mod bisect_git;
mod bisect_history;
mod bisect_honest;
mod bisect_log;
mod bisect_quantity;
mod support;
