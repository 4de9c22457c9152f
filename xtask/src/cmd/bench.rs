// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench`: this tool's own budgets, as ratios in one run.
//!
//! Owns: what the arguments mean, and what is printed where.

use std::path::Path;

use anyhow::Context;

use crate::bench::{self, Ask};
use crate::cli::BenchArgs;
use crate::error::Error;
use crate::progress::Progress;
use crate::report::table::Look;
use crate::verdict::Verdict;

/// Measures and prints. The exit code is 0 if everything was measured, whether a
/// budget is met or not, and 110 if a row has no sample.
///
/// # Errors
/// The target cannot be tested at all, or we are interrupted.
pub fn run(args: &BenchArgs, checkout: &Path) -> Result<u8, Error> {
    let ask = Ask { target: args.target.clone(), runs: args.runs, cold: args.cold, rows: args.row.clone() };
    let report = bench::measure(&ask, checkout, &Progress::new(args.quiet))?;
    if args.json {
        println!("{}", report.json().context("cannot serialise the report")?);
    } else {
        print!("{}", report.render(Look::of_stdout()));
    }
    Ok(if report.is_whole() { 0 } else { Verdict::Infra.exit_code() })
}
