// SPDX-License-Identifier: GPL-2.0-only
//! README's table of measured results, generated from the committed references.
//!
//! Owns: the block between the markers and nothing around it. Must not: read or
//! write files; whoever does compares or replaces the whole text.

use anyhow::{Context, bail};

use super::{measured, names, place_of_wait};
use crate::outcome::{CellOutcome, CellState};
use crate::store::Reference;

/// Begins the generated block.
pub const BEGIN: &str = "<!-- measured:begin -->";
/// Ends it.
pub const END: &str = "<!-- measured:end -->";

/// `readme` with the block made anew.
///
/// # Errors
/// A marker is missing, twice there, or in the wrong order.
pub fn replace(readme: &str, references: &[Reference]) -> anyhow::Result<String> {
    between(readme, [BEGIN, END], &block(references))
}

/// `readme` with another block between two markers.
///
/// # Errors
/// A marker is missing, twice there, or in the wrong order.
pub(crate) fn between(readme: &str, [begin, end]: [&str; 2], block: &str) -> anyhow::Result<String> {
    let (before, rest) = split_once_only(readme, begin)?;
    let (_, after) = split_once_only(rest, end)?;
    Ok(format!("{before}{begin}\n{block}{end}{after}"))
}

/// An error unless the block in `readme` is what the references give.
///
/// # Errors
/// As [`replace`]; or the block differs, with the block that it should be.
pub fn check(readme: &str, references: &[Reference]) -> anyhow::Result<()> {
    if replace(readme, references)? == readme {
        return Ok(());
    }
    bail!("README's measured table is not what results/reference/ gives; it should be\n{}", block(references))
}

fn split_once_only<'a>(text: &'a str, marker: &str) -> anyhow::Result<(&'a str, &'a str)> {
    let (before, after) = text.split_once(marker).with_context(|| format!("README lacks the marker {marker}"))?;
    if after.contains(marker) {
        bail!("README has the marker {marker} twice");
    }
    Ok((before, after))
}

/// The block, markdown.
#[must_use]
pub fn block(references: &[Reference]) -> String {
    if references.is_empty() {
        return "Nothing has been measured yet.\n".to_owned();
    }
    let mut text = "| kernel | cells | window | probe | baseline | patched | who waits on baseline, with the lock |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for reference in references {
        for group in groups(reference) {
            text += &row(reference, &group);
        }
    }
    text + "\n" + &footnote(references)
}

/// The rows of one reference in plain words: cells with their windows, probes, what
/// the baseline and what the patched side show.
#[must_use]
pub fn plain(reference: &Reference) -> Vec<[String; 4]> {
    let row = |group: &Group<'_>| {
        let windows: Vec<String> = group.windows.iter().map(ToString::to_string).collect();
        let cells = format!("{}@{}", cells(reference, group).join(", "), windows.join(","));
        [cells, probes(reference, group), told(&group.baseline), told(&group.patched)]
            .map(|text| text.replace("**", ""))
    };
    groups(reference).iter().map(row).collect()
}

fn footnote(references: &[Reference]) -> String {
    let mut lines = Vec::new();
    for reference in references {
        let (trials, hold, accel) = (reference.trials, reference.hold_ms, &reference.accel);
        let line = format!("{trials} trials a cell, a hold of at most {hold} ms, {accel}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    format!("({}; each probe waits once a trial.)\n", lines.join("; "))
}

/// Cells of one backing of which both sides show the same: a product of names,
/// windows and probes.
struct Group<'a> {
    names: Vec<&'a str>,
    windows: Vec<u32>,
    probes: Vec<&'a str>,
    baseline: Vec<&'a CellOutcome>,
    patched: Vec<&'a CellOutcome>,
}

impl<'a> Group<'a> {
    fn of(cell: &'a CellOutcome, patched: Option<&'a CellOutcome>) -> Self {
        Self {
            names: vec![&cell.cell],
            windows: vec![cell.window],
            probes: vec![&cell.probe],
            baseline: vec![cell],
            patched: patched.into_iter().collect(),
        }
    }

    /// What both sides show, and of which backing: groups that differ here are
    /// never one row.
    fn shown(&self) -> (Option<&str>, Option<CellState>, Option<CellState>) {
        let state = |cells: &[&CellOutcome]| cells.first().map(|cell| cell.state);
        (self.names.first().map(|name| backing(name)), state(&self.baseline), state(&self.patched))
    }

    fn join(&mut self, other: Self) {
        append(&mut self.names, other.names);
        append(&mut self.windows, other.windows);
        append(&mut self.probes, other.probes);
        self.baseline.extend(other.baseline);
        self.patched.extend(other.patched);
    }
}

fn append<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for value in from {
        if !to.contains(&value) {
            to.push(value);
        }
    }
}

