// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask storm`: how long others wait while a guest swaps, on both sides.
//!
//! Owns: what the arguments mean, and what is printed where.

use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context, anyhow};
use selftests::storms::MOST_SHOTS;

use super::lab::{self, Record};
use super::{finish, print};
use crate::cli::StormArgs;
use crate::error::Error;
use crate::file;
use crate::judge;
use crate::measure::{self, Subject};
use crate::side::Side;
use crate::source::LinuxArg;
use crate::storm::run::{keep, keep_reference, references, storm};
use crate::storm::{Boot, Report, readme, text};
use crate::target::Target;

/// Runs it; the exit code is the verdict's.
///
/// # Errors
/// As [`Error`] lists.
pub fn run(args: &StormArgs, checkout: &Path) -> Result<u8, Error> {
    let json = args.boot.manners.json;
    let result = blow(args, checkout);
    if let (true, Err(error)) = (json, &result)
        && let Some(outcome) = judge::without_kernel(error)
    {
        print(&outcome, true)?;
    }
    result
}

fn blow(args: &StormArgs, checkout: &Path) -> Result<u8, Error> {
    let asked = args.storm().ok_or_else(|| {
        Error::Usage(anyhow!("--seconds times --rate is more than {MOST_SHOTS} shots, which no frame carries"))
    })?;
    let linux = args
        .linux
        .as_deref()
        .map(|text| -> LinuxArg { text.parse().unwrap_or_else(|never: Infallible| match never {}) });
    let target = Target::load(&checkout.join("patches"), &args.target)?;
    let request = measure::request(Some(&target), linux.as_ref())?;

    let mut lab = lab::open(&args.measure(), checkout, Record::New)?;
    lab.plan.storm = Some(asked);
    lab.info.plan = lab.plan.clone();
    lab.run.describe(&lab.info)?;
    let sides = vec![Side::Baseline, Side::Patched];
    let subject = Subject { target: Some(&target), request, sides, upto: None };
    let (measured, report, boots) = match storm(&mut lab, &subject, args.boots) {
        // What makes no sense was not run: it leaves no record.
        Err(error @ (Error::Usage(_) | Error::NothingSelected(_))) => {
            lab.run.discard()?;
            return Err(error);
        }
        measured => measured?,
    };
    let outcome = finish(&lab, judge::outcome(&lab.info.accel, vec![measured], Some(lab.run.name().to_owned())));
    let Some(report) = report else {
        print(&outcome, args.boot.manners.json)?;
        return Ok(outcome.exit);
    };
    keep(lab.run.dir(), &report, &boots)?;
    show(&report, args.boot.manners.json)?;
    if args.reference {
        keep_evidence(&report, &boots, checkout)?;
    }
    Ok(outcome.exit)
}

/// Prints a report.
pub(super) fn show(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(report).context("cannot serialise the report")?);
        return Ok(());
    }
    print!("{}", text::render(report));
    if let Some(run) = &report.run {
        println!("record: {run}");
    }
    Ok(())
}

/// Writes the evidence, and brings README's table and plots into step with all of it.
pub(super) fn keep_evidence(report: &Report, boots: &[Boot], checkout: &Path) -> anyhow::Result<()> {
    for path in keep_reference(checkout, report, boots)? {
        eprintln!("wrote {}", path.display());
    }
    let path = checkout.join("README.md");
    let show = || format!("cannot bring {} into step", path.display());
    let text = std::fs::read_to_string(&path).with_context(show)?;
    let text = readme::replace(&text, &references(checkout)?).with_context(show)?;
    file::write(&path, text.as_bytes()).with_context(show)
}
