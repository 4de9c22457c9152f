// SPDX-License-Identifier: GPL-2.0-only
//! All runs that are recorded.
//!
//! Owns: which there are, and in which order. Must not: read the record of a boot.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{INFO, OUTCOME, RUNS, RunInfo, read_info, stored_outcome};
use crate::outcome::Outcome;

/// One run as it was told when it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its folder's name below results/runs, which begins with the time.
    pub id: String,
    /// How it was made.
    pub info: RunInfo,
    /// What it showed; `None` if it did not end.
    pub outcome: Option<Outcome>,
}

/// The folders of all runs below `checkout`, oldest first.
///
/// # Errors
/// The folder cannot be listed.
pub fn runs(checkout: &Path) -> anyhow::Result<Vec<PathBuf>> {
    runs_in(&checkout.join(RUNS))
}

/// The folders of all runs in this one, oldest first; none if it is not there. A hidden
/// one is a copy that is being made, or that a kill has left.
pub(super) fn runs_in(runs: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    if runs.exists() {
        let list = || format!("cannot list {}", runs.display());
        for entry in std::fs::read_dir(runs).with_context(list)? {
            dirs.push(entry.with_context(list)?.path());
        }
    }
    let hidden = |dir: &Path| dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    dirs.retain(|dir| !hidden(dir) && dir.join(INFO).is_file());
    // Names begin with the time.
    dirs.sort();
    Ok(dirs)
}

/// What is stored in the folder of one run.
///
/// # Errors
/// It cannot be read, or was written by a later xtask.
pub fn stored(dir: &Path) -> anyhow::Result<Stored> {
    let id = dir.file_name().context("a run's folder has no name")?.to_string_lossy().into_owned();
    let outcome = if dir.join(OUTCOME).is_file() { Some(stored_outcome(dir)?) } else { None };
    Ok(Stored { id, info: read_info(dir)?, outcome })
}

/// All runs that can be read, oldest first.
///
/// # Errors
/// The folder cannot be listed.
pub fn everything(checkout: &Path) -> anyhow::Result<Vec<Stored>> {
    Ok(runs(checkout)?.iter().filter_map(|dir| stored(dir).ok()).collect())
}

/// Those of our targets: in a review the series is somebody else's, and what it shows
/// is nothing to measure ours by.
///
/// # Errors
/// As [`everything`].
pub fn history(checkout: &Path) -> anyhow::Result<Vec<Stored>> {
    Ok(everything(checkout)?.into_iter().filter(|run| !run.info.is_review()).collect())
}
