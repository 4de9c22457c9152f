// SPDX-License-Identifier: GPL-2.0-only
//! All that a report may tell of a run: its outcome, how it was made, each wait,
//! and what the consoles said.
//!
//! Owns: reading that out of a record, or out of the committed references, which
//! have only quantiles. Must not: judge by other rules than the run's own, or
//! render.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use selftests::protocol::Frame;

use super::read::{find, judge_again, read_info, read_transcript, stored_outcome};
use super::{
    NightInfo, OUTCOME, REFERENCE, RUNS, Reference, RunInfo, TRANSCRIPT, boot_name, read_night, read_references,
    target_file,
};
use crate::error::Error;
use crate::judge;
use crate::outcome::{CellOutcome, Outcome, TargetOutcome};
use crate::qemu;
use crate::target::Target;
use crate::transcript::{Finding, Transcript};
use crate::verdict::Verdict;

/// Lines of a console's end that are kept: more than the longest trace that ends a
/// kernel.
const CONSOLE_LINES: usize = 60;

/// Bytes of a console's end that are looked at: [`CONSOLE_LINES`] long lines.
const CONSOLE_BYTES: u64 = 32 << 10;

/// A run, or references in the place of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What it showed.
    pub outcome: Outcome,
    /// How it was made; references do not say.
    pub info: Option<RunInfo>,
    /// The expectations that it was judged by, for each target that has some.
    pub expected: Vec<Expectations>,
    /// One for each boot of which there is a record.
    pub boots: Vec<Boot>,
    /// What a night said of it.
    pub night: Option<NightInfo>,
}

/// A target's `target.toml`, as the run had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectations {
    /// The target's name.
    pub target: String,
    /// The file.
    pub text: String,
}

/// One boot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Boot {
    /// The target's name.
    pub target: String,
    /// Which side of it.
    pub side: String,
    /// The folder of its record below the checkout.
    pub folder: String,
    /// Every wait of each cell and probe.
    pub waits: Vec<Waits>,
    /// What the console's detectors recognised.
    pub findings: Vec<Finding>,
    /// The console's last lines, printable.
    pub console: Vec<String>,
    /// QEMU's start to its end, in milliseconds; `None` if that is not known.
    pub total_ms: Option<u64>,
}

/// The waits of one probe in one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Waits {
    /// E.g. `anon.sync.read`.
    pub cell: String,
    /// Readahead window, pages.
    pub window: u32,
    /// As in [`selftests::cell::Probe`].
    pub probe: String,
    /// In milliseconds, one a trial.
    pub ms: Vec<f64>,
}

impl Evidence {
    /// The expectations of a target; `None` for a tree, for references, and for those of
    /// another time that cannot be read any more.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<Target> {
        let kept = self.expected.iter().find(|kept| kept.target == name)?;
        Target::recorded(name, Path::new(""), &kept.text).ok()
    }

    /// The record of a boot.
    #[must_use]
    pub fn boot(&self, target: &str, side: &str) -> Option<&Boot> {
        self.boots.iter().find(|boot| boot.target == target && boot.side == side)
    }
}

impl Boot {
    /// The waits of a cell; empty if only its quantiles are known.
    #[must_use]
    pub fn waits(&self, cell: &CellOutcome) -> &[f64] {
        let of = |waits: &&Waits| waits.cell == cell.cell && waits.window == cell.window && waits.probe == cell.probe;
        self.waits.iter().find(of).map_or(&[], |waits| &waits.ms)
    }
}

/// What `wanted` names: a run as in [`find`]; `reference` for all committed
/// references; `reference/TARGET`, or such a file, for one.
///
/// # Errors
/// There is no such run or reference, or its record cannot be read.
pub fn evidence(checkout: &Path, wanted: Option<&str>) -> Result<Evidence, Error> {
    match wanted.and_then(|wanted| Some((wanted, referenced(checkout, wanted)?))) {
        Some((wanted, target)) => of_references(checkout, wanted, target.as_deref()),
        None => of_run(&find(checkout, wanted)?),
    }
}

