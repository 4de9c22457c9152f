// SPDX-License-Identifier: GPL-2.0-only
//! Finished targets of a run over several: what need not be done again.
//!
//! ```text
//! results/runs/<UTC>-<random>/<target>.finished.json
//! ```
//!
//! Owns: that file's format, schema 1, taking up a record again, and taking a
//! target that was not finished out of it. Must not: decide what is finished.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use super::read::{json, read_info};
use super::{OUTCOME, RUNS, RunDir, RunInfo, boot_name, runs, target_file, write_json};
use crate::error::Error;
use crate::outcome::TargetOutcome;

const SCHEMA: u32 = 1;

/// A target that was measured to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Version of this format.
    pub schema: u32,
    /// Digest of everything of ours that went into it.
    pub inputs: String,
    /// What it showed.
    pub outcome: TargetOutcome,
}

impl Finished {
    /// As of this xtask.
    #[must_use]
    pub fn new(inputs: String, outcome: TargetOutcome) -> Self {
        Self { schema: SCHEMA, inputs, outcome }
    }
}

impl RunDir {
    /// Takes up the record in the folder `dir`.
    ///
    /// # Errors
    /// The run is over, or the folder has no name.
    pub fn reopen(dir: &Path) -> Result<Self, Error> {
        if dir.join(OUTCOME).exists() {
            return Err(Error::NothingSelected(anyhow!(
                "the run {} is over: there is nothing to resume",
                dir.display()
            )));
        }
        let id = dir.file_name().context("a run's folder has no name")?.to_string_lossy().into_owned();
        Ok(Self { name: format!("{RUNS}/{id}"), dir: dir.to_owned() })
    }

    /// Keeps that a target is finished.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_finished(&self, finished: &Finished) -> anyhow::Result<()> {
        write_json(&self.dir.join(finished_file(&finished.outcome.target)), finished)
    }

    /// What is kept of the target; `None` if it was not finished, or by an xtask
    /// that wrote something else.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn finished(&self, target: &str) -> anyhow::Result<Option<Finished>> {
        let path = self.dir.join(finished_file(target));
        if !path.exists() {
            return Ok(None);
        }
        let finished: Finished = json(&path)?;
        Ok(Some(finished).filter(|finished| finished.schema == SCHEMA))
    }

    /// Takes all that there is of a target out of the record. `sides` are all that
    /// it may have.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn forget(&self, target: &str, sides: &[&str]) -> anyhow::Result<()> {
        let files = [finished_file(target), target_file(target)].map(|name| self.dir.join(name));
        for file in files.into_iter().filter(|file| file.exists()) {
            std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        for side in sides {
            let dir = self.dir.join(boot_name(target, side)?);
            if dir.exists() {
                std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
            }
        }
        Ok(())
    }
}

/// Has the run in this folder an outcome?
#[must_use]
pub fn is_over(dir: &Path) -> bool {
    dir.join(OUTCOME).is_file()
}

fn finished_file(target: &str) -> String {
    format!("{target}.finished.json")
}

/// The newest run below `checkout` that is not over and whose record is `wanted`.
///
/// # Errors
/// [`Error::NothingSelected`] if there is none; the folder cannot be read.
pub fn unfinished(checkout: &Path, wanted: impl Fn(&RunInfo) -> bool) -> Result<std::path::PathBuf, Error> {
    let open = |dir: &std::path::PathBuf| !dir.join(OUTCOME).exists() && read_info(dir).is_ok_and(|info| wanted(&info));
    let none = || Error::NothingSelected(anyhow!("no run in {} waits to be resumed", checkout.join(RUNS).display()));
    runs(checkout)?.into_iter().rfind(open).ok_or_else(none)
}
