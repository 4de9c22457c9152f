// SPDX-License-Identifier: GPL-2.0-only
//! One target's section: its waits, who held the lock, what else was tried, the runs before.
//!
//! Owns: that section. Must not: draw (`chart` does).

use maud::{Markup, html};

use super::overview::{short, title};
use super::{anchor, badge, behaviours, chart, history, state, storm};
use crate::outcome::{SideOutcome, TargetOutcome};
use crate::report::holders::{Holder, holders};
use crate::report::rows::{Row, merged, rows};
use crate::report::{longest, place_of_wait, stress};
use crate::store::{Evidence, Stored};

/// Frames of a stack that a summary shows.
const SUMMARY_FRAMES: usize = 2;

/// The whole section.
pub(super) fn render(evidence: &Evidence, target: &TargetOutcome, past: &[Stored]) -> Markup {
    let rows = merged(rows(std::slice::from_ref(target)));
    html! {
        section.target id=(anchor(&target.target)) {
            h2 { (target.target) " " small { "Linux " (target.version) } " " (badge(target.verdict)) }
            p.facts { (facts(evidence, target)) }
            @if !rows.is_empty() {
                h3 { "Waits" }
                p.hint { (key(evidence, target)) }
                div.waits { @for row in &rows { (line(evidence, target, &rows, row)) } }
            }
            (held(target))
            (behaviours::render(target))
            (stress(target))
            (storm::render(target))
            (history::render(evidence, target, past))
        }
    }
}

fn facts(evidence: &Evidence, target: &TargetOutcome) -> Markup {
    let info = evidence.info.as_ref().and_then(|info| info.targets.iter().find(|of| of.target == target.target));
    let mut facts: Vec<String> = info.iter().map(|info| info.origin.clone()).collect();
    facts.extend(
        target.sides.iter().map(|side| format!("{}: first frame after {}", side.side, short_seconds(side.boot_ms))),
    );
    facts.extend(info.and_then(|info| info.sides.first()).map(|side| side.compiler.clone()));
    html! { (facts.join(" · ")) }
}

fn short_seconds(ms: u64) -> String {
    if ms == 0 { "never".to_owned() } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

/// Which colour is which side's.
fn key(evidence: &Evidence, target: &TargetOutcome) -> Markup {
    let how = if evidence.boots.is_empty() {
        "How long the probes waited, one line a cell from its median, the dot, to its longest wait"
    } else {
        "How long the probes waited, one bar a range, the taller the more often"
    };
    html! {
        (how) "; each step is ten times the one before: "
        @for side in &target.sides {
            span.key { span.swatch.(chart::lane(&side.side)) {} (side.side) } " "
        }
        span.key { span.swatch.limit {} "longest hold" }
    }
}

fn line(evidence: &Evidence, target: &TargetOutcome, rows: &[Row], row: &Row) -> Markup {
    let lanes: Vec<chart::Lane> = target.sides.iter().map(|side| lane(evidence, target, side, row)).collect();
    html! {
        div.wait {
            div.what { (title(rows, row)) }
            div.states {
                @for (side, shown) in target.sides.iter().zip(row.shown.first().into_iter().flatten()) {
                    div {
                        span.side { (side.side) } " " (state(*shown))
                        @if let Some(wait) = longest(&row.of(side)) { " " small { "≤ " (short(wait)) " ms" } }
                    }
                }
            }
            (chart::waits(&lanes, hold(evidence, target)))
        }
    }
}

fn lane(evidence: &Evidence, target: &TargetOutcome, side: &SideOutcome, row: &Row) -> chart::Lane {
    let cells = row.of(side);
    let boot = evidence.boot(&target.target, &side.side);
    let waits: Vec<f64> =
        cells.iter().flat_map(|cell| boot.map_or(&[][..], |boot| boot.waits(cell))).copied().collect();
    let quantiles = cells.iter().filter(|cell| super::super::measured(cell)).map(|cell| cell.wait_ms).collect();
    chart::Lane { name: side.side.clone(), waits, quantiles }
}

/// The nominal hold; of a reference the longest that was seen.
fn hold(evidence: &Evidence, target: &TargetOutcome) -> f64 {
    let seen = target.sides.iter().flat_map(|side| &side.cells).map(|cell| cell.hold_ms).fold(0.0, f64::max);
    evidence.info.as_ref().map_or(seen, |info| f64::from(info.plan.hold_ms))
}

/// `anon.sync, anon.apf-halt: 8 cells`.
fn paths(cells: &[String]) -> String {
    let mut paths: Vec<&str> = Vec::new();
    for cell in cells {
        let path = cell.rsplit_once('.').map_or(cell.as_str(), |(path, _)| path);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    format!("{}: {} {}", paths.join(", "), cells.len(), if cells.len() == 1 { "cell" } else { "cells" })
}

fn held(target: &TargetOutcome) -> Markup {
    let holders = holders(target);
    html! {
        @if !holders.is_empty() {
            h3 { "Who held the lock" }
            @for Holder { side, stack, cells } in holders {
                details {
                    summary {
                        (side) ": " code { (place_of_wait(stack, SUMMARY_FRAMES).join(" ← ")) }
                        " " small { (paths(&cells)) }
                    }
                    pre { (stack.join("\n")) }
                    p.hint { "in " (cells.join(", ")) }
                }
            }
        }
    }
}

fn stress(target: &TargetOutcome) -> Markup {
    let told = stress::render(target);
    html! { @if !told.is_empty() { h3 { "Stress of guest memory" } pre { (told.trim()) } } }
}
