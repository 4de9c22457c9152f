// SPDX-License-Identifier: GPL-2.0-only
//! A night: every target at its newest point release, in a time and on a disk that are
//! given, against the nights before it.
//!
//! A night is a matrix whose record says `nightly`; `matrix` measures it. What is ours is
//! which target goes first, what does not fit any more, what goes off the disk, and which
//! earlier runs a night is compared with.
//!
//! Owns: those four. Must not: measure, decide what a change is (`regress`), or render.

pub mod disk;
mod time;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Format;
use crate::outcome::TargetOutcome;
use crate::regress::{Asked, Night};
use crate::store::{self, RunInfo, Stored};
use crate::target::version_key;
use crate::variant::Variant;

pub use time::measure;

/// A night that was cut off is taken up again within this; a cron job of the next day
/// begins its own.
pub const RESUME_WITHIN: Duration = Duration::from_secs(20 * 3600);

/// Words of a command line that do not change what is measured.
const MANNERS: [&str; 5] = ["--json", "--quiet", "-q", "--yes", "-y"];

/// Those that limit it, each with a value: what was cut off for lack of time may get more.
const LIMITS: [&str; 2] = ["--budget", "--disk"];

/// What a night's measuring came to.
#[derive(Debug, Default)]
pub struct Measured {
    /// Oldest kernel first.
    pub outcomes: Vec<TargetOutcome>,
    /// Targets that did not fit, each with why.
    pub left: Vec<String>,
}

/// Was it made by `nightly`, and not again by `results rerun`?
#[must_use]
pub fn is_night(info: &RunInfo) -> bool {
    verb(info, 1) == "nightly" && info.repeats.is_none()
}

/// A night, or a matrix that several machines have measured.
fn is_comparable(info: &RunInfo) -> bool {
    is_night(info) || (verb(info, 1) == "results" && verb(info, 2) == "merge")
}

fn verb(info: &RunInfo, word: usize) -> &str {
    info.argv.get(word).map_or("", String::as_str)
}

/// The folder of the newest night by this command line that is neither told nor too old
/// to be taken up again.
///
/// # Errors
/// The runs cannot be listed.
pub fn unfinished(checkout: &Path, argv: &[String], now: jiff::Timestamp) -> anyhow::Result<Option<PathBuf>> {
    let ours = meant(argv);
    let open = |dir: &PathBuf| {
        let Ok(info) = store::read_info(dir) else { return false };
        is_night(&info) && !store::is_told(dir) && meant(&info.argv) == ours && is_young(&info, now)
    };
    Ok(store::runs(checkout)?.into_iter().rfind(open))
}

/// Can it be taken up again?
fn is_young(info: &RunInfo, now: jiff::Timestamp) -> bool {
    info.started.parse().is_ok_and(|started| is_recent(started, now))
}

/// May what was begun then be at work?
fn is_recent(then: jiff::Timestamp, now: jiff::Timestamp) -> bool {
    now.duration_since(then).unsigned_abs() < RESUME_WITHIN
}

/// The words that decide what is measured.
fn meant(argv: &[String]) -> Vec<&str> {
    let mut words = argv.iter().skip(1).map(String::as_str);
    let mut meant = Vec::new();
    while let Some(word) = words.next() {
        if LIMITS.contains(&word) {
            words.next();
        } else if !MANNERS.contains(&word) && !LIMITS.iter().any(|limit| word.starts_with(&format!("{limit}="))) {
            meant.push(word);
        }
    }
    meant
}

/// What a run is compared with, oldest first: the committed evidence, then the earlier
/// nights of its variant.
///
/// # Errors
/// The evidence cannot be read.
pub fn past(checkout: &Path, history: &[Stored], night: &Stored) -> anyhow::Result<Vec<Night>> {
    let mut past = Vec::new();
    if night.info.variant == Variant::Measure {
        past.extend(store::read_references(checkout)?.into_iter().map(Night::of_reference));
    }
    past.extend(earlier(history, night).filter_map(Night::of));
    Ok(past)
}

/// The stored nights before this one.
fn earlier<'a>(history: &'a [Stored], night: &'a Stored) -> impl Iterator<Item = &'a Stored> {
    history.iter().filter(|run| run.id < night.id && is_comparable(&run.info) && run.info.variant == night.info.variant)
}

/// What a night was to measure: what its command line names; without names all that an
/// earlier night measured, too. Committed evidence alone promises nothing: an archive may
/// not have its kernel.
#[must_use]
pub fn asked(info: &RunInfo, chosen: &[String], named: bool, past: &[Night]) -> Asked {
    let mut targets: BTreeSet<String> = chosen.iter().cloned().collect();
    if !named {
        targets.extend(
            past.iter()
                .filter(|night| !night.is_reference())
                .flat_map(|night| &night.targets)
                .map(|target| target.target.clone()),
        );
    }
    let cells = info.plan.cells.iter().map(|cell| (cell.name(), cell.window)).collect();
    let behaviours = info.plan.behaviours.iter().map(ToString::to_string).collect();
    Asked { targets, cells, behaviours, storm: info.plan.storm.is_some() }
}

/// The night's report in all formats, beside its record.
pub const REPORTS: [(&str, Format); 5] = [
    ("report.html", Format::Html),
    ("report.md", Format::Markdown),
    ("junit.xml", Format::Junit),
    ("report.ktap", Format::Ktap),
    ("kcidb.json", Format::Kcidb),
];

fn oldest_kernel_first(outcomes: &mut [TargetOutcome]) {
    outcomes.sort_by_key(|outcome| version_key(&outcome.target));
}
