// SPDX-License-Identifier: GPL-2.0-only
//! The record of a run: everything that is needed to judge it again.
//!
//! ```text
//! results/runs/<UTC>-<random>/
//!   run.json                what was asked for and of which kernels; before the first boot
//!   <target>.target.toml    the expectations that the run was made with
//!   <target>.finished.json  of a run over several, each as it ends
//!   <target>-<side>/        one boot: console.raw, frames.jsonl … (written by `boot`)
//!     transcript.json
//!   outcome.json            last
//!   night.json, report.*    of a night only, after that
//! ```
//!
//! Owns: names, formats and the order of writing. A file is there whole or not at
//! all: each is written beside its place and renamed. Folders are claimed by
//! creating them, so that two runs at once never share one. Must not: judge.

mod claim;
mod evidence;
mod finished;
mod history;
mod index;
mod info;
mod merge;
mod night;
mod read;
mod reference;
mod schema;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::file;
use crate::outcome::Outcome;
use crate::target::Target;
use crate::transcript::Transcript;

pub use claim::{claim, claimed};
pub use evidence::{Boot, Evidence, Expectations, Waits, evidence};
pub use finished::{Finished, is_over, unfinished};
use history::runs_in;
pub use history::{Stored, everything, history, runs, stored};
pub use index::{Entry, entries};
pub use info::{Host, RunInfo, SideInfo, Stopped, TargetInfo, revision};
pub use merge::{Merged, merge};
pub use night::{Disk, NightInfo, Pruned, is_told, read_night, write_night};
pub use read::{find, judge_again, read_info, read_transcript, stored_outcome, storms_again};
pub use reference::{Reference, read_references, reference, write_reference};

/// Below the checkout: where runs are recorded; not committed.
pub const RUNS: &str = "results/runs";
/// Below the checkout: what was sent for a review, and what was found; not committed.
pub const REVIEWS: &str = "results/reviews";
/// Below the checkout: the committed evidence.
pub const REFERENCE: &str = "results/reference";

const INFO: &str = "run.json";
const TRANSCRIPT: &str = "transcript.json";
const OUTCOME: &str = "outcome.json";

/// A record that is being written.
#[derive(Debug)]
pub struct RunDir {
    dir: PathBuf,
    name: String,
}

impl RunDir {
    /// Claims a new folder below `checkout`/results/runs.
    ///
    /// # Errors
    /// It cannot be created, e.g. because the disk is full.
    pub fn create(checkout: &Path) -> anyhow::Result<Self> {
        let dir = claim(&checkout.join(RUNS))?.keep();
        let id = dir.file_name().context("a new folder has no name")?.to_string_lossy().into_owned();
        Ok(Self { name: format!("{RUNS}/{id}"), dir })
    }

    /// Takes the record back: there is nothing to remember.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.dir).with_context(|| format!("cannot remove {}", self.dir.display()))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder's name as in results, `results/runs/…`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes, or replaces, what is known about the run. Call it before the first
    /// boot and again whenever more is known.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn describe(&self, info: &RunInfo) -> anyhow::Result<()> {
        write_json(&self.dir.join(INFO), info)
    }

    /// Keeps the expectations that the run is judged by.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_target(&self, target: &Target) -> anyhow::Result<()> {
        file::write(&self.dir.join(target_file(&target.name)), target.text.as_bytes())
    }

    /// Creates the folder of one boot.
    ///
    /// # Errors
    /// It cannot be created, or is there already: a side boots once a run.
    pub fn boot_dir(&self, target: &str, side: &str) -> anyhow::Result<PathBuf> {
        let dir = self.dir.join(boot_name(target, side)?);
        std::fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Writes what a boot left behind.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn transcript(&self, target: &str, side: &str, transcript: &Transcript) -> anyhow::Result<()> {
        write_json(&self.dir.join(boot_name(target, side)?).join(TRANSCRIPT), transcript)
    }

    /// Ends the record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&self, outcome: &Outcome) -> anyhow::Result<()> {
        write_json(&self.dir.join(OUTCOME), outcome)
    }
}

fn target_file(target: &str) -> String {
    format!("{target}.target.toml")
}

/// The folder of one boot. Both words come from files and command lines: neither
/// may lead out of the record.
fn boot_name(target: &str, side: &str) -> anyhow::Result<String> {
    for word in [target, side] {
        if word.is_empty() || word.starts_with('.') || word.contains('/') {
            bail!("{word:?} cannot be part of a folder's name");
        }
    }
    Ok(format!("{target}-{side}"))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value).with_context(|| format!("cannot encode {}", path.display()))?;
    text.push(b'\n');
    file::write(path, &text)
}
