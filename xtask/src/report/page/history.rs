// SPDX-License-Identifier: GPL-2.0-only
//! The runs of a target up to this one, as small lines.
//!
//! Owns: which figures and which runs are comparable: sound boots of the same variant
//! on the same accelerator; for what cells showed, of the same cells. Must not: judge them.

use maud::{Markup, html};
use selftests::cell::catalogue;

use super::chart;
use super::overview::short;
use crate::outcome::{CellState, SideOutcome, TargetOutcome};
use crate::report::{longest, measured};
use crate::store::{Evidence, Stored};
use crate::verdict::Verdict;

/// As many as a line on a phone can tell apart.
const MOST: usize = 30;

/// One small line.
struct Figure {
    label: String,
    unit: &'static str,
    points: Vec<(String, f64)>,
}

/// Empty if there is no other run to compare with.
pub(super) fn render(evidence: &Evidence, target: &TargetOutcome, past: &[Stored]) -> Markup {
    let figures: Vec<Figure> =
        target.sides.iter().flat_map(|side| figures(evidence, target, &side.side, past)).collect();
    let figures: Vec<Figure> = figures.into_iter().filter(|figure| figure.points.len() > 1).collect();
    html! {
        @if !figures.is_empty() {
            h3 { "The runs before" }
            div.sparks {
                @for Figure { label, unit, points } in &figures {
                    @if let Some((_, last)) = points.last() {
                        figure {
                            (chart::spark(points))
                            figcaption { (label) ": " strong { (short(*last)) " " (unit) } small { " of " (points.len()) " runs" } }
                        }
                    }
                }
            }
        }
    }
}

fn figures(evidence: &Evidence, target: &TargetOutcome, side: &str, past: &[Stored]) -> Vec<Figure> {
    let cells = evidence.info.as_ref().map_or_else(catalogue, |info| info.plan.cells.clone());
    let alike = |run: &&Stored| run.info.plan.cells == cells;
    let all: Vec<&Stored> = past.iter().collect();
    let same_cells: Vec<&Stored> = past.iter().filter(alike).collect();
    let figure = |runs: &[&Stored], label: &str, unit, of: &dyn Fn(&SideOutcome) -> Option<f64>| {
        let point = |run: &&Stored| {
            let value = of(comparable(evidence, target, side, run)?)?;
            Some((format!("{}: {} {unit}", run.id, short(value)), value))
        };
        let mut points: Vec<(String, f64)> = runs.iter().filter_map(point).collect();
        let most = points.len().saturating_sub(MOST);
        Figure { label: format!("{label}, {side}"), unit, points: points.split_off(most) }
    };
    vec![
        figure(&same_cells, "held", "% of cells", &held),
        figure(&same_cells, "longest wait", "ms", &wait),
        figure(&all, "first frame", "s", &|side| (side.boot_ms > 0).then(|| seconds(side.boot_ms))),
    ]
}

/// The side of that run that can stand beside this one's.
fn comparable<'a>(evidence: &Evidence, target: &TargetOutcome, side: &str, run: &'a Stored) -> Option<&'a SideOutcome> {
    let outcome = run.outcome.as_ref()?;
    let variant = evidence.info.as_ref().map(|info| info.variant).unwrap_or_default();
    let this = evidence.outcome.run.as_deref().and_then(|run| run.rsplit('/').next());
    // The prefixes of a series are other kernels.
    if run.info.argv.get(1).is_some_and(|verb| verb == "series") {
        return None;
    }
    if run.info.variant != variant
        || outcome.accel != evidence.outcome.accel
        || this.is_some_and(|id| run.id.as_str() > id)
    {
        return None;
    }
    let target = outcome.targets.iter().find(|other| other.target == target.target)?;
    target.sides.iter().find(|other| other.side == side && other.verdict == Verdict::Pass)
}

fn held(side: &SideOutcome) -> Option<f64> {
    let cells: Vec<_> = side.cells.iter().filter(|cell| measured(cell) && !cell.is_control()).collect();
    let held = cells.iter().filter(|cell| cell.state != CellState::Released).count();
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    (!cells.is_empty()).then(|| 100.0 * number(held) / number(cells.len()))
}

fn wait(side: &SideOutcome) -> Option<f64> {
    longest(&side.cells.iter().filter(|cell| !cell.is_control()).collect::<Vec<_>>())
}

fn seconds(ms: u64) -> f64 {
    f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1000.0
}
