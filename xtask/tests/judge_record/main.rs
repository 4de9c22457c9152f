// SPDX-License-Identifier: GPL-2.0-only
//! From stored transcripts to verdicts, records and renderings: no kernel needed.

mod builder;
mod judge_mutations;
mod judge_side;
mod judge_target;
mod report_render;
mod store_run;
