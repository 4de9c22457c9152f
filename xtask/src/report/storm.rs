// SPDX-License-Identifier: GPL-2.0-only
//! The storm of each side for people at a terminal: a paragraph a side.
//!
//! Owns: its words. What is wrong is among the reasons, which come last.

use crate::outcome::{SideOutcome, StormOutcome, TargetOutcome};
use crate::storm::seen::{ProbeReport, Seen};

/// All storms of a target; empty if there was none.
pub(super) fn render(target: &TargetOutcome) -> String {
    target.sides.iter().filter_map(|side| Some(paragraph(&target.target, side, side.storm.as_ref()?))).collect()
}

fn paragraph(target: &str, side: &SideOutcome, storm: &StormOutcome) -> String {
    let StormOutcome { asked, seen, reason } = storm;
    let state = if reason.is_none() { "sound" } else { "broken" };
    let head = format!(
        "\nstorm on {target} {}: {state} ({} s, {} memory, reads of swap late by {})\n",
        side.side, asked.seconds, asked.backing, asked.latency
    );
    let Some(seen) = seen else { return head };
    let Seen { faults_per_s, accesses, async_pf, .. } = seen;
    let async_pf = async_pf.map_or_else(|| "uncounted".to_owned(), |count| count.to_string());
    let probes: String = seen.probes.iter().map(probe).collect();
    format!(
        "{head}    guest: {accesses} accesses checked, {faults_per_s:.0} faults/s, {async_pf} async page faults\n{probes}"
    )
}

fn probe(report: &ProbeReport) -> String {
    let waits = report.wait_ms;
    let (p50, p99, max) = (waits.p50, waits.p99, waits.max);
    format!("    {}: {} waits, p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms\n", report.probe, report.n)
}
