// SPDX-License-Identifier: GPL-2.0-only
//! A storm's report for a terminal and for Markdown.
//!
//! Owns: words and columns. Must not: compute.

use std::fmt::Write as _;

use super::ratio::{Decision, Ratio};
use super::{Report, SIDES, side_of};

/// For a terminal.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = head(report);
    let line = |cells: [&str; 6]| {
        let [of, figure, baseline, patched, ratio, told] = cells;
        let text = format!("  {of:7} {figure:9} {baseline:>11} {patched:>11} {ratio:>9}  {told}");
        text.trim_end().to_owned() + "\n"
    };
    text += &line(["", "", SIDES[0], SIDES[1], "ratio", "95 % interval"]);
    for row in &report.ratios {
        let [baseline, patched] = [row.baseline, row.patched].map(|value| figure(value, &row.figure));
        let ratio = format!("{:.2}", row.ratio.ratio);
        text += &line([&row.of, &row.figure, &baseline, &patched, &ratio, &told(&row.ratio)]);
    }
    text += &boots(report);
    // The worst first, as in every report.
    writeln!(text, "{}: {}", report.target, report.verdict).unwrap_or_default();
    for reason in &report.reasons {
        writeln!(text, "  {reason}").unwrap_or_default();
    }
    text
}

fn head(report: &Report) -> String {
    let storm = &report.storm;
    format!(
        "{} {} ({}): {} vCPUs touch {} MiB of {} memory and may have half of it, for {} s a boot; reads of swap are late by \
         {}; each probe shoots {} times a second\n",
        report.target,
        report.version,
        report.accel,
        storm.vcpus,
        storm.pages / 256,
        storm.backing,
        storm.seconds,
        storm.latency,
        storm.rate,
    )
}

pub(super) fn figure(value: f64, name: &str) -> String {
    if name.ends_with("/s") { format!("{value:.0}") } else { format!("{value:.2} ms") }
}

/// `8.1 to 10.2, larger`.
fn told(ratio: &Ratio) -> String {
    let interval = ratio.interval.map(|[low, high]| format!("{low:.2} to {high:.2}"));
    let interval = interval.unwrap_or_else(|| "none".to_owned());
    match (ratio.decision, ratio.more_boots) {
        (Decision::Larger, _) => format!("{interval}, baseline is larger"),
        (Decision::Smaller, _) => format!("{interval}, baseline is smaller"),
        (Decision::Alike, _) => format!("{interval}, alike"),
        (Decision::Undecided, Some(more)) => format!("{interval}, undecided: {more} more boots needed"),
        (Decision::Undecided, None) => format!("{interval}, undecided"),
    }
}

fn boots(report: &Report) -> String {
    let mut text = String::new();
    for side in SIDES {
        let boots: Vec<_> = report.boots.iter().filter(|boot| side_of(&boot.boot) == side).collect();
        let sum = |count: fn(&super::BootReport) -> u64| boots.iter().map(|boot| count(boot)).sum::<u64>();
        let late = |place: usize| boots.iter().map(|boot| boot.seen.late_ms[place]).fold(0.0, f64::max);
        writeln!(
            text,
            "  {side}: {} sound boots, {} accesses checked, {} async page faults taken, {} reads of swap, which came late by \
             {:.1} ms (p50), {:.1} ms (p99), {:.1} ms (max)",
            boots.len(),
            sum(|boot| boot.seen.accesses),
            sum(|boot| boot.seen.async_pf.unwrap_or(0)),
            sum(|boot| boot.seen.swap_reads),
            late(0),
            late(1),
            late(2),
        )
        .unwrap_or_default();
    }
    text
}
