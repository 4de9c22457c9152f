// SPDX-License-Identifier: GPL-2.0-only
//! The storm of a target: each probe's waits, one side below the other.
//!
//! Owns: that part. Must not: compare the sides; what has grown is among a night's words.

use maud::{Markup, html};
use selftests::cell::Probe;
use selftests::storms::PROBES;

use super::chart;
use crate::outcome::{StormOutcome, TargetOutcome, WaitMs};

/// A side and what its storm showed.
type Side<'a> = (&'a str, &'a StormOutcome);

/// Empty if there was none.
pub(super) fn render(target: &TargetOutcome) -> Markup {
    let sides: Vec<Side<'_>> =
        target.sides.iter().filter_map(|side| Some((side.side.as_str(), side.storm.as_ref()?))).collect();
    html! {
        @if let Some((_, StormOutcome { asked, .. })) = sides.first() {
            h3 { "Storm" }
            p.hint {
                (asked.seconds) " s, " (asked.backing) " memory, reads of swap late by " (asked.latency)
                "; one line a probe from its median, the dot, to its longest wait"
            }
            @for (side, storm) in &sides { p.facts { (side) ": " (guest(storm)) } }
            div.waits { @for probe in PROBES { (line(&sides, probe)) } }
        }
    }
}

/// What the guest did, or why that is not known.
fn guest(storm: &StormOutcome) -> String {
    match (&storm.reason, &storm.seen) {
        (Some(reason), _) => format!("broken: {reason}"),
        (None, Some(seen)) => format!("{} accesses checked, {:.0} faults/s", seen.accesses, seen.faults_per_s),
        (None, None) => "nothing was seen".to_owned(),
    }
}

fn line(sides: &[Side<'_>], probe: Probe) -> Markup {
    let waits: Vec<(&str, Option<WaitMs>)> = sides.iter().map(|(side, storm)| (*side, wait(storm, probe))).collect();
    let lanes: Vec<chart::Lane> = waits
        .iter()
        .map(|(side, wait)| chart::Lane {
            name: (*side).to_owned(),
            waits: Vec::new(),
            quantiles: wait.iter().copied().collect(),
        })
        .collect();
    html! {
        @if waits.iter().any(|(_, wait)| wait.is_some()) {
            div.wait {
                div.what { code { (probe) } }
                div.states {
                    @for (side, wait) in &waits {
                        @if let Some(WaitMs { median, p99, max }) = wait {
                            div { span.side { (side) } " " small { (format!("p50 {median:.2}, p99 {p99:.2}, max {max:.2} ms")) } }
                        }
                    }
                }
                (chart::waits(&lanes, 0.0))
            }
        }
    }
}

fn wait(storm: &StormOutcome, probe: Probe) -> Option<WaitMs> {
    let waits = storm.seen.as_ref()?.probe(probe)?.wait_ms;
    Some(WaitMs { median: waits.p50, p99: waits.p99, max: waits.max })
}
