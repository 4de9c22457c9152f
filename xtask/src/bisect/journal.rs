// SPDX-License-Identifier: GPL-2.0-only
//! The record of a bisection: from it alone the search goes on after any end.
//!
//! ```text
//! results/bisect/<UTC>-<random>/
//!   bisect.json       what was asked for, and the items; before the first step
//!   journal.jsonl     one line an event, on the disk before the next step
//!   bisect.log        what was found so far, in git's words
//!   boots/<n>/        one boot: console.raw, frames.jsonl …
//!   report.json, report.md     last
//! ```
//!
//! Owns: names, formats, and that an event is whole or not there: what a kill tore
//! off at the end of the journal is cut off at the next opening, and its test is
//! made again. Must not: decide what comes next.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use crate::bisect::evidence::{Direction, Observation, Seen};
use crate::bisect::items::Stored;
use crate::bisect::oracle::{Answer, What};
use crate::bisect::policy::Policy;
use crate::bisect::step::Reason;
use crate::cache::Lock;
use crate::error::Error;
use crate::file;
use crate::progress::Progress;
use crate::store;

/// Below the checkout: where bisections are recorded; not committed.
pub const BISECTIONS: &str = "results/bisect";

const HEADER: &str = "bisect.json";
const JOURNAL: &str = "journal.jsonl";
const LOG: &str = "bisect.log";
const REPORT: &str = "report.json";
const SCHEMA: u32 = 1;

/// What a bisection is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this format.
    pub schema: u32,
    /// The command line that began it, as words.
    pub argv: Vec<String>,
    /// Start, RFC 3339.
    pub started: String,
    /// This tool's git revision, if it is known.
    #[serde(default)]
    pub tool: Option<String>,
    /// Digest of everything of ours that decides an answer.
    pub instrument: String,
    /// How far answers are believed.
    pub policy: Policy,
    /// The items.
    pub items: Stored,
    /// Answers taken from somebody's log, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replayed: Vec<Observation>,
}

impl Header {
    /// What a bisection of now is.
    #[must_use]
    pub fn new(argv: Vec<String>, tool: Option<String>, instrument: String, policy: Policy, items: Stored) -> Self {
        let started = jiff::Timestamp::now().to_string();
        Self { schema: SCHEMA, argv, started, tool, instrument, policy, items, replayed: Vec::new() }
    }

    /// What is looked for.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.policy.direction
    }
}

/// What a test was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// To find the culprit.
    Search,
    /// To confirm it.
    Confirm,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// End, RFC 3339.
    pub at: String,
    /// What for.
    pub phase: Phase,
    /// What was looked at.
    #[serde(flatten)]
    pub what: What,
    /// The item's id, or both ids of a revert.
    pub id: String,
    /// Why this one.
    pub reason: String,
    /// In the search's words: `good` is the old side, `bad` the new one.
    pub seen: Seen,
    /// What the oracle said.
    pub answer: Answer,
    /// Wall time from the question to the answer, retries included, in seconds.
    pub wall: f64,
    /// How much longer it would all take, as estimated before this test, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A test and its answer.
    Test(Box<Test>),
    /// The host failed; no evidence.
    Infra {
        /// RFC 3339.
        at: String,
        /// What was to be looked at.
        what: What,
        /// What happened.
        message: String,
    },
    /// Taken up again.
    Resumed {
        /// RFC 3339.
        at: String,
    },
    /// Put down, after so many seconds.
    Stopped {
        /// RFC 3339.
        at: String,
        /// Since it was begun or taken up.
        wall: f64,
        /// Why.
        why: String,
    },
}

/// A bisection's record, open for its next event.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    id: String,
    file: File,
    /// What it is.
    pub header: Header,
    /// What happened, in order.
    pub events: Vec<Event>,
    _lock: Lock,
}

