// SPDX-License-Identifier: GPL-2.0-only
//! README's table of measured results, generated from the committed references.
//!
//! Owns: the block between the markers and nothing around it. Must not: read or
//! write files; whoever does compares or replaces the whole text.

use anyhow::{Context, bail};

use super::{measured, place_of_wait, same_cell};
use crate::outcome::{CellOutcome, CellState, SideOutcome};
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
    let (before, rest) = split_once_only(readme, BEGIN)?;
    let (_, after) = split_once_only(rest, END)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", block(references)))
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

fn footnote(references: &[Reference]) -> String {
    let mut lines = Vec::new();
    for reference in references {
        let (trials, hold, accel) = (reference.trials, reference.hold_ms, &reference.accel);
        let line = format!("{trials} trials a cell, a hold of at most {hold} ms, {accel}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    format!("({}; the time is the longest wait of all trials.)\n", lines.join("; "))
}

/// Cells of one backing that both sides show the same of.
struct Group<'a> {
    window: u32,
    probe: &'a str,
    cells: Vec<(&'a CellOutcome, Option<&'a CellOutcome>)>,
}

impl Group<'_> {
    fn takes(&self, cell: &CellOutcome, patched: Option<&CellOutcome>) -> bool {
        let state = |cell: Option<&CellOutcome>| cell.map(|cell| cell.state);
        self.window == cell.window
            && self.probe == cell.probe
            && self.cells.first().is_some_and(|(first, first_patched)| {
                backing(&first.cell) == backing(&cell.cell)
                    && first.state == cell.state
                    && state(*first_patched) == state(patched)
            })
    }
}

fn backing(cell: &str) -> &str {
    cell.split('.').next().unwrap_or(cell)
}

fn groups(reference: &Reference) -> Vec<Group<'_>> {
    let side = |name: &str| reference.sides.iter().find(|side| side.side == name);
    let (Some(baseline), patched) = (side("baseline"), side("patched")) else { return Vec::new() };
    let mut groups: Vec<Group<'_>> = Vec::new();
    for cell in baseline.cells.iter().filter(|cell| measured(cell) && !cell.cell.starts_with("control.")) {
        let patched = patched.and_then(|side| same_cell(side, cell));
        match groups.iter_mut().find(|group| group.takes(cell, patched)) {
            Some(group) => group.cells.push((cell, patched)),
            None => groups.push(Group { window: cell.window, probe: &cell.probe, cells: vec![(cell, patched)] }),
        }
    }
    groups
}

fn row(reference: &Reference, group: &Group<'_>) -> String {
    let baseline: Vec<&CellOutcome> = group.cells.iter().map(|(cell, _)| *cell).collect();
    let patched: Vec<&CellOutcome> = group.cells.iter().filter_map(|(_, cell)| *cell).collect();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        reference.version,
        names(reference, &baseline),
        group.window,
        group.probe,
        told(&baseline),
        told(&patched),
        holder(&baseline),
    )
}

/// `anon.*` if the group has all cells of its backing, else their names.
fn names(reference: &Reference, cells: &[&CellOutcome]) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let alike = |cell: &&CellOutcome| {
        backing(&cell.cell) == backing(&first.cell) && cell.window == first.window && cell.probe == first.probe
    };
    let baseline = reference.sides.iter().find(|side| side.side == "baseline");
    let all = baseline.map_or(0, |side: &SideOutcome| side.cells.iter().filter(alike).count());
    if all == cells.len() && all > 1 {
        return format!("`{}.*`", backing(&first.cell));
    }
    cells.iter().map(|cell| format!("`{}`", cell.cell)).collect::<Vec<_>>().join(", ")
}

fn told(cells: &[&CellOutcome]) -> String {
    let Some(first) = cells.first() else { return "-".to_owned() };
    let trials: u32 = cells.iter().map(|cell| cell.n).sum();
    let longest = cells.iter().map(|cell| cell.wait_ms.max).max_by(f64::total_cmp).unwrap_or_default();
    let state = if first.state == CellState::Released { "released".to_owned() } else { format!("**{}**", first.state) };
    format!("{state}, {trials} trials, {longest:.1} ms")
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
