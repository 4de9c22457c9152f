// SPDX-License-Identifier: GPL-2.0-only
//! The committed evidence: one compact file a target, `results/reference/<target>.json`.
//!
//! Owns: its format, schema 1. README's table is generated from it and nothing
//! else. Must not: let anything but a pass become evidence.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use selftests::cell::catalogue;
use selftests::plan::TRIALS;
use serde::{Deserialize, Serialize};

use super::REFERENCE;
use super::info::RunInfo;
use super::schema;
use crate::file;
use crate::outcome::{CellState, Outcome, SideOutcome, TargetOutcome};
use crate::storm::run::is_reference as is_storm;
use crate::variant::Variant;
use crate::verdict::Verdict;

const SCHEMA: u32 = 1;

/// What a target showed in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Version of this format.
    pub schema: u32,
    /// The target's name.
    pub target: String,
    /// The exact version.
    pub version: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// The nominal hold, in milliseconds.
    pub hold_ms: u32,
    /// Trials of each cell.
    pub trials: u32,
    /// As in the outcome.
    pub sides: Vec<SideOutcome>,
}

/// The evidence of each target of a passed run; `info` is the run's.
///
/// # Errors
/// A target did not pass, or was not measured in full.
pub fn reference(outcome: &Outcome, info: &RunInfo) -> anyhow::Result<Vec<Reference>> {
    let plan = &info.plan;
    if info.variant != Variant::Measure {
        bail!("the run's kernels were built for {}: their waits are no reference", info.variant);
    }
    let one = |target: &TargetOutcome| {
        if target.verdict != Verdict::Pass {
            bail!("{} is {}, and only a pass becomes a reference", target.target, target.verdict);
        }
        if plan.cells != catalogue() || plan.trials < TRIALS {
            bail!("{} was measured in part; a reference has all cells and {TRIALS} trials or more", target.target);
        }
        Ok(Reference {
            schema: SCHEMA,
            target: target.target.clone(),
            version: target.version.clone(),
            accel: outcome.accel.clone(),
            hold_ms: plan.hold_ms,
            trials: plan.trials,
            sides: target.sides.iter().map(compact).collect(),
        })
    };
    outcome.targets.iter().map(one).collect()
}

/// Only a held lock has a holder worth committing.
fn compact(side: &SideOutcome) -> SideOutcome {
    let mut side = side.clone();
    for cell in side.cells.iter_mut().filter(|cell| cell.state != CellState::Held) {
        cell.holder.clear();
    }
    side
}

/// Writes `results/reference/<target>.json` below `checkout`.
///
/// # Errors
/// The file cannot be written.
pub fn write_reference(checkout: &Path, reference: &Reference) -> anyhow::Result<PathBuf> {
    let dir = checkout.join(REFERENCE);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(format!("{}.json", reference.target));
    file::write(&path, text(reference)?.as_bytes())?;
    Ok(path)
}

/// JSON with one cell a line: a later run's differences are readable as a diff.
fn text(reference: &Reference) -> anyhow::Result<String> {
    let mut head = serde_json::to_value(Reference { sides: Vec::new(), ..reference.clone() })?;
    if let Some(head) = head.as_object_mut() {
        head.remove("sides");
    }
    let head = serde_json::to_string(&head)?;
    let mut sides = Vec::new();
    for side in &reference.sides {
        let cells: Result<Vec<_>, _> = side.cells.iter().map(serde_json::to_string).collect();
        let open = serde_json::to_string(&SideOutcome { cells: Vec::new(), ..side.clone() })?;
        let cells = format!("\"cells\":[\n  {}\n ]", cells?.join(",\n  "));
        sides.push(format!(" {}", open.replacen("\"cells\":[]", &cells, 1)));
    }
    let open = head.strip_suffix('}').context("a reference is no JSON object")?;
    Ok(format!("{open},\"sides\":[\n{}\n]}}\n", sides.join(",\n")))
}

/// All references below `checkout`, oldest kernel first; empty if there are none.
///
/// # Errors
/// A file cannot be read, or has a later schema.
pub fn read_references(checkout: &Path) -> anyhow::Result<Vec<Reference>> {
    let dir = checkout.join(REFERENCE);
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let list = || format!("cannot list {}", dir.display());
    let mut references = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(list)? {
        let path = entry.with_context(list)?.path();
        // Storms lie beside them.
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if is_storm(name) || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        references.push(schema::read::<Reference>(&path, &[])?);
    }
    references.sort_by_key(|reference| crate::target::version_key(&reference.target));
    Ok(references)
}
