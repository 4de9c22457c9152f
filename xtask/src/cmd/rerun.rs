// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask results rerun`: a stored run again, from its record.
//!
//! Owns: which command that is, and what is printed where.

use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Parser;
use serde_json::json;

use super::lab::{Record, Repeat};
use super::{matrix, print, test};
use crate::cli::{Cli, Command, RerunArgs};
use crate::diff;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::repeat;
use crate::report;
use crate::report::table::Look;
use crate::store;

/// Runs it again; the exit code is the new run's, or else the comparison's.
///
/// # Errors
/// As [`Error`] lists; [`Error::Usage`] if its command cannot be made again.
pub(super) fn run(args: &RerunArgs, checkout: &Path) -> Result<u8, Error> {
    let dir = store::find(checkout, args.run.as_deref())?;
    let then = store::evidence(checkout, Some(&dir.display().to_string()))?;
    let id = dir.file_name().context("a run's folder has no name")?.to_string_lossy().into_owned();
    let repeat = Repeat { id, info: then.info.clone().context("a run has no description")? };
    let outcome = again(args, checkout, &repeat)?;

    let now = store::evidence(checkout, outcome.run.as_deref())?;
    let changed = repeat::differences(&then, &now);
    let lines = diff::compare(&then, &now, &store::history(checkout)?);
    let exit = if outcome.exit == 0 { diff::exit_code(lines.iter().map(|line| line.change)) } else { outcome.exit };
    if args.manners.json {
        let all = json!({
            "schema": 1, "repeats": repeat.id, "exit": exit, "changed": changed, "lines": lines, "outcome": outcome
        });
        println!("{all}");
        return Ok(exit);
    }
    if outcome.targets.len() > 1 {
        print!("{}", report::matrix::render(&outcome, Look::of_stdout()));
    } else {
        print(&outcome, false)?;
    }
    println!();
    for line in &changed {
        println!("not the same: {line}");
    }
    let names = [&then, &now].map(|evidence| evidence.outcome.run.as_deref().unwrap_or_default());
    print!("{}", report::diff::render(&lines, names, Look::of_stdout()));
    Ok(exit)
}

/// The command of the record.
fn again(args: &RerunArgs, checkout: &Path, repeat: &Repeat) -> Result<Outcome, Error> {
    let info = &repeat.info;
    let unknown = || {
        Error::Usage(anyhow!("{} cannot be made again from its record: it was made by `{}`", repeat.id, info.replay))
    };
    match Cli::try_parse_from(&info.argv).map_err(|_| unknown())?.command {
        Command::Test(mut test) => {
            test.measure.boot.manners = args.manners;
            test::measure(&test, checkout, Record::Again(repeat))
        }
        Command::Matrix(mut matrix) => {
            matrix.measure.boot.manners = args.manners;
            matrix::measure(matrix, checkout, Record::Again(repeat))
        }
        Command::Nightly(nightly) => {
            let mut matrix = nightly.matrix();
            matrix.measure.boot.manners = args.manners;
            matrix::measure(matrix, checkout, Record::Again(repeat))
        }
        _ => Err(unknown()),
    }
}
