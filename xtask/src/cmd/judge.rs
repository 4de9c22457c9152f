// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask judge`: the verdict of a stored run, from its record alone.

use std::path::Path;

use anyhow::Context;

use super::{print, storm};
use crate::cli::JudgeArgs;
use crate::error::Error;
use crate::file;
use crate::outcome::Outcome;
use crate::report::readme;
use crate::store::{self, RunInfo};
use crate::storm::Report;

/// Judges and prints; the exit code is the outcome's.
///
/// # Errors
/// There is no such run, or its record cannot be read.
pub fn run(args: &JudgeArgs, checkout: &Path) -> Result<u8, Error> {
    let dir = store::find(checkout, args.run.as_deref())?;
    let outcome = store::judge_again(&dir)?;
    if let Some((_, Some(report), boots)) = store::storms_again(&dir)? {
        let report = Report { run: outcome.run, ..report };
        storm::show(&report, args.json)?;
        if args.reference {
            storm::keep_evidence(&report, &boots, checkout)?;
        }
        return Ok(outcome.exit);
    }
    print(&outcome, args.json)?;
    if args.reference {
        keep(&outcome, &store::read_info(&dir)?, checkout)?;
    }
    Ok(outcome.exit)
}

/// Writes the evidence, and brings README's table into step with all of it.
fn keep(outcome: &Outcome, info: &RunInfo, checkout: &Path) -> Result<(), Error> {
    for reference in store::reference(outcome, info)? {
        let path = store::write_reference(checkout, &reference)?;
        eprintln!("wrote {}", path.display());
    }
    let path = checkout.join("README.md");
    let show = || format!("cannot bring {} into step", path.display());
    let text = std::fs::read_to_string(&path).with_context(show)?;
    let text = readme::replace(&text, &store::read_references(checkout)?).with_context(show)?;
    file::write(&path, text.as_bytes()).with_context(show)?;
    Ok(())
}
