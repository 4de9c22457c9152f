// SPDX-License-Identifier: GPL-2.0-only
//! Runs of other machines: taken over, and folded into one.
//!
//! ```text
//! DIR/runs/A  (v6.1)  ┐            results/runs/A, B         as they are
//! DIR/runs/B  (v6.12) ┴─ merge ─→  results/runs/<UTC>~XXXXXX  one run with both targets
//! ```
//!
//! What is folded was measured by the same tool, in the same way: one run for each
//! configuration. Its name follows from the runs that it is made of, so that merging
//! twice is merging once, and sorts behind the newest of them: it is the newest run.
//!
//! Owns: what may be folded, and the copies. A folder is there whole or not at all.
//! Must not: judge by other rules than the record's own.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use selftests::plan::Plan;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{INFO, OUTCOME, RUNS, RunInfo, Stored, stored, write_json};
use crate::error::Error;
use crate::file;
use crate::interrupt;
use crate::judge;
use crate::outcome::TargetOutcome;
use crate::target::version_key;

/// What merging did.
#[derive(Debug, Default, PartialEq)]
pub struct Merged {
    /// Ids of runs that were not here before.
    pub taken: Vec<String>,
    /// Ids of runs that were here already.
    pub known: Vec<String>,
    /// What was left, each with the reason.
    pub left: Vec<String>,
    /// One folder of ours for each configuration: the run that several were folded into,
    /// old or new, or the only one.
    pub results: Vec<PathBuf>,
}

/// Takes over the runs of these stores: `results` folders of other checkouts.
///
/// # Errors
/// [`Error::NothingSelected`] if there is no run in any of them; a copy cannot be made.
pub fn merge(checkout: &Path, stores: &[PathBuf]) -> Result<Merged, Error> {
    let ours = checkout.join(RUNS);
    file::make_dir(&ours)?;
    let mut merged = Merged::default();
    let mut groups: BTreeMap<String, BTreeMap<String, Stored>> = BTreeMap::new();
    for store in stores {
        let dirs = runs_of(store)?;
        if dirs.is_empty() {
            merged.left.push(format!("{}: there is no run in it", store.display()));
        }
        for dir in dirs {
            interrupt::check()?;
            let run = match stored(&dir) {
                Ok(run) if run.outcome.is_some() => run,
                Ok(run) => {
                    merged.left.push(format!("{}: it did not end", run.id));
                    continue;
                }
                Err(error) => {
                    merged.left.push(format!("{}: {error:#}", dir.display()));
                    continue;
                }
            };
            let place = ours.join(&run.id);
            if place.exists() {
                merged.known.push(run.id.clone());
            } else {
                take(&dir, &place)?;
                merged.taken.push(run.id.clone());
            }
            // Names begin with the time: of two runs of a target the newer one counts.
            for target in run.info.targets.iter().filter(|_| !is_folded(&run.info)) {
                let group = groups.entry(kind(&run.info)?).or_default();
                if group.get(&target.target).is_none_or(|other| other.id < run.id) {
                    group.insert(target.target.clone(), run.clone());
                }
            }
        }
    }
    if merged.taken.is_empty() && merged.known.is_empty() {
        return Err(Error::NothingSelected(anyhow!(
            "there is no run to merge: {}; needed are results folders of checkouts, with runs/ in them",
            merged.left.join(", ")
        )));
    }
    for group in groups.into_values() {
        merged.results.extend(fold(&ours, &group)?);
    }
    Ok(merged)
}

/// The runs of a `results` folder, or of a checkout, oldest first.
fn runs_of(store: &Path) -> anyhow::Result<Vec<PathBuf>> {
    super::runs_in(&if store.join("runs").is_dir() { store.join("runs") } else { store.join(RUNS) })
}

/// What runs must have in common to be one: all but the machine.
fn kind(info: &RunInfo) -> anyhow::Result<String> {
    // How patient a machine has to be says nothing about what was measured.
    let plan = Plan { patience: 1.0, ..info.plan.clone() };
    let parts = (&info.tool, &info.accel, info.variant, plan);
    serde_json::to_string(&parts).context("cannot encode a plan")
}

fn is_folded(info: &RunInfo) -> bool {
    info.argv.get(1).is_some_and(|word| word == "results")
}

