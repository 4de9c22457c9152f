// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask matrix`: every target, one table.
//!
//! Owns: what the arguments mean, those of a resumed run included, and what is
//! printed where.

use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Parser;

use super::finish;
use super::lab::{self, Record};
use crate::cli::{Cli, Command, MatrixArgs, MeasureArgs};
use crate::error::Error;
use crate::jobs;
use crate::judge;
use crate::matrix;
use crate::outcome::Outcome;
use crate::report;
use crate::report::table::Look;
use crate::store::{self, RunDir, RunInfo};
use crate::target::Target;

/// Runs it; the exit code is that of the worst target.
///
/// # Errors
/// As [`Error`] lists.
pub fn run(args: &MatrixArgs, checkout: &Path) -> Result<u8, Error> {
    if args.plan {
        return plan(args, checkout);
    }
    let result = match &args.resume {
        Some(run) => resume(args, run, checkout),
        None => told(args.clone(), checkout, Record::New),
    };
    if matches!(result, Err(Error::Interrupted)) {
        eprintln!("what is finished is kept: go on with `cargo xtask matrix --resume`");
    }
    result
}

/// Its jobs, as JSON.
fn plan(args: &MatrixArgs, checkout: &Path) -> Result<u8, Error> {
    let choice = matrix::choose(&checkout.join("patches"), &args.targets, &args.linux)?;
    let plan = jobs::plan(&choice);
    println!("{}", serde_json::to_string(&plan).context("cannot serialise the plan")?);
    Ok(0)
}

/// The arguments of the matrix that is the job alone, if one is named.
fn alone(args: MatrixArgs, checkout: &Path) -> Result<MatrixArgs, Error> {
    let Some(id) = &args.job else { return Ok(args) };
    let (target, config) = jobs::named(&Target::names(&checkout.join("patches"))?, id)?;
    let measure = MeasureArgs { config, ..args.measure };
    Ok(MatrixArgs { targets: vec![target], measure, job: None, ..args })
}

/// The same command line again, with the record that it began.
fn resume(args: &MatrixArgs, run: &str, checkout: &Path) -> Result<u8, Error> {
    let dir = match run {
        "" => store::unfinished(checkout, |info| recorded(info).is_some())?,
        run => store::find(checkout, Some(run))?,
    };
    let info = store::read_info(&dir)?;
    let Some(mut recorded) = recorded(&info) else {
        return Err(Error::Usage(anyhow!("{} is no run of `matrix`: it was made by {}", dir.display(), info.replay)));
    };
    recorded.measure.boot.manners = args.measure.boot.manners;
    told(recorded, checkout, Record::Begun(RunDir::reopen(&dir)?, Box::new(info)))
}

/// The arguments of the matrix that made this record.
fn recorded(info: &RunInfo) -> Option<MatrixArgs> {
    match Cli::try_parse_from(&info.argv).ok()?.command {
        Command::Matrix(args) => Some(args),
        _ => None,
    }
}

fn told(args: MatrixArgs, checkout: &Path, record: Record<'_>) -> Result<u8, Error> {
    let json = args.measure.boot.manners.json;
    let outcome = measure(args, checkout, record)?;
    if json {
        println!("{}", serde_json::to_string(&outcome).context("cannot serialise the outcome")?);
    } else {
        print!("{}", report::matrix::render(&outcome, Look::of_stdout()));
    }
    Ok(outcome.exit)
}

/// From the arguments, which may name a job, to the outcome, which is stored.
///
/// # Errors
/// As [`Error`] lists.
pub(super) fn measure(args: MatrixArgs, checkout: &Path, record: Record<'_>) -> Result<Outcome, Error> {
    let args = alone(args, checkout)?;
    let choice = matrix::choose(&checkout.join("patches"), &args.targets, &args.linux)?;
    let mut lab = lab::open(&args.measure, checkout, record)?;
    let targets = matrix::run(&mut lab, &choice)?;
    let mut outcome = judge::outcome(&lab.info.accel, targets, Some(lab.run.name().to_owned()));
    outcome.reasons.extend(choice.left_out);
    Ok(finish(&lab, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variant::Variant;

    #[test]
    fn a_job_is_the_matrix_of_its_target_also_when_it_is_taken_up_again() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let argv = ["xtask", "matrix", "--job", "v6.12-debug", "--trials", "3"].map(str::to_owned);
        let plan = selftests::plan::Plan { trials: 3, ..selftests::plan::Plan::of(Vec::new()) };
        let info = RunInfo::new(&argv, "tcg", Variant::Debug, &plan, None);
        let args = alone(recorded(&info).unwrap(), &checkout).unwrap();
        assert_eq!((args.targets, args.measure.config, args.job), (vec!["v6.12".to_owned()], Variant::Debug, None));
        assert_eq!(args.measure.trials, Some(3));
    }
}