fn backing(cell: &str) -> &str {
    cell.split('.').next().unwrap_or(cell)
}

fn groups(reference: &Reference) -> Vec<Group<'_>> {
    let side = |name: &str| reference.sides.iter().find(|side| side.side == name);
    let (Some(baseline), patched) = (side("baseline"), side("patched")) else { return Vec::new() };
    let cells = baseline.cells.iter().filter(|cell| measured(cell) && !cell.is_control());
    let single = cells.map(|cell| Group::of(cell, patched.and_then(|side| side.cell_at(cell)))).collect();
    // One dimension at a time, so that a group stays a product.
    let named = merged(single, |one, other| one.windows == other.windows && one.probes == other.probes);
    let probed = merged(named, |one, other| one.windows == other.windows && one.names == other.names);
    merged(probed, |one, other| one.probes == other.probes && one.names == other.names)
}

fn merged<'a>(groups: Vec<Group<'a>>, alike: impl Fn(&Group<'a>, &Group<'a>) -> bool) -> Vec<Group<'a>> {
    let mut merged: Vec<Group<'a>> = Vec::new();
    for group in groups {
        match merged.iter_mut().find(|other| other.shown() == group.shown() && alike(other, &group)) {
            Some(other) => other.join(group),
            None => merged.push(group),
        }
    }
    merged
}

fn row(reference: &Reference, group: &Group<'_>) -> String {
    let windows: Vec<String> = group.windows.iter().map(ToString::to_string).collect();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        reference.version,
        cells(reference, group).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        windows.join(", "),
        probes(reference, group),
        told(&group.baseline),
        told(&group.patched),
        holder(&group.baseline),
    )
}

fn cells(reference: &Reference, group: &Group<'_>) -> Vec<String> {
    names::cells(&group.names, &every(reference, |cell| &cell.cell))
}

fn probes(reference: &Reference, group: &Group<'_>) -> String {
    names::probes(&group.probes, &every(reference, |cell| &cell.probe))
}

/// The different values of all cells but the controls.
fn every(reference: &Reference, of: impl Fn(&CellOutcome) -> &str) -> Vec<&str> {
    let mut all = Vec::new();
    for side in &reference.sides {
        append(&mut all, side.cells.iter().filter(|cell| !cell.is_control()).map(&of).collect());
    }
    all
}

fn told(cells: &[&CellOutcome]) -> String {
    let Some(first) = cells.first() else { return "-".to_owned() };
    let waits: u32 = cells.iter().map(|cell| cell.n).sum();
    let longest = cells.iter().map(|cell| cell.wait_ms.max).max_by(f64::total_cmp).unwrap_or_default();
    let state = if first.state == CellState::Released { "released".to_owned() } else { format!("**{}**", first.state) };
    format!("{state}, {waits} waits, at most {longest:.1} ms")
}

/// The innermost two symbols of each different stack.
fn holder(cells: &[&CellOutcome]) -> String {
    let mut places: Vec<String> = Vec::new();
    for cell in cells.iter().filter(|cell| matches!(cell.state, CellState::Held | CellState::Mixed)) {
        let place = place_of_wait(&cell.holder, 2).iter().map(|symbol| format!("`{symbol}`")).collect::<Vec<_>>();
        let place = place.join(" ← ");
        if !place.is_empty() && !places.contains(&place) {
            places.push(place);
        }
    }
    places.join("; ")
}
