// SPDX-License-Identifier: GPL-2.0-only
//! Renderings of an outcome: values in, text out.
//!
//! Owns: every word that a result is told in. Must not: judge, or write anywhere.

pub mod cover;
pub mod matrix;
pub mod prefixes;
pub mod readme;
mod stress;
pub mod table;

use crate::outcome::{CellOutcome, CellState, SideOutcome};

/// The cell that another side has in the same place.
fn same_cell<'a>(side: &'a SideOutcome, cell: &CellOutcome) -> Option<&'a CellOutcome> {
    side.cells.iter().find(|other| other.cell == cell.cell && other.window == cell.window && other.probe == cell.probe)
}

fn measured(cell: &CellOutcome) -> bool {
    matches!(cell.state, CellState::Held | CellState::Released | CellState::Mixed)
}

/// The frames of a stack that say where somebody waits: without the block layer's
/// own innermost one, at most `most`.
pub(crate) fn place_of_wait(stack: &[String], most: usize) -> Vec<&str> {
    let telling = stack.iter().map(String::as_str).skip_while(|symbol| *symbol == "blk_io_schedule");
    telling.take(most).collect()
}
