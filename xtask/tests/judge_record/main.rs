// SPDX-License-Identifier: GPL-2.0-only
//! From stored transcripts to verdicts, records and renderings: no kernel needed.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod builder;
mod judge_behaviour;
mod judge_mutations;
mod judge_side;
mod judge_stress;
mod judge_target;
mod repeat;
mod report_formats;
mod report_page;
mod report_render;
mod results_diff;
mod store_merge;
mod store_run;
mod told;
