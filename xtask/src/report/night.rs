// SPDX-License-Identifier: GPL-2.0-only
//! A night against the nights before it: for a terminal, for a mail, and for a page.
//!
//! Owns: words and layout. Regressions come first, with both states and both runs. Must
//! not: decide what a change is (`regress`).

use bytesize::ByteSize;
use comfy_table::Cell;
use maud::{Markup, html};

use super::diff::{color, counted, names};
use super::table::{Look, grid, trimmed};
use crate::diff::Change;
use crate::regress::{Line, is_reference};
use crate::store::{Disk, NightInfo};

/// Lines of which the same is to be said.
struct Group<'a> {
    of: &'a Line,
    subjects: Vec<&'a str>,
}

impl Group<'_> {
    fn words(&self) -> [String; 5] {
        let Line { target, side, was, was_run, now, since, good, .. } = self.of;
        let what = names(&self.subjects);
        let mut before = was.clone();
        before += &was_run.as_ref().map(|run| format!("\n{run}")).unwrap_or_default();
        before += &since
            .as_ref()
            .filter(|since| Some(*since) != was_run.as_ref())
            .map(|run| format!("\nsince {run}"))
            .unwrap_or_default();
        before += &good
            .as_ref()
            .filter(|good| Some(*good) != was_run.as_ref())
            .map(|run| format!("\ngood in {run}"))
            .unwrap_or_default();
        [target.clone(), side.clone().unwrap_or_default(), before, now.clone(), what]
    }
}

fn grouped(lines: &[Line]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in lines {
        let key = |of: &Line| Line { subject: String::new(), ..of.clone() };
        match groups.iter_mut().find(|group| key(group.of) == key(line)) {
            Some(group) => group.subjects.push(&line.subject),
            None => groups.push(Group { of: line, subjects: vec![&line.subject] }),
        }
    }
    groups.sort_by_key(|group| group.of.change);
    groups
}

/// `2 new, 1 missing, 80 unchanged, against 3 nights`.
fn summary(night: &NightInfo) -> String {
    let references = night.against.iter().filter(|run| is_reference(run)).count();
    let nights = night.against.len() - references;
    let mut against = match nights {
        0 => "no earlier night".to_owned(),
        1 => "1 earlier night".to_owned(),
        nights => format!("{nights} earlier nights"),
    };
    if references > 0 {
        against += " and the committed evidence";
    }
    let changes = night.lines.iter().map(|line| line.change);
    let counts = counted(changes).into_iter().chain([format!("{} unchanged", night.unchanged)]);
    format!("{}, against {against}", counts.collect::<Vec<_>>().join(", "))
}

/// What became of the disk; `None` if there is nothing to say.
fn disk(disk: &Disk) -> Vec<String> {
    let size = |bytes: u64| ByteSize(bytes).to_string();
    let mut lines: Vec<String> =
        disk.pruned.iter().map(|pruned| format!("pruned: {}, {}", pruned.what, size(pruned.bytes))).collect();
    let (budget, before, after) = (size(disk.budget), size(disk.before), size(disk.after));
    if disk.after > disk.budget {
        lines.push(format!("the disk: {after} of {budget}, and nothing more may go"));
    } else if !disk.pruned.is_empty() {
        lines.push(format!("the disk: {before} → {after} of {budget}"));
    }
    lines
}

/// The whole text for a terminal, with a line end.
#[must_use]
pub fn render(night: &NightInfo, look: Look) -> String {
    let mut text = format!("{}: {}\n", night.run, summary(night));
    let groups = grouped(&night.lines);
    if !groups.is_empty() {
        let mut table = grid(look);
        table.set_header(["", "target", "side", "before", "this night", "what"]);
        for group in &groups {
            let change = group.of.change;
            let first = Cell::new(change.to_string()).fg(color(change));
            table.add_row(std::iter::once(first).chain(group.words().map(Cell::new)).collect::<Vec<_>>());
        }
        text += &format!("\n{}", trimmed(&table));
    }
    night.disk.iter().flat_map(disk).fold(text, |text, line| text + &line + "\n")
}

/// The same as a section of Markdown.
#[must_use]
pub fn markdown(night: &NightInfo) -> String {
    let mut text = format!("\nAgainst the nights before: {}.\n\n", summary(night));
    for group in grouped(&night.lines) {
        let [target, side, before, now, what] = group.words().map(|words| words.replace('\n', ", "));
        let place = if side.is_empty() { target } else { format!("{target} {side}") };
        let change = group.of.change;
        let strong = if change == Change::New { format!("**{change}**") } else { change.to_string() };
        text += &format!("* {strong}: {place} `{what}`: {before} → {now}, {}\n", group.of.now_run);
    }
    night.disk.iter().flat_map(disk).fold(text, |text, line| text + "* " + &line + "\n")
}

/// The same as a section of a page.
#[must_use]
pub(super) fn section(night: &NightInfo) -> Markup {
    html! {
        section {
            h2 { "Against the nights before" }
            p { (summary(night)) }
            ul {
                @for group in grouped(&night.lines) {
                    @let [target, side, before, now, what] = group.words().map(|words| words.replace('\n', ", "));
                    li {
                        strong { (group.of.change.to_string()) } ": " (target) " " (side) " " code { (what) } ": "
                        (before) " → " (now) ", " (group.of.now_run)
                    }
                }
                @for line in night.disk.iter().flat_map(disk) { li { (line) } }
            }
        }
    }
}
