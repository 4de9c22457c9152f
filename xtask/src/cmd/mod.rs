// SPDX-License-Identifier: GPL-2.0-only
//! One file a subcommand: glue only.

pub mod bench;
pub mod doctor;
pub mod judge;
pub mod test;

use anyhow::Context;

use crate::error::Error;
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
