// SPDX-License-Identifier: GPL-2.0-only
//! One file a subcommand: glue only.

pub mod bench;
pub mod bisect;
pub mod clean;
pub mod completions;
pub mod debug;
pub mod doctor;
pub mod du;
mod hand;
pub mod judge;
mod lab;
pub mod logs;
pub mod man;
pub mod matrix;
pub mod nightly;
pub mod open;
pub mod report;
mod rerun;
pub mod results;
pub mod review;
pub mod series;
pub mod shell;
pub mod storm;
pub mod test;
pub mod watch;

use anyhow::Context;

use crate::error::Error;
use crate::judge::not_kept;
use crate::measure::Lab;
use crate::outcome::Outcome;
use crate::report::table::{self, Look};

/// Prints an outcome on standard output: one JSON object, or the table.
fn print(outcome: &Outcome, json: bool) -> Result<(), Error> {
    if json {
        println!("{}", serde_json::to_string(outcome).context("cannot serialise the outcome")?);
    } else {
        print!("{}", table::render(outcome, Look::of_stdout()));
    }
    Ok(())
}

/// Writes to standard output; who stops reading it, as `head` does, has had enough.
fn write_out(bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output").map_err(Error::from)
        }
        _ => Ok(()),
    }
}

/// Ends the record.
fn finish(lab: &Lab, outcome: Outcome) -> Outcome {
    // What was measured is told even if it cannot be kept.
    match lab.run.finish(&outcome) {
        Ok(()) => outcome,
        Err(error) => not_kept(outcome, &error),
    }
}
