// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`: from a target to a verdict.
//!
//! Owns: what the arguments mean, and what is printed where. Nothing is decided
//! here but what comes next.

use std::convert::Infallible;
use std::path::Path;

use anyhow::anyhow;
use selftests::plan::{self, Plan};

use super::print;
use crate::accel;
use crate::cache::Cache;
use crate::cli::TestArgs;
use crate::doctor::{self, Host};
use crate::error::Error;
use crate::guest;
use crate::judge;
use crate::measure::{self, Lab, Side, Subject};
use crate::progress::Progress;
use crate::source::LinuxArg;
use crate::store::{self, RunDir, RunInfo};
use crate::target::Target;

/// Runs it; the exit code is the outcome's.
///
/// # Errors
/// As [`Error`] lists. With `--json` an error that stands for a verdict is an
/// object on standard output too, so that a reader always finds one.
pub fn run(args: &TestArgs, checkout: &Path) -> Result<u8, Error> {
    let result = measure(args, checkout);
    if let (true, Err(error)) = (args.json, &result)
        && let Some(outcome) = judge::without_kernel(error)
    {
        print(&outcome, true)?;
    }
    result
}

fn measure(args: &TestArgs, checkout: &Path) -> Result<u8, Error> {
    let progress = Progress::new(args.quiet);
    let cells = plan::select(&args.cell).map_err(|error| Error::NothingSelected(anyhow!(error)))?;
    let linux = args
        .linux
        .as_deref()
        .map(|text| -> LinuxArg { text.parse().unwrap_or_else(|never: Infallible| match never {}) });
    let target = args.target().map(|name| Target::load(&checkout.join("patches"), name)).transpose()?;
    let request = measure::request(target.as_ref(), linux.as_ref())?;
    let cache = Cache::open()?;

    doctor::ensure(&Host::this(&cache.root), args.yes, &progress)?;
    let accel = accel::choose(&cache.root, args.accel)?;
    progress.say(format!("accelerator: {}", accel.why));
    let plan = Plan { cells, trials: args.trials, hold_ms: args.hold, patience: accel.patience() };
    let argv: Vec<String> = std::env::args().collect();
    let info = RunInfo::new(&argv, &accel.kind.to_string(), &plan, store::revision(checkout));
    let init = guest::build(checkout, &progress)?;
    let run = RunDir::create(checkout)?;
    let mut lab = Lab {
        checkout: checkout.to_owned(),
        cache,
        progress,
        accel,
        plan,
        append: args.append.clone(),
        init,
        run,
        info,
    };
    lab.run.describe(&lab.info)?;

    let subject = Subject { target: target.as_ref(), request, sides: sides(args) };
    let measured = match measure::kernel(&mut lab, &subject) {
        // What makes no sense was not run: it leaves no record.
        Err(error @ Error::Usage(_)) => {
            lab.run.discard()?;
            return Err(error);
        }
        measured => measured?,
    };
    let mut outcome = judge::outcome(&lab.info.accel, vec![measured], Some(lab.run.name().to_owned()));
    // What was measured is told even if it cannot be kept.
    if let Err(error) = lab.run.finish(&outcome) {
        outcome = judge::not_kept(outcome, &error);
    }
    print(&outcome, args.json)?;
    Ok(outcome.exit)
}

/// A named target is measured without and with its series; a tree by itself.
fn sides(args: &TestArgs) -> Vec<Side> {
    match args.target() {
        None => vec![Side::Tree],
        Some(_) => args.side.map_or_else(|| vec![Side::Baseline, Side::Patched], |side| vec![side]),
    }
}
