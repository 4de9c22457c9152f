// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask nightly`: a matrix in a time and on a disk, against the nights before.
//!
//! Owns: the order of it, and what is printed where.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use clap::Parser;
use serde_json::json;

use super::finish;
use super::lab::{self, Record};
use super::report::rendered;
use crate::cache::{Cache, Lock};
use crate::cli::{Cli, Command, MatrixArgs, NightlyArgs};
use crate::error::Error;
use crate::file;
use crate::judge;
use crate::matrix;
use crate::nightly::{self, REPORTS, disk};
use crate::progress::Progress;
use crate::regress;
use crate::report;
use crate::report::table::Look;
use crate::store::{self, Disk, Evidence, NightInfo, RunDir, RunInfo, Stored};

/// In results/runs; hidden, so that it is no run.
const LOCK: &str = ".nightly.lock";

/// Runs it.
///
/// # Errors
/// As [`Error`] lists; [`Error::Infra`] if another night is under way.
pub fn run(args: &NightlyArgs, checkout: &Path) -> Result<u8, Error> {
    if let Some(run) = &args.tell {
        let dir = store::find(checkout, Some(run))?;
        let (evidence, night) = compared(&dir, checkout)?;
        return print(&evidence, &night, args.measure.boot.manners.json);
    }
    let progress = Progress::new(args.measure.boot.manners.quiet);
    let runs = checkout.join(store::RUNS);
    file::make_dir(&runs)?;
    let _alone =
        Lock::acquire_within(&runs.join(LOCK), "a night", Duration::ZERO, &Progress::silent()).map_err(|error| {
            if matches!(error, Error::Interrupted) {
                error
            } else {
                Error::Infra(anyhow!("another night is under way: {error}"))
            }
        })?;
    let argv: Vec<String> = std::env::args().collect();
    let begun = nightly::unfinished(checkout, &argv, jiff::Timestamp::now())?;
    let before = pruned(args, checkout, begun.as_deref().map(id).as_deref(), &progress)?;
    let dir = match begun {
        Some(dir) if store::is_over(&dir) => dir,
        begun => measure(args, checkout, begun.as_deref(), &progress)?,
    };
    let (mut evidence, mut night) = compared(&dir, checkout)?;
    let after = pruned(args, checkout, Some(&id(&dir)), &progress)?;
    night.disk = both(before, after);
    evidence.night = Some(night.clone());
    let history = store::history(checkout)?;
    for (name, format) in REPORTS {
        file::write(&dir.join(name), rendered(&evidence, format, &history)?.as_bytes())?;
    }
    store::write_night(&dir, &night)?;
    print(&evidence, &night, args.measure.boot.manners.json)
}

fn id(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn pruned(
    args: &NightlyArgs,
    checkout: &Path,
    night: Option<&str>,
    progress: &Progress,
) -> Result<Option<Disk>, Error> {
    let Some(budget) = args.disk else { return Ok(None) };
    disk::prune(&Cache::open()?, checkout, night, budget.as_u64(), progress).map(Some)
}

/// What was done before the night and after it.
fn both(before: Option<Disk>, after: Option<Disk>) -> Option<Disk> {
    let (before, after) = (before?, after?);
    let pruned = before.pruned.into_iter().chain(after.pruned).collect();
    Some(Disk { before: before.before, pruned, ..after })
}

/// Measures what is not measured yet, and ends the run; its folder.
fn measure(
    args: &NightlyArgs,
    checkout: &Path,
    begun: Option<&Path>,
    progress: &Progress,
) -> Result<std::path::PathBuf, Error> {
    let record = match begun {
        Some(dir) => {
            progress.say(format!("going on with {}", dir.display()));
            Record::Begun(RunDir::reopen(dir)?, Box::new(store::read_info(dir)?))
        }
        None => Record::New,
    };
    let choice = chosen(&args.matrix(), checkout)?;
    let history = store::history(checkout)?;
    let mut lab = lab::open(&args.measure, checkout, record)?;
    lab.cache.asked_since = started(&lab.info);
    let left_out = choice.left_out.clone();
    let measured = nightly::measure(&mut lab, choice, args.budget, &history, &mut |lab, target, tree| {
        matrix::one(lab, target, tree).map(Some)
    })?;
    let outcome = judge::outcome(&lab.info.accel, measured.outcomes, Some(lab.run.name().to_owned()));
    let mut outcome = judge::incomplete(outcome, measured.left);
    outcome.reasons.extend(left_out);
    finish(&lab, outcome);
    Ok(lab.run.dir().to_owned())
}

fn chosen(args: &MatrixArgs, checkout: &Path) -> Result<matrix::Choice, Error> {
    matrix::choose(&checkout.join("patches"), &args.targets, &args.linux)
}

/// When the night began: what the archive said before that is of another day.
fn started(info: &RunInfo) -> Option<SystemTime> {
    info.started.parse().ok().map(|started: jiff::Timestamp| started.into())
}

/// A run, and what it shows against the nights before it.
fn compared(dir: &Path, checkout: &Path) -> Result<(Evidence, NightInfo), Error> {
    let mut evidence = store::evidence(checkout, Some(&dir.display().to_string()))?;
    let info = evidence.info.clone().context("a run has no description")?;
    let run = Stored { id: id(dir), info, outcome: Some(evidence.outcome.clone()) };
    let past = nightly::past(checkout, &store::history(checkout)?, &run)?;
    let tonight = regress::Night::of(&run).context("a run has no outcome")?;
    let (chosen, named) = wanted(&run.info, checkout);
    let told = regress::compare(&past, &tonight, &nightly::asked(&run.info, &chosen, named, &past));
    let mut night = NightInfo::new(evidence.outcome.run.as_deref().unwrap_or_default());
    night.exit = match (told.exit_code(), evidence.outcome.exit) {
        (100, _) => 100,
        (told, 0) => told,
        (_, exit) => exit,
    };
    night.against = past.into_iter().map(|night| night.run).collect();
    (night.lines, night.unchanged) = (told.lines, told.unchanged);
    night.disk = store::read_night(dir)?.and_then(|told| told.disk);
    evidence.night = Some(night.clone());
    Ok((evidence, night))
}

/// The targets that a run was to measure, and whether its user named them.
fn wanted(info: &RunInfo, checkout: &Path) -> (Vec<String>, bool) {
    let measured = || info.targets.iter().map(|target| target.target.clone()).collect::<Vec<_>>();
    let args = match Cli::try_parse_from(&info.argv).map(|cli| cli.command) {
        Ok(Command::Nightly(args)) => args.matrix(),
        Ok(Command::Matrix(args)) => args,
        // Whatever it is, it is what it measured.
        _ => return (measured(), true),
    };
    let names = |choice: matrix::Choice| choice.chosen.into_iter().map(|(target, _)| target.name).collect();
    (chosen(&args, checkout).map_or_else(|_| measured(), names), !args.targets.is_empty())
}

fn print(evidence: &Evidence, night: &NightInfo, json: bool) -> Result<u8, Error> {
    if json {
        println!("{}", json!({ "schema": 1, "night": night, "outcome": evidence.outcome }));
    } else {
        print!("{}", report::matrix::render(&evidence.outcome, Look::of_stdout()));
        print!("\n{}", report::night::render(night, Look::of_stdout()));
    }
    Ok(night.exit)
}
