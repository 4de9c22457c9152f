// SPDX-License-Identifier: GPL-2.0-only
//! What a night came to, beside the outcome of its run.
//!
//! ```text
//! results/runs/<UTC>-<random>/night.json    the last file that a night writes
//! ```
//!
//! Owns: that file's format, schema 1: extend it, never rename. Must not: decide any of it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::schema;
use super::write_json;
use crate::regress::Line;

const SCHEMA: u32 = 1;
const NIGHT: &str = "night.json";

/// A night.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NightInfo {
    /// Version of this format.
    pub schema: u32,
    /// Its run, `results/runs/…`.
    pub run: String,
    /// The exit code: 100 if something is new; else that of the outcome; else 125 if
    /// something is missing.
    pub exit: u8,
    /// What it is compared with, oldest first: ids of runs, and `reference/TARGET`.
    pub against: Vec<String>,
    /// What is to be said.
    pub lines: Vec<Line>,
    /// Places of which there is nothing to say.
    pub unchanged: usize,
    /// What was done about the disk; only if there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// What the cache and the results take, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// How much it may be.
    pub budget: u64,
    /// How much it was.
    pub before: u64,
    /// How much it is.
    pub after: u64,
    /// What was removed.
    pub pruned: Vec<Pruned>,
}

/// Something that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// For people.
    pub what: String,
    /// What it took on the disk.
    pub bytes: u64,
}

impl NightInfo {
    /// A night of which nothing is said yet.
    #[must_use]
    pub fn new(run: &str) -> Self {
        Self { schema: SCHEMA, run: run.to_owned(), ..Self::default() }
    }
}

/// Has the night in this folder said all?
#[must_use]
pub fn is_told(dir: &Path) -> bool {
    dir.join(NIGHT).is_file()
}

/// Ends the record of a night.
///
/// # Errors
/// The file cannot be written.
pub fn write_night(dir: &Path, night: &NightInfo) -> anyhow::Result<()> {
    write_json(&dir.join(NIGHT), night)
}

/// What the night in this folder said; `None` if it was none, or is not over.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read_night(dir: &Path) -> anyhow::Result<Option<NightInfo>> {
    if !is_told(dir) {
        return Ok(None);
    }
    Ok(schema::read(&dir.join(NIGHT), &[])?)
}
