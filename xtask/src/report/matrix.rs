// SPDX-License-Identifier: GPL-2.0-only
//! The outcome of a matrix for people at a terminal: kernels by cells.
//!
//! ```text
//! summary, one line
//! one table: cells down, kernels across, baseline → patched
//! who held the lock, by kernel
//! reasons, the worst first
//! ```
//!
//! Owns: that table. Must not: print; the caller does.

use comfy_table::{Cell, Color};

use super::rows::{Row, merged, rows};
use super::table::{self, Look};
use super::{measured, place_of_wait};
use crate::outcome::{CellOutcome, CellState, Outcome, TargetOutcome};

/// Frames of a holder's stack that are shown.
const STACK_FRAMES: usize = 3;

/// The whole text, with a line end.
#[must_use]
pub fn render(outcome: &Outcome, look: Look) -> String {
    let mut text = format!("{}\n", table::headline(outcome, look));
    let rows = merged(rows(&outcome.targets));
    if !rows.is_empty() {
        text += &format!("\n{}", table::trimmed(&grid(outcome, &rows, look)));
    }
    for target in &outcome.targets {
        text += &holders(target);
        text += &super::behaviours::count(target).map(|it| format!("\n{}: {it}\n", target.target)).unwrap_or_default();
        text += &super::stress::render(target);
        text += &super::storm::render(target);
    }
    text + &table::reasons(outcome, look)
}

fn grid(outcome: &Outcome, rows: &[Row], look: Look) -> comfy_table::Table {
    let mut grid = table::grid(look);
    let mut head = vec!["cells".to_owned(), "window".to_owned(), "probe".to_owned()];
    head.extend(outcome.targets.iter().map(|target| format!("{}\n{}", target.target, target.version)));
    grid.set_header(head);
    for row in rows {
        let mut line =
            vec![Cell::new(row.names(rows).join("\n")), Cell::new(row.windows()), Cell::new(row.probes(rows))];
        line.extend(row.shown.iter().map(|states| change(states)));
        grid.add_row(line);
    }
    let mut line = vec![Cell::new("longest wait"), Cell::new(""), Cell::new("")];
    line.extend(outcome.targets.iter().map(|target| Cell::new(longest(target))));
    grid.add_row(line);
    grid
}

/// `held → released`.
fn change(states: &[Option<CellState>]) -> Cell {
    let words: Vec<String> =
        states.iter().map(|state| state.map_or_else(|| "-".to_owned(), |state| state.to_string())).collect();
    let text = if words.is_empty() { "-".to_owned() } else { words.join(" → ") };
    match states.last().copied().flatten() {
        Some(CellState::Released) => Cell::new(text).fg(Color::Green),
        Some(CellState::Held) => Cell::new(text).fg(Color::Red),
        Some(CellState::Mixed | CellState::Broken) => Cell::new(text).fg(Color::Yellow),
        Some(CellState::Skipped) | None => Cell::new(text).fg(Color::DarkGrey),
    }
}

fn longest(target: &TargetOutcome) -> String {
    let side = |side: &crate::outcome::SideOutcome| {
        let waits = side.cells.iter().filter(|cell| measured(cell) && !cell.is_control()).map(|cell| cell.wait_ms.max);
        waits.max_by(f64::total_cmp).map_or_else(|| "-".to_owned(), |wait| format!("{wait:.1} ms"))
    };
    target.sides.iter().map(side).collect::<Vec<_>>().join(" → ")
}

/// The places in which the lock was held, each with its number of cells and probes.
fn holders(target: &TargetOutcome) -> String {
    let mut places: Vec<(String, usize)> = Vec::new();
    for side in &target.sides {
        let held = |cell: &&CellOutcome| cell.state == CellState::Held && !cell.is_control();
        for cell in side.cells.iter().filter(held) {
            let stack = place_of_wait(&cell.holder, STACK_FRAMES).join(" < ");
            let place = format!("{} {}: held in {stack}", target.target, side.side);
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, count)) => *count += 1,
                None => places.push((place, 1)),
            }
        }
    }
    places.into_iter().fold(String::new(), |text, (place, count)| text + &format!("{place} ({count})\n"))
}
