// SPDX-License-Identifier: GPL-2.0-only
//! Makes the boots of a storm.
//!
//! Owns: their order, their seeds, and the record. Must not: compare.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Boot, Judged, Report, SCHEMA, judge, order};
use crate::error::Error;
use crate::file;
use crate::measure::{self, Lab, Subject};
use crate::outcome::SideOutcome;
use crate::store::{REFERENCE, SideInfo};
use crate::target::version_key;
use crate::transcript::Transcript;

/// In the record, beside `outcome.json`.
const REPORT: &str = "storm.json";
const PLOT: &str = "storm.svg";
/// Of the names of committed evidence, between those of targets.
const PREFIX: &str = "storm-";

/// Boots each side so often, and compares. An error that stands for a verdict becomes the
/// outcome, without a report.
///
/// # Errors
/// As [`measure::kernel`].
pub fn storm(lab: &mut Lab, subject: &Subject<'_>, boots: u32) -> Result<Judged, Error> {
    lab.begin(subject.name().to_owned(), subject.target)?;
    let mut seen = Vec::new();
    if let Err(error) = blow(lab, subject, boots, &mut seen) {
        let sides = seen.into_iter().map(|(side, _)| side).collect();
        return Ok((measure::stopped(lab, subject, sides, error)?, None, Vec::new()));
    }
    let version = lab.record().version.clone();
    let (outcome, report, boots) = judge(subject.name(), &version, &lab.info.accel, &lab.plan, seen);
    let report = report.map(|report| Report { run: Some(lab.run.name().to_owned()), ..report });
    Ok((outcome, report, boots))
}

fn blow(
    lab: &mut Lab,
    subject: &Subject<'_>,
    boots: u32,
    seen: &mut Vec<(SideOutcome, Transcript)>,
) -> Result<(), Error> {
    // The kernels are there as long as the work area is ours.
    let (_work, built) = measure::build_all(lab, subject)?;
    let order = order(boots);
    for (side, name) in &order {
        let built = built.iter().find(|built| built.side.name() == *side).context("a side was not built")?;
        let info = SideInfo { side: name.clone(), ..measure::describe(built) };
        lab.record().sides.push(info);
    }
    lab.run.describe(&lab.info)?;
    for (side, name) in order {
        let built = built.iter().find(|built| built.side.name() == side).context("a side was not built")?;
        seen.push(measure::boot(lab, subject, built, &name)?);
    }
    Ok(())
}

/// Writes report and plot into the folder of the record.
///
/// # Errors
/// A file cannot be written.
pub fn keep(dir: &Path, report: &Report, boots: &[Boot]) -> anyhow::Result<()> {
    write(&dir.join(REPORT), &dir.join(PLOT), report, boots)
}

/// The name of its committed evidence, without extension.
#[must_use]
pub fn name(report: &Report) -> String {
    format!("{PREFIX}{}-{}", report.target, report.storm.backing)
}

/// Is a file of this name the committed evidence of a storm?
#[must_use]
pub fn is_reference(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes())
}

/// Writes them as committed evidence; the paths.
///
/// # Errors
/// The report is no pass, or a file cannot be written.
pub fn keep_reference(checkout: &Path, report: &Report, boots: &[Boot]) -> anyhow::Result<[PathBuf; 2]> {
    super::evidence(report)?;
    let dir = checkout.join(REFERENCE);
    file::make_dir(&dir)?;
    let paths = ["json", "svg"].map(|extension| dir.join(format!("{}.{extension}", name(report))));
    write(&paths[0], &paths[1], &Report { run: None, ..report.clone() }, boots)?;
    Ok(paths)
}

/// All committed evidence of storms, the oldest kernel first.
///
/// # Errors
/// It cannot be read, or was written by a later xtask.
pub fn references(checkout: &Path) -> anyhow::Result<Vec<Report>> {
    let dir = checkout.join(REFERENCE);
    let list = || format!("cannot list {}", dir.display());
    let mut reports = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let named = is_reference(path.file_name().unwrap_or_default().as_encoded_bytes());
        if named && path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let report: Report = serde_json::from_slice(&text)
                .with_context(|| format!("{} is not what this xtask writes", path.display()))?;
            anyhow::ensure!(report.schema <= SCHEMA, "{} was written by a later xtask", path.display());
            reports.push(report);
        }
    }
    reports.sort_by_key(|report| (version_key(&report.target), report.storm.backing.to_string()));
    Ok(reports)
}

fn write(json: &Path, svg: &Path, report: &Report, boots: &[Boot]) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(report).context("cannot encode a storm's report")?;
    text.push(b'\n');
    file::write(json, &text)?;
    file::write(svg, super::plot::svg(report, boots).as_bytes())
}
