// SPDX-License-Identifier: GPL-2.0-only
//! Reading a run's record back, and judging it again.
//!
//! Owns: finding a record by path or id, and turning it into the same values that
//! the run had. The stored expectations count, not today's: the same record gives
//! the same outcome.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;

use super::history::runs_in;
use super::info::{self, RunInfo, TargetInfo};
use super::schema::{self, Lift};
use super::{INFO, OUTCOME, RUNS, TRANSCRIPT, boot_name, target_file};
use crate::error::Error;
use crate::judge;
use crate::outcome::{Outcome, SideOutcome, TargetOutcome};
use crate::storm;
use crate::target::{Target, Tolerate};
use crate::transcript::Transcript;
use crate::verdict::Verdict;

/// `outcome.json` has had one version so far.
const LIFTS: [Lift; crate::outcome::SCHEMA as usize - 1] = [];

/// The record that `wanted` names: a folder, or an id below results/runs; without
/// a name the newest.
///
/// # Errors
/// [`Error::NothingSelected`] if there is none.
pub fn find(checkout: &Path, wanted: Option<&str>) -> Result<PathBuf, Error> {
    let runs = checkout.join(RUNS);
    let Some(wanted) = wanted else {
        let newest = runs_in(&runs)?.pop();
        return newest.ok_or_else(|| Error::NothingSelected(anyhow!("there is no run in {}", runs.display())));
    };
    let candidates = [PathBuf::from(wanted), checkout.join(wanted), runs.join(wanted)];
    candidates.into_iter().find(|dir| dir.join(INFO).is_file()).ok_or_else(|| {
        let runs = runs.display();
        Error::NothingSelected(anyhow!("{wanted:?} is no record of a run: neither it nor {runs}/{wanted} has a {INFO}"))
    })
}

/// Judges the record in the folder `dir` as if its boots had just ended. A boot
/// without transcript never ended: that side is `infra`.
///
/// # Errors
/// A file of the record is missing or is not what it should be.
pub fn judge_again(dir: &Path) -> Result<Outcome, Error> {
    let info = read_info(dir)?;
    let targets: Result<Vec<_>, Error> = info.targets.iter().map(|target| one(dir, &info, target)).collect();
    let run = dir.file_name().map(|id| format!("{RUNS}/{}", id.to_string_lossy()));
    Ok(judge::outcome(&info.accel, targets?, run))
}

/// What the record says about how it was made.
///
/// # Errors
/// It cannot be read, or was written by a later xtask.
pub fn read_info(dir: &Path) -> Result<RunInfo, Error> {
    schema::read(&dir.join(INFO), &info::LIFTS)
}

/// What the boot of this side left behind.
///
/// # Errors
/// The boot never ended, or its record cannot be read.
pub fn read_transcript(dir: &Path, target: &str, side: &str) -> anyhow::Result<Transcript> {
    json(&dir.join(boot_name(target, side)?).join(TRANSCRIPT))
}

fn one(dir: &Path, info: &RunInfo, named: &TargetInfo) -> Result<TargetOutcome, Error> {
    let target = if named.has_target { Some(stored_target(dir, &named.target)?) } else { None };
    let tolerate = target.as_ref().map(|target| target.tolerate.as_slice()).unwrap_or_default();
    let boots = boots(dir, info, named, tolerate)?;
    if let (true, Some(boots)) = (compares_storms(info, named), whole(&boots)) {
        return Ok(storm::judge(&named.target, &named.version, &info.accel, &info.plan, boots).0);
    }
    let sides = boots.into_iter().map(|(side, _)| side).collect();
    Ok(match (&named.stopped, target) {
        (Some(stopped), _) => {
            judge::ended_early(&named.target, &named.version, sides, stopped.verdict, &stopped.message)
        }
        (None, Some(target)) => judge::target(&target, &named.version, sides, &info.plan, info.variant),
        (None, None) => judge::tree(&named.target, &named.version, sides),
    })
}

/// Each boot as judged by itself, with its transcript. One that was never made, because the run
/// stopped with an error, is not there.
fn boots(
    dir: &Path,
    info: &RunInfo,
    named: &TargetInfo,
    tolerate: &[Tolerate],
) -> Result<Vec<(SideOutcome, Option<Transcript>)>, Error> {
    let mut boots = Vec::new();
    for side in &named.sides {
        if dir.join(boot_name(&named.target, &side.side)?).join(TRANSCRIPT).is_file() {
            let transcript = read_transcript(dir, &named.target, &side.side)?;
            boots.push((judge::side(&side.side, &transcript, &info.plan, tolerate), Some(transcript)));
        } else if named.stopped.is_none() {
            boots.push((never_ended(&side.side), None));
        }
    }
    Ok(boots)
}

/// Is it a comparison of storms? Other commands may end their boots with one, too.
fn compares_storms(info: &RunInfo, named: &TargetInfo) -> bool {
    named.stopped.is_none() && info.argv.get(1).is_some_and(|verb| verb == "storm")
}

/// All boots, if all have ended.
fn whole(boots: &[(SideOutcome, Option<Transcript>)]) -> Option<Vec<(SideOutcome, Transcript)>> {
    boots.iter().map(|(side, transcript)| Some((side.clone(), transcript.clone()?))).collect()
}

/// The storms that a record compares, judged again; `None` for a record of something else, or
/// of a comparison that never ended.
///
/// # Errors
/// As [`judge_again`].
pub fn storms_again(dir: &Path) -> Result<Option<storm::Judged>, Error> {
    let info = read_info(dir)?;
    let Some(named) = info.targets.first().filter(|named| compares_storms(&info, named)) else { return Ok(None) };
    let target = if named.has_target { Some(stored_target(dir, &named.target)?) } else { None };
    let tolerate = target.as_ref().map(|target| target.tolerate.as_slice()).unwrap_or_default();
    let boots = boots(dir, &info, named, tolerate)?;
    Ok(whole(&boots).map(|boots| storm::judge(&named.target, &named.version, &info.accel, &info.plan, boots)))
}

fn stored_target(dir: &Path, name: &str) -> Result<Target, Error> {
    let path = dir.join(target_file(name));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Target::recorded(name, dir, &text)
}

fn never_ended(side: &str) -> SideOutcome {
    SideOutcome {
        side: side.to_owned(),
        boot_ms: 0,
        controls_ok: false,
        cells: Vec::new(),
        behaviours: Vec::new(),
        stress: None,
        storm: None,
        verdict: Verdict::Infra,
        reasons: vec!["the record has no transcript: the run was ended before this boot was over".to_owned()],
    }
}

/// The outcome as it was written when the run ended.
///
/// # Errors
/// The run did not end, or its outcome has a later schema.
pub fn stored_outcome(dir: &Path) -> Result<Outcome, Error> {
    schema::read(&dir.join(OUTCOME), &LIFTS)
}

pub(super) fn json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not what this xtask writes", path.display()))
}
