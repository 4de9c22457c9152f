// SPDX-License-Identifier: GPL-2.0-only
//! Cells down, targets across: the rows that the tables of several formats share.
//!
//! Owns: which cells share a row: those of one backing that show the same on every
//! side of every target. Must not: render.

use super::names;
use crate::outcome::{CellOutcome, CellState, SideOutcome, TargetOutcome};

/// Cells that show the same everywhere: a product of cells, windows and probes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The first word of the cells' names.
    pub(super) backing: String,
    /// Readahead windows, pages.
    pub(super) windows: Vec<u32>,
    /// Cells, without windows.
    pub(super) cells: Vec<String>,
    /// Probes.
    pub(super) probes: Vec<String>,
    /// What each side of each target shows: states of the sides in order.
    pub(super) shown: Vec<Vec<Option<CellState>>>,
}

impl Row {
    /// The cells, as globs where these say all.
    pub(super) fn names(&self, rows: &[Row]) -> Vec<String> {
        names::cells(&self.cells, &every(rows, |row| &row.cells))
    }

    /// `writer, reader`, or `all`.
    pub(super) fn probes(&self, rows: &[Row]) -> String {
        names::probes(&self.probes, &every(rows, |row| &row.probes))
    }

    /// `1, 8`.
    pub(super) fn windows(&self) -> String {
        self.windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Those cells of a side that the row stands for.
    pub(super) fn of<'a>(&self, side: &'a SideOutcome) -> Vec<&'a CellOutcome> {
        let within = |cell: &&CellOutcome| {
            self.cells.contains(&cell.cell) && self.windows.contains(&cell.window) && self.probes.contains(&cell.probe)
        };
        side.cells.iter().filter(within).collect()
    }
}

/// The different values of all rows.
fn every(rows: &[Row], of: impl Fn(&Row) -> &Vec<String>) -> Vec<&str> {
    let mut values: Vec<&str> = Vec::new();
    for value in rows.iter().flat_map(of) {
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    values
}

/// Every cell that some target has, in the order of its first appearance, probe by
/// probe. The controls are not among them.
pub(super) fn rows(targets: &[TargetOutcome]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let all = targets.iter().flat_map(|target| &target.sides).flat_map(|side| &side.cells);
    for cell in all.filter(|cell| !cell.is_control()) {
        let known =
            |row: &Row| row.cells[0] == cell.cell && row.windows[0] == cell.window && row.probes[0] == cell.probe;
        if rows.iter().any(known) {
            continue;
        }
        rows.push(Row {
            backing: cell.cell.split('.').next().unwrap_or(&cell.cell).to_owned(),
            windows: vec![cell.window],
            cells: vec![cell.cell.clone()],
            probes: vec![cell.probe.clone()],
            shown: targets.iter().map(|target| shown(target, cell)).collect(),
        });
    }
    rows
}

fn shown(target: &TargetOutcome, cell: &CellOutcome) -> Vec<Option<CellState>> {
    let state = |cell: &CellOutcome| cell.state;
    target.sides.iter().map(|side| side.cell_at(cell).map(state)).collect()
}

/// Joins rows that show the same, one dimension at a time: probes, cells of a
/// backing, windows. A row stays a product of all three.
pub(super) fn merged(rows: Vec<Row>) -> Vec<Row> {
    let probes = joined(
        rows,
        |one, other| one.cells == other.cells && one.windows == other.windows,
        |into, from| into.probes.extend(from.probes),
    );
    let cells = joined(
        probes,
        |one, other| one.probes == other.probes && one.windows == other.windows,
        |into, from| into.cells.extend(from.cells),
    );
    joined(
        cells,
        |one, other| one.probes == other.probes && one.cells == other.cells,
        |into, from| into.windows.extend(from.windows),
    )
}

fn joined(rows: Vec<Row>, alike: impl Fn(&Row, &Row) -> bool, join: impl Fn(&mut Row, Row)) -> Vec<Row> {
    let mut joined: Vec<Row> = Vec::new();
    for row in rows {
        let same = |other: &&mut Row| other.backing == row.backing && other.shown == row.shown && alike(other, &row);
        match joined.iter_mut().find(same) {
            Some(other) => join(other, row),
            None => joined.push(row),
        }
    }
    joined
}