impl Journal {
    /// Claims a new folder below `checkout`/results/bisect.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(checkout: &Path, header: Header) -> Result<Self, Error> {
        let all = checkout.join(BISECTIONS);
        let dir = store::claim(&all)?.keep();
        let mut text = serde_json::to_vec_pretty(&header).context("cannot encode a bisection")?;
        text.push(b'\n');
        let lock = Lock::acquire(&dir.join("lock"), &dir.display().to_string(), &Progress::silent())?;
        file::write(&dir.join(JOURNAL), b"")?;
        // Last: a folder with a header is a bisection.
        file::write(&dir.join(HEADER), &text)?;
        for folder in [&dir, &all] {
            sync(folder)?;
        }
        Self::open_locked(&dir, header, Vec::new(), lock)
    }

    /// Takes up the bisection in the folder `dir`. An event that was being written
    /// when its process died is cut off.
    ///
    /// # Errors
    /// Usage: it is another version's, or damaged before its last line. Infra: it
    /// cannot be read or written.
    pub fn reopen(dir: &Path) -> Result<Self, Error> {
        // Whoever works on it is not waited for: its end is no moment to begin again.
        let lock = Lock::acquire_within(
            &dir.join("lock"),
            &dir.display().to_string(),
            std::time::Duration::ZERO,
            &Progress::silent(),
        )?;
        let header = read_header(dir)?;
        let path = dir.join(JOURNAL);
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (events, whole) = parse(&path, &text)?;
        if whole < text.len() {
            let cut = || -> std::io::Result<()> {
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(whole as u64)?;
                file.sync_all()
            };
            cut().with_context(|| format!("cannot cut off the torn end of {}", path.display()))?;
        }
        Self::open_locked(dir, header, events, lock)
    }

    fn open_locked(dir: &Path, header: Header, events: Vec<Event>, lock: Lock) -> Result<Self, Error> {
        let path = dir.join(JOURNAL);
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        let id = dir.file_name().context("a bisection's folder has no name")?.to_string_lossy().into_owned();
        Ok(Self { dir: dir.to_owned(), id, file, header, events, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes an event down; it is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, event: Event) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&event).context("cannot encode an event")?;
        line.push(b'\n');
        let write = |file: &mut File| file.write_all(&line).and_then(|()| file.sync_data());
        write(&mut self.file).with_context(|| format!("cannot write {}", self.dir.join(JOURNAL).display()))?;
        self.events.push(event);
        Ok(())
    }

    /// Replaces the log in git's words.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_log(&self, text: &str) -> anyhow::Result<()> {
        file::write(&self.dir.join(LOG), text.as_bytes())
    }

    /// Ends the record: the result, as JSON and for a mail.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(&self, json: &[u8], markdown: &str) -> anyhow::Result<()> {
        file::write(&self.dir.join("report.md"), markdown.as_bytes())?;
        file::write(&self.dir.join(REPORT), json)
    }

    /// Puts it down unfinished: what an earlier end said is no longer true.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn unfinish(&self) -> anyhow::Result<()> {
        let path = self.dir.join(REPORT);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// All tests, in order.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.events.iter().filter_map(|event| match event {
            Event::Test(test) => Some(&**test),
            _ => None,
        })
    }

    /// What the search has to go by.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        let search = self.tests().filter(|test| test.phase == Phase::Search);
        let seen = search.filter_map(|test| {
            let item = test.what.item()?;
            Some(match &test.answer.inherited {
                Some(inherited) => Observation::inherited(item, test.seen, inherited.from),
                None => Observation::fresh(item, test.seen),
            })
        });
        self.header.replayed.iter().copied().chain(seen).collect()
    }

    /// The test that confirms in this way, if it was made.
    #[must_use]
    pub fn confirmation(&self, what: What) -> Option<&Test> {
        self.tests().find(|test| test.phase == Phase::Confirm && test.what == what)
    }
}

/// The words of a reason.
#[must_use]
pub fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Endpoint => "an end",
        Reason::Recheck => "an end again",
        Reason::MergeBase => "a merge base",
        Reason::Search => "search",
    }
}

fn sync(dir: &Path) -> anyhow::Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("cannot sync {}", dir.display()))
}

/// What the bisection in `dir` is.
///
/// # Errors
/// It cannot be read, or is another version's.
pub fn read_header(dir: &Path) -> Result<Header, Error> {
    let path = dir.join(HEADER);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let header: Header = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not what this xtask writes: begin anew", path.display()))
        .map_err(Error::Usage)?;
    if header.schema > SCHEMA {
        let (theirs, path) = (header.schema, path.display());
        return Err(Error::Usage(anyhow!("{path} has schema {theirs}, newer than {SCHEMA}: update this tool")));
    }
    Ok(header)
}

/// The events, and how many bytes of the text they are. What follows the last line
/// end is torn; so is a last line that is none, since a file system may write the
/// end of an append before its beginning.
fn parse(path: &Path, text: &[u8]) -> Result<(Vec<Event>, usize), Error> {
    let (mut events, mut whole) = (Vec::new(), 0);
    while let Some(length) = text[whole..].iter().position(|&byte| byte == b'\n') {
        let end = whole + length + 1;
        match serde_json::from_slice(&text[whole..end]) {
            Ok(event) => events.push(event),
            Err(_) if end == text.len() => break,
            Err(error) => {
                return Err(Error::Usage(anyhow!(
                    "line {} of {} is damaged ({error}): cut the file off before it, and what is lost is tested again",
                    events.len() + 1,
                    path.display()
                )));
            }
        }
        whole = end;
    }
    Ok((events, whole))
}

/// The bisection that `wanted` names: a folder, or an id; for an empty word the
/// newest that is not finished.
///
/// # Errors
/// [`Error::NothingSelected`] if there is none.
pub fn find(checkout: &Path, wanted: &str) -> Result<PathBuf, Error> {
    let all = checkout.join(BISECTIONS);
    if !wanted.is_empty() {
        let candidates = [PathBuf::from(wanted), checkout.join(wanted), all.join(wanted)];
        return candidates.into_iter().find(|dir| dir.join(HEADER).is_file()).ok_or_else(|| {
            let all = all.display();
            Error::NothingSelected(anyhow!("{wanted:?} is no bisection: neither it nor {all}/{wanted} has a {HEADER}"))
        });
    }
    let mut dirs = Vec::new();
    if all.exists() {
        for entry in std::fs::read_dir(&all).with_context(|| format!("cannot list {}", all.display()))? {
            dirs.push(entry.with_context(|| format!("cannot list {}", all.display()))?.path());
        }
    }
    // Names begin with the time.
    dirs.sort();
    let open = |dir: &PathBuf| dir.join(HEADER).is_file() && !dir.join(REPORT).exists();
    dirs.into_iter()
        .rfind(open)
        .ok_or_else(|| Error::NothingSelected(anyhow!("no bisection in {} waits to be resumed", all.display())))
}
