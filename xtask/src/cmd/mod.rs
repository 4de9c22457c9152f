// SPDX-License-Identifier: GPL-2.0-only
//! One file a subcommand: glue only.

pub mod bench;
pub mod doctor;
pub mod judge;
mod lab;
pub mod test;

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

/// Ends the record, prints the outcome, and gives the exit code.
fn conclude(lab: &Lab, outcome: Outcome, json: bool) -> Result<u8, Error> {
    // What was measured is told even if it cannot be kept.
    let outcome = match lab.run.finish(&outcome) {
        Ok(()) => outcome,
        Err(error) => not_kept(outcome, &error),
    };
    print(&outcome, json)?;
    Ok(outcome.exit)
}
