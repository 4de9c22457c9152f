// SPDX-License-Identifier: GPL-2.0-only
//! One line a run, so that a list of a thousand runs does not read a thousand records.
//!
//! ```text
//! results/runs/index.jsonl    a JSON object a line; of several about a run the last counts
//! ```
//!
//! The records are the truth: a line counts as long as the size and the time of the two
//! files that it was made of are still theirs; any other run is read, and a line appended.
//! So an index that is not there, is old, is torn or is nonsense costs time and nothing
//! else, and so does one that cannot be written.
//!
//! Owns: that file's format, schema 1. Must not: tell what the records do not.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::history::{Stored, runs, stored};
use super::{INFO, OUTCOME, RUNS};
use crate::file;
use crate::verdict::Verdict;

const SCHEMA: u32 = 1;
const INDEX: &str = "index.jsonl";
/// Held by who writes; another one then does not.
const LOCK: &str = ".index.lock";

/// So many lines a run are too many: the file is made anew.
const LINES_A_RUN: usize = 4;

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The run's name below results/runs.
    pub id: String,
    /// `None` if it did not end, or cannot be read.
    pub verdict: Option<Verdict>,
    /// Each target with its verdict; without one if the run did not end.
    pub targets: Vec<(String, Option<Verdict>)>,
    /// The command that made it.
    pub command: String,
    /// The id of the run that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
    /// Why the record cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Size and time of a file; `None` if there is none.
type Stamp = Option<(u64, u64)>;

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    schema: u32,
    info: Stamp,
    outcome: Stamp,
    entry: Entry,
}

impl Entry {
    /// Of a record.
    #[must_use]
    pub fn new(id: &str, stored: anyhow::Result<Stored>) -> Self {
        let id = id.to_owned();
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                let unreadable = Some(format!("{error:#}"));
                return Self {
                    id,
                    verdict: None,
                    targets: Vec::new(),
                    command: String::new(),
                    repeats: None,
                    unreadable,
                };
            }
        };
        let targets = match &stored.outcome {
            Some(outcome) => outcome.targets.iter().map(|of| (of.target.clone(), Some(of.verdict))).collect(),
            None => stored.info.targets.iter().map(|of| (of.target.clone(), None)).collect(),
        };
        let verdict = stored.outcome.map(|outcome| outcome.verdict);
        let (command, repeats) = (stored.info.replay, stored.info.repeats);
        Self { id, verdict, targets, command, repeats, unreadable: None }
    }
}

/// All runs below `checkout`, oldest first, those that cannot be read among them.
///
/// # Errors
/// The folder of runs cannot be listed.
pub fn entries(checkout: &Path) -> anyhow::Result<Vec<Entry>> {
    let dir = checkout.join(RUNS);
    let (known, lines) = read(&dir.join(INDEX));
    let (mut all, mut fresh) = (Vec::new(), Vec::new());
    for run in runs(checkout)? {
        let id = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (info, outcome) = (stamp(&run.join(INFO)), stamp(&run.join(OUTCOME)));
        if let Some(line) = known.get(&id).filter(|line| line.info == info && line.outcome == outcome) {
            all.push(line.entry.clone());
            continue;
        }
        let entry = Entry::new(&id, stored(&run));
        // Another xtask may be able to read it.
        if entry.unreadable.is_none() {
            fresh.push(Line { schema: SCHEMA, info, outcome, entry: entry.clone() });
        }
        all.push(entry);
    }
    if !fresh.is_empty() {
        let anew = lines + fresh.len() > LINES_A_RUN * all.len().max(25);
        let kept = known.into_values().filter(|line| anew && all.contains(&line.entry));
        let lines: Vec<Line> = kept.chain(fresh).collect();
        // The list is right without it.
        drop(write(&dir, &lines, anew));
    }
    Ok(all)
}

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    let time = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((data.len(), u64::try_from(time.as_nanos()).ok()?))
}

/// The last line about each run, and how many lines there are.
fn read(path: &Path) -> (HashMap<String, Line>, usize) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let (mut known, mut count) = (HashMap::new(), 0);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        count += 1;
        // A torn one, or one of another xtask, says nothing.
        if let Ok(line) = serde_json::from_slice::<Line>(line)
            && line.schema == SCHEMA
        {
            known.insert(line.entry.id.clone(), line);
        }
    }
    (known, count)
}

/// Appends the lines, or puts them in the place of all. Nothing is done while another
/// process does.
fn write(dir: &Path, lines: &[Line], anew: bool) -> anyhow::Result<()> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
    lock.try_lock().context("another process writes the index")?;
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    let path = dir.join(INDEX);
    if anew {
        return file::write(&path, &text);
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
    if is_torn(&mut file)? {
        text.insert(0, b'\n');
    }
    Ok(file.write_all(&text)?)
}

/// Does its last line lack its end?
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