/// One run of several; of one that run. Its folder.
fn fold(ours: &Path, group: &BTreeMap<String, Stored>) -> Result<Option<PathBuf>, Error> {
    let mut ids: Vec<&str> = group.values().map(|run| run.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let Some(newest) = ids.last() else { return Ok(None) };
    if ids.len() == 1 {
        return Ok(Some(ours.join(newest)));
    }
    let digest = Sha256::digest(ids.join("\n").as_bytes());
    let short = hex::encode(&digest[..3]);
    let time = newest.split('-').next().unwrap_or_default();
    let place = ours.join(format!("{time}~{short}"));
    if place.join(OUTCOME).is_file() {
        return Ok(Some(place));
    }
    let draft = draft(&place)?;
    let (mut info, mut outcomes): (Option<RunInfo>, Vec<TargetOutcome>) = (None, Vec::new());
    let mut replays = BTreeSet::new();
    for name in in_order(group.keys()) {
        let Some(run) = group.get(name) else { continue };
        copy_target(&ours.join(&run.id), draft.path(), name)?;
        let targets = run.info.targets.iter().filter(|target| &target.target == name).cloned();
        let whole = info.get_or_insert_with(|| RunInfo { targets: Vec::new(), ..run.info.clone() });
        whole.targets.extend(targets);
        whole.started = whole.started.clone().min(run.info.started.clone());
        replays.insert(run.info.replay.clone());
        let told = run.outcome.iter().flat_map(|outcome| &outcome.targets);
        outcomes.extend(told.filter(|outcome| &outcome.target == name).cloned());
    }
    let Some(mut info) = info else { return Ok(None) };
    info.argv = ["xtask", "results", "merge"].into_iter().chain(ids.iter().copied()).map(str::to_owned).collect();
    info.replay = replays.into_iter().collect::<Vec<_>>().join(" && ");
    write_json(&draft.path().join(INFO), &info)?;
    let id = place.file_name().context("a folder has no name")?.to_string_lossy().into_owned();
    // As each was told when it ended, whatever the rules are today.
    let outcome = judge::outcome(&info.accel, outcomes, Some(format!("{RUNS}/{id}")));
    write_json(&draft.path().join(OUTCOME), &outcome)?;
    keep(draft, &place)?;
    Ok(Some(place))
}

/// Oldest kernel first, as a matrix has them.
fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut names: Vec<&String> = names.collect();
    names.sort_by_key(|name| version_key(name));
    names
}

/// A run's folder, to ours.
fn take(from: &Path, place: &Path) -> anyhow::Result<()> {
    let draft = draft(place)?;
    copy(from, draft.path())?;
    keep(draft, place)
}

/// What a run's folder has of one target, to another folder.
fn copy_target(from: &Path, to: &Path, target: &str) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", from.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(target).is_some_and(|rest| rest.starts_with(['.', '-'])) {
            copy(&entry.path(), &to.join(&name))?;
        }
    }
    Ok(())
}

/// A file, or a folder with all that is in it; links are not followed.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.with_context(|| format!("cannot list {}", from.display()))?;
        let inner = entry.path().strip_prefix(from).context("a folder's entry is not in it")?;
        let place = if inner.as_os_str().is_empty() { to.to_owned() } else { to.join(inner) };
        let show = || format!("cannot copy {} to {}", entry.path().display(), place.display());
        if entry.file_type().is_dir() {
            file::make_dir(&place)?;
        } else if entry.file_type().is_file() {
            std::fs::copy(entry.path(), &place).with_context(show)?;
        }
    }
    Ok(())
}

/// A folder beside its place, which goes away unless it is kept.
fn draft(place: &Path) -> anyhow::Result<TempDir> {
    let parent = place.parent().context("a run has no parent folder")?;
    tempfile::Builder::new()
        .prefix(".merge-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .with_context(|| format!("cannot create a folder in {}", parent.display()))
}

fn keep(draft: TempDir, place: &Path) -> anyhow::Result<()> {
    let show = || format!("cannot rename {} to {}", draft.path().display(), place.display());
    std::fs::rename(draft.path(), place).with_context(show)?;
    // It is gone from there: there is nothing to remove.
    drop(draft.keep());
    Ok(())
}
