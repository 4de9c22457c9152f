// SPDX-License-Identifier: GPL-2.0-only
//! From arguments to a laboratory: what every command that boots kernels sets up.
//!
//! Owns: the order of it: what can be refused is refused before anything is
//! installed, built or written.

use std::path::Path;

use anyhow::anyhow;
use selftests::plan::{self, Plan, Selection};
use sha2::{Digest, Sha256};

use crate::accel::{self, Accel};
use crate::cache::Cache;
use crate::cli::MeasureArgs;
use crate::doctor::{self, Host};
use crate::dress::Dress;
use crate::error::Error;
use crate::guest;
use crate::measure::Lab;
use crate::progress::Progress;
use crate::store::{self, RunDir, RunInfo};
use crate::variant::Variant;

/// What measures, before there is a record.
pub(super) struct Tools {
    /// Sources, builds, kernels.
    pub(super) cache: Cache,
    /// Where progress goes.
    pub(super) progress: Progress,
    /// How virtual machines run.
    pub(super) accel: Accel,
    /// What each boot measures.
    pub(super) plan: Plan,
    /// PID 1, a static ELF file.
    pub(super) init: Vec<u8>,
}

/// Sets up what measures; nothing is recorded yet.
///
/// # Errors
/// A filter selects nothing, or the host lacks something.
pub(super) fn tools(args: &MeasureArgs, checkout: &Path) -> Result<Tools, Error> {
    let progress = Progress::new(args.boot.manners.quiet);
    if args.storm.is_some() && args.config == Variant::Debug {
        return Err(Error::Usage(anyhow!("--storm measures waits, which with --config debug say nothing")));
    }
    let Selection { cells, behaviours } =
        plan::select(&args.cell).map_err(|error| Error::NothingSelected(anyhow!(error)))?;
    let cache = Cache::open()?;

    doctor::ensure(&Host::this(&cache.root), args.boot.manners.yes, &progress)?;
    let accel = accel::choose(&cache.root, args.boot.accel)?;
    progress.say(format!("accelerator: {}", accel.why));
    let patience = accel.patience() * args.config.patience();
    let (seed, hold_ms, stress, storm) = (args.seed, args.hold_ms(), args.stress(), args.storm());
    let plan = Plan { behaviours, seed, hold_ms, patience, stress, storm, ..Plan::of(cells) };
    let plan = plan.of_trials(args.trials(), args.repeat);
    let init = guest::build(checkout, &progress)?;
    Ok(Tools { cache, progress, accel, plan, init })
}

/// Where a measurement is recorded.
pub(super) enum Record<'a> {
    /// In a new record.
    New,
    /// In one that was begun before.
    Begun(RunDir, Box<RunInfo>),
    /// In a new one of the same command as another's.
    Again(&'a Repeat),
}

/// A run that is to be made again.
pub(super) struct Repeat {
    /// Its id.
    pub(super) id: String,
    /// How it was made.
    pub(super) info: RunInfo,
}

/// Everything that a measurement needs, with its record.
///
/// # Errors
/// As [`tools`], or the record cannot be begun.
pub(super) fn open(args: &MeasureArgs, checkout: &Path, record: Record<'_>) -> Result<Lab, Error> {
    let Tools { cache, progress, accel, plan, init } = tools(args, checkout)?;
    let kind = accel.kind.to_string();
    let new = |argv: &[String], plan: &Plan| {
        let info = RunInfo::new(argv, &kind, args.config, plan, store::revision(checkout));
        RunInfo { selftests: Some(hex::encode(Sha256::digest(&init))), ..info }
    };
    let mut repeats = None;
    let (run, info) = match record {
        Record::Begun(_, info) if info.accel != kind => {
            return Err(Error::Usage(anyhow!(
                "that run was begun with {}, and this host now offers {kind}: begin anew",
                info.accel
            )));
        }
        Record::Begun(run, info) => (run, *info),
        Record::New => {
            let argv: Vec<String> = std::env::args().collect();
            (RunDir::create(checkout)?, new(&argv, &plan))
        }
        Record::Again(repeat) => {
            // How patient this machine has to be is its own matter; the stress has the same seed.
            let plan = Plan { patience: plan.patience, ..repeat.info.plan.clone() };
            let info = RunInfo { repeats: Some(repeat.id.clone()), ..new(&repeat.info.argv, &plan) };
            repeats = Some(repeat.info.clone());
            (RunDir::create(checkout)?, info)
        }
    };
    run.describe(&info)?;
    Ok(Lab {
        checkout: checkout.to_owned(),
        cache,
        progress,
        accel,
        variant: args.config,
        plan: info.plan.clone(),
        append: args.boot.append.clone(),
        init,
        run,
        info,
        repeats,
        dress: Dress::Plain,
        vng: None,
    })
}
