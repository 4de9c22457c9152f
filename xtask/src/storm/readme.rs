// SPDX-License-Identifier: GPL-2.0-only
//! README's table and plots of the storms, generated from the committed evidence.
//!
//! Owns: the block between its markers. Must not: read or write files.

use std::fmt::Write as _;

use anyhow::bail;

use super::ratio::{Decision, Ratio};
use super::run::name;
use super::{Report, Row, SIDES, side_of};
use crate::report::readme::between;
use crate::store::REFERENCE;

/// Begins the generated block.
pub const BEGIN: &str = "<!-- storm:begin -->";
/// Ends it.
pub const END: &str = "<!-- storm:end -->";

/// What the table shows of each probe; the rest is in the evidence.
const FIGURES: [&str; 4] = ["p50", "p99", "max", "faults/s"];

/// `readme` with the block made anew.
///
/// # Errors
/// A marker is missing, twice there, or in the wrong order.
pub fn replace(readme: &str, reports: &[Report]) -> anyhow::Result<String> {
    between(readme, [BEGIN, END], &block(reports))
}

/// An error unless the block in `readme` is what the reports give.
///
/// # Errors
/// As [`replace`]; or the block differs, with the block that it should be.
pub fn check(readme: &str, reports: &[Report]) -> anyhow::Result<()> {
    if replace(readme, reports)? == readme {
        return Ok(());
    }
    bail!("README's storms are not what results/reference/ gives; they should be\n{}", block(reports))
}

/// The block, markdown.
#[must_use]
pub fn block(reports: &[Report]) -> String {
    if reports.is_empty() {
        return "No storm has been measured yet.\n".to_owned();
    }
    let mut text = "| kernel | guest memory | of | figure | baseline | patched | ratio | 95 % interval |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for report in reports {
        for row in report.ratios.iter().filter(|row| FIGURES.contains(&row.figure.as_str())) {
            text += &line(report, row);
        }
    }
    text.push('\n');
    for report in reports {
        writeln!(text, "{}\n", caption(report)).unwrap_or_default();
    }
    text
}

fn line(report: &Report, row: &Row) -> String {
    let [baseline, patched] = [row.baseline, row.patched].map(|value| super::text::figure(value, &row.figure));
    format!(
        "| {} | {} | {} | {} | {baseline} | {patched} | {:.2} | {} |\n",
        report.version,
        report.storm.backing,
        row.of,
        row.figure,
        row.ratio.ratio,
        interval(&row.ratio),
    )
}

fn interval(ratio: &Ratio) -> String {
    let ends = ratio.interval.map_or_else(|| "none".to_owned(), |[low, high]| format!("{low:.2} to {high:.2}"));
    match (ratio.decision, ratio.more_boots) {
        (Decision::Undecided, Some(more)) => format!("{ends}, undecided: {more} more boots needed"),
        _ => ends,
    }
}

fn caption(report: &Report) -> String {
    let boots = SIDES.map(|side| report.boots.iter().filter(|boot| side_of(&boot.boot) == side).count());
    let waits = report.boots.first().and_then(|boot| boot.seen.probes.first()).map_or(0, |probe| probe.n);
    let (storm, version) = (&report.storm, &report.version);
    let what = format!(
        "{version}, {} guest memory: {} and {} boots, {waits} waits of each probe a boot, swap reads late by `{}`, {}",
        storm.backing, boots[0], boots[1], storm.latency, report.accel
    );
    format!(
        "![{version}, {} guest memory: waits on both sides]({REFERENCE}/{}.svg)\n\n({what}.)",
        storm.backing,
        name(report)
    )
}
