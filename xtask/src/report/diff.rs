// SPDX-License-Identifier: GPL-2.0-only
//! What changed between two runs, for people at a terminal: regressions first.
//!
//! Owns: layout and order. Must not: decide what a change is (`diff`).

use comfy_table::{Cell, Color};

use super::table::{Look, grid, trimmed};
use crate::diff::{Change, Line};

/// Names that a line shows before it counts the rest.
const NAMES: usize = 4;

/// The whole text, with a line end. `names` are those of the two runs.
#[must_use]
pub fn render(lines: &[Line], names: [&str; 2], look: Look) -> String {
    let [before, after] = names;
    let mut text = format!("{}: {before} → {after}\n", summary(lines));
    let mut groups = grouped(lines);
    groups.sort_by_key(|group| group.of.change);
    if !groups.is_empty() {
        text += &format!("\n{}", trimmed(&table(&groups, look)));
    }
    text
}

/// `2 new`, `1 missing`.
pub(super) fn counted(changes: impl Iterator<Item = Change>) -> Vec<String> {
    let changes: Vec<Change> = changes.collect();
    let all = [Change::New, Change::Missing, Change::Flaky, Change::Fixed, Change::Persistent];
    let count = |change: Change| changes.iter().filter(|of| **of == change).count();
    let counts = all.map(|change| (count(change), change)).into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, change)| format!("{count} {change}")).collect()
}

pub(super) fn color(change: Change) -> Color {
    match change {
        Change::New => Color::Red,
        Change::Missing | Change::Flaky => Color::Yellow,
        Change::Fixed => Color::Green,
        Change::Persistent => Color::DarkGrey,
    }
}

/// The first names, a line each, and how many more there are.
pub(super) fn names(subjects: &[&str]) -> String {
    let shown = if subjects.len() > NAMES + 1 { &subjects[..NAMES] } else { subjects };
    let mut names = shown.join("\n");
    if shown.len() < subjects.len() {
        names += &format!("\nand {} more", subjects.len() - shown.len());
    }
    names
}

fn summary(lines: &[Line]) -> String {
    let told = counted(lines.iter().map(|line| line.change));
    if told.is_empty() { "no difference".to_owned() } else { told.join(", ") }
}

/// Lines of which the same is to be said.
struct Group<'a> {
    of: &'a Line,
    subjects: Vec<&'a str>,
}

fn grouped(lines: &[Line]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in lines {
        let key = |of: &Line| (of.change, of.target.clone(), of.side.clone(), of.was.clone(), of.now.clone());
        match groups.iter_mut().find(|group| key(group.of) == key(line)) {
            Some(group) => group.subjects.push(&line.subject),
            None => groups.push(Group { of: line, subjects: vec![&line.subject] }),
        }
    }
    groups
}

fn table(groups: &[Group<'_>], look: Look) -> comfy_table::Table {
    let mut table = grid(look);
    table.set_header(["", "target", "side", "before", "after", "what"]);
    for Group { of, subjects } in groups {
        let names = names(subjects);
        let side = of.side.as_deref().unwrap_or("");
        let words = [&of.target, side, &of.was, &of.now, names.as_str()].map(Cell::new);
        table.add_row(
            std::iter::once(Cell::new(of.change.to_string()).fg(color(of.change))).chain(words).collect::<Vec<_>>(),
        );
    }
    table
}
