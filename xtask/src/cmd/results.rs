// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask results`: what is stored, and what changed.

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::print;
use crate::cli::{DiffArgs, ListArgs, MergeArgs, ResultsArgs, ResultsVerb, ShowArgs};
use crate::diff;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::report;
use crate::report::table::Look;
use crate::store::{self, Evidence};
use crate::verdict::Verdict;

/// Dispatches.
///
/// # Errors
/// There is no such run, or its record cannot be read.
pub fn run(args: &ResultsArgs, checkout: &Path) -> Result<u8, Error> {
    match &args.verb {
        ResultsVerb::List(args) => list(args, checkout),
        ResultsVerb::Show(args) => show(args, checkout),
        ResultsVerb::Diff(args) => compare(args, checkout),
        ResultsVerb::Rerun(args) => super::rerun::run(args, checkout),
        ResultsVerb::Merge(args) => merge(args, checkout),
    }
}

fn list(args: &ListArgs, checkout: &Path) -> Result<u8, Error> {
    let mut entries = store::entries(checkout)?;
    entries.reverse();
    if args.json {
        println!("{}", serde_json::to_string(&entries).context("cannot serialise the list")?);
    } else {
        print!("{}", report::list::render(&entries, Look::of_stdout()));
    }
    Ok(0)
}

fn show(args: &ShowArgs, checkout: &Path) -> Result<u8, Error> {
    let Evidence { outcome, .. } = store::evidence(checkout, args.run.as_deref())?;
    if !args.json && outcome.targets.len() > 1 {
        print!("{}", report::matrix::render(&outcome, Look::of_stdout()));
    } else {
        print(&outcome, args.json)?;
    }
    Ok(0)
}

fn compare(args: &DiffArgs, checkout: &Path) -> Result<u8, Error> {
    let before = store::evidence(checkout, Some(&args.before))?;
    let after = store::evidence(checkout, args.after.as_deref())?;
    let lines = diff::compare(&before, &after, &store::history(checkout)?);
    let names = [&before, &after].map(name);
    let exit = diff::exit_code(lines.iter().map(|line| line.change));
    if args.json {
        let [before, after] = names;
        let all = json!({ "schema": 1, "before": before, "after": after, "exit": exit, "lines": lines });
        println!("{all}");
    } else {
        print!("{}", report::diff::render(&lines, names, Look::of_stdout()));
    }
    Ok(exit)
}

fn merge(args: &MergeArgs, checkout: &Path) -> Result<u8, Error> {
    let merged = store::merge(checkout, &args.stores)?;
    for left in &merged.left {
        eprintln!("left: {left}");
    }
    eprintln!("{} runs taken over, {} were here before", merged.taken.len(), merged.known.len());
    let outcomes: Vec<Outcome> =
        merged.results.iter().map(|dir| store::stored_outcome(dir)).collect::<Result<_, _>>()?;
    if args.json {
        println!("{}", serde_json::to_string(&outcomes).context("cannot serialise the results")?);
    } else {
        for outcome in &outcomes {
            print!("{}", report::matrix::render(outcome, Look::of_stdout()));
        }
    }
    // What is not there is no pass.
    let missing = (!merged.left.is_empty()).then_some(Verdict::Inconclusive);
    let worst = outcomes.iter().map(|outcome| outcome.verdict).chain(missing).max();
    Ok(worst.unwrap_or(Verdict::Inconclusive).exit_code())
}

fn name(evidence: &Evidence) -> &str {
    evidence.outcome.run.as_deref().unwrap_or(store::REFERENCE)
}
