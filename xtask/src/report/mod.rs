// SPDX-License-Identifier: GPL-2.0-only
//! Renderings of an outcome: values in, text out.
//!
//! Owns: every word that a result is told in. Must not: judge, or write anywhere.

mod behaviours;
mod cases;
pub mod cover;
pub mod diff;
mod holders;
pub mod junit;
pub mod kcidb;
pub mod ktap;
pub mod list;
pub mod markdown;
pub mod matrix;
mod names;
pub mod night;
pub mod page;
pub mod prefixes;
pub mod readme;
pub mod review;
mod rows;
mod storm;
mod stress;
pub mod table;
pub mod watch;

use crate::outcome::{CellOutcome, CellState, SideOutcome};
use crate::store::Evidence;
use crate::verdict::Verdict;

fn measured(cell: &CellOutcome) -> bool {
    matches!(cell.state, CellState::Held | CellState::Released | CellState::Mixed)
}

/// The frames of a stack that say where somebody waits: without the block layer's
/// own innermost one, at most `most`.
pub(crate) fn place_of_wait(stack: &[String], most: usize) -> Vec<&str> {
    let telling = stack.iter().map(String::as_str).skip_while(|symbol| *symbol == "blk_io_schedule");
    telling.take(most).collect()
}

/// A cell's state in a word; `-` where a side has no such cell.
fn told(state: Option<CellState>) -> String {
    state.map_or_else(|| "-".to_owned(), |state| state.to_string())
}

/// The longest wait of those that were measured, in milliseconds.
fn longest(cells: &[&CellOutcome]) -> Option<f64> {
    cells.iter().filter(|cell| measured(cell)).map(|cell| cell.wait_ms.max).max_by(f64::total_cmp)
}

/// What a console says of a failure.
struct Excerpt<'a> {
    target: &'a str,
    side: &'a str,
    /// The trace that a detector found, or else the console's end.
    lines: Vec<String>,
}

/// One for each boot that ended a target's hopes and has something to say: a crash,
/// a harness that failed, or whatever a detector found. Not for a side that is there
/// to die, of a target that passed.
fn excerpts(evidence: &Evidence) -> Vec<Excerpt<'_>> {
    let mut excerpts = Vec::new();
    for target in &evidence.outcome.targets {
        let failed = |side: &&SideOutcome| side.verdict != Verdict::Pass && target.verdict != Verdict::Pass;
        for side in target.sides.iter().filter(failed) {
            let Some(boot) = evidence.boot(&target.target, &side.side) else { continue };
            let found = boot.findings.iter().find(|finding| finding.fatal).map(|finding| &finding.excerpt);
            let ended = matches!(side.verdict, Verdict::Crashed | Verdict::Infra);
            let lines = found.or(ended.then_some(&boot.console)).cloned().unwrap_or_default();
            if !lines.is_empty() {
                excerpts.push(Excerpt { target: &target.target, side: &side.side, lines });
            }
        }
    }
    excerpts
}

/// The commands that make it again, and those that look at its record.
fn commands(evidence: &Evidence) -> Vec<String> {
    let mut commands = Vec::new();
    if let Some(info) = &evidence.info {
        let tool = info.tool.as_deref().map(|tool| tool.trim_end_matches("-dirty"));
        commands.extend(tool.map(|tool| format!("git checkout {tool}")));
        commands.push(info.replay.clone());
    } else {
        commands.extend(evidence.outcome.targets.iter().map(|target| format!("cargo xtask test {}", target.target)));
    }
    commands.extend(evidence.outcome.run.iter().map(|run| format!("cargo xtask judge {run}")));
    commands.extend(evidence.boots.iter().map(|boot| format!("{}/replay.sh", boot.folder)));
    commands
}