/// Does it name references, and which target's? `None` if it names something else.
fn referenced(checkout: &Path, wanted: &str) -> Option<Option<String>> {
    let short = wanted.trim_end_matches('/');
    if short == "reference" {
        return Some(None);
    }
    if let Some(target) = short.strip_prefix("reference/") {
        return Some(Some(target.trim_end_matches(".json").to_owned()));
    }
    let folder = checkout.join(REFERENCE).canonicalize().ok()?;
    let path = [PathBuf::from(short), checkout.join(short)].iter().find_map(|path| path.canonicalize().ok())?;
    if path == folder {
        return Some(None);
    }
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    (path.parent() == Some(folder.as_path())).then_some(Some(stem))
}

fn of_references(checkout: &Path, wanted: &str, target: Option<&str>) -> Result<Evidence, Error> {
    let mut references = read_references(checkout)?;
    references.retain(|reference| target.is_none_or(|target| reference.target == target));
    if references.is_empty() {
        return Err(Error::NothingSelected(anyhow!("{wanted:?}: there is no such file in {REFERENCE}")));
    }
    let accel = references.first().map(|reference| reference.accel.clone()).unwrap_or_default();
    let outcome = judge::outcome(&accel, references.into_iter().map(passed).collect(), None);
    Ok(Evidence { outcome, info: None, expected: Vec::new(), boots: Vec::new(), night: None })
}

/// Only a pass becomes a reference.
fn passed(reference: Reference) -> TargetOutcome {
    let Reference { target, version, sides, .. } = reference;
    TargetOutcome { target, version, verdict: Verdict::Pass, sides, reasons: Vec::new() }
}

fn of_run(dir: &Path) -> Result<Evidence, Error> {
    let info = read_info(dir)?;
    // What the run itself told stands, as in the list of runs; `judge` tells it anew.
    let outcome = if dir.join(OUTCOME).is_file() { stored_outcome(dir)? } else { judge_again(dir)? };
    let (mut expected, mut boots) = (Vec::new(), Vec::new());
    for target in &info.targets {
        if target.has_target {
            let path = dir.join(target_file(&target.target));
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            expected.push(Expectations { target: target.target.clone(), text });
        }
        for side in &target.sides {
            boots.extend(boot(dir, &target.target, &side.side)?);
        }
    }
    Ok(Evidence { outcome, info: Some(info), expected, boots, night: read_night(dir)? })
}

/// `None` if it did not get as far as a folder.
fn boot(dir: &Path, target: &str, side: &str) -> anyhow::Result<Option<Boot>> {
    let name = boot_name(target, side)?;
    let folder = dir.join(&name);
    if !folder.is_dir() {
        return Ok(None);
    }
    let transcript = if folder.join(TRANSCRIPT).is_file() { Some(read_transcript(dir, target, side)?) } else { None };
    let id = dir.file_name().context("a run's folder has no name")?.to_string_lossy();
    Ok(Some(Boot {
        target: target.to_owned(),
        side: side.to_owned(),
        folder: format!("{RUNS}/{id}/{name}"),
        waits: transcript.as_ref().map(waits).unwrap_or_default(),
        total_ms: transcript.as_ref().map(|transcript| transcript.total_ms),
        findings: transcript.map(|transcript| transcript.findings).unwrap_or_default(),
        console: console(&folder.join(qemu::CONSOLE))?,
    }))
}

fn waits(transcript: &Transcript) -> Vec<Waits> {
    let mut all: Vec<Waits> = Vec::new();
    for envelope in &transcript.frames {
        let Frame::Sample { cell, sample } = &envelope.frame else { continue };
        for met in &sample.probes {
            let (name, probe) = (cell.name(), met.probe.to_string());
            let same = |waits: &&mut Waits| waits.cell == name && waits.window == cell.window && waits.probe == probe;
            match all.iter_mut().rev().find(same) {
                Some(waits) => waits.ms.push(met.wait_ms),
                None => all.push(Waits { cell: name, window: cell.window, probe, ms: vec![met.wait_ms] }),
            }
        }
    }
    all
}

/// The last lines; none if nothing was written.
fn console(path: &Path) -> anyhow::Result<Vec<String>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(CONSOLE_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(printable).filter(|line| !line.is_empty()).collect();
    let skipped = lines.len().saturating_sub(CONSOLE_LINES);
    Ok(lines.into_iter().skip(skipped).collect())
}

/// Without characters that a terminal or a format would take for its own.
fn printable(line: &str) -> String {
    line.chars().filter(|letter| !letter.is_control() || *letter == '\t').collect()
}
