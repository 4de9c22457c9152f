// SPDX-License-Identifier: GPL-2.0-only
//! An outcome as Markdown, to be pasted into a mail or a pull request.
//!
//! ```text
//! verdict, one line
//! what is wrong, the worst first
//! one table a target: cells, each side's state and longest wait
//! who held the lock
//! the behaviours that are not right on every side
//! the console's own words, if a kernel failed
//! the commands that do it again
//! ```
//!
//! The tables' columns are aligned, so that a mail reader that shows plain text
//! shows tables. Owns: words and layout. Must not: decide anything.

use super::holders::{self, Holder};
use super::place_of_wait;
use super::rows::{Row, merged, rows};
use super::{commands, excerpts, longest, told};
use crate::outcome::{Outcome, TargetOutcome};
use crate::store::Evidence;
use crate::verdict::Verdict;

/// Frames of a holder's stack that are shown.
const STACK_FRAMES: usize = 4;

/// The whole text.
#[must_use]
pub fn render(evidence: &Evidence) -> String {
    let outcome = &evidence.outcome;
    let mut text = headline(evidence);
    text += &reasons(outcome);
    text += &evidence.night.as_ref().map(super::night::markdown).unwrap_or_default();
    for target in &outcome.targets {
        text += &of_target(target);
        text += &super::behaviours::markdown(target);
    }
    for excerpt in excerpts(evidence) {
        let fence = fence(&excerpt.lines);
        text += &format!("\nConsole of {} {}:\n\n{fence}\n", line(excerpt.target), line(excerpt.side));
        text += &(excerpt.lines.join("\n") + "\n");
        text += &format!("{fence}\n");
    }
    text + &again(evidence)
}

fn headline(evidence: &Evidence) -> String {
    let outcome = &evidence.outcome;
    let kernel = |target: &TargetOutcome| {
        // Of one that could not be had only the target's name is known.
        let name = if target.version.is_empty() { &target.target } else { &target.version };
        format!("{} {}", line(name), target.verdict)
    };
    let kernels: Vec<String> = outcome.targets.iter().map(kernel).collect();
    let mut parts = vec![format!("**{}** (exit {})", outcome.verdict, outcome.exit)];
    parts.extend((!kernels.is_empty()).then(|| format!("Linux {}", kernels.join(", "))));
    if let Some(info) = &evidence.info {
        let (trials, hold) = (info.plan.trials, info.plan.hold_ms);
        parts.push(format!("{trials} trials a cell, IO withheld for up to {hold} ms, {}", outcome.accel));
    } else {
        parts.push(outcome.accel.clone());
    }
    parts.extend(outcome.run.as_ref().map(|run| format!("`{}`", line(run))));
    format!("kvm-gup-io: {}\n", parts.join(" · "))
}

fn reasons(outcome: &Outcome) -> String {
    let reasons: Vec<String> = outcome.reasons.iter().map(|reason| format!("* {}\n", escaped(reason))).collect();
    if reasons.is_empty() { String::new() } else { format!("\n{}", reasons.concat()) }
}

fn of_target(target: &TargetOutcome) -> String {
    let alone = std::slice::from_ref(target);
    let rows = merged(rows(alone));
    if rows.is_empty() {
        return String::new();
    }
    let mut table = vec![head(target)];
    table.extend(rows.iter().map(|row| cells(target, &rows, row)));
    format!("\n### {} (Linux {})\n\n{}{}", line(&target.target), line(&target.version), aligned(&table), held(target))
}

fn head(target: &TargetOutcome) -> Vec<String> {
    let sides = target.sides.iter().map(|side| line(&side.side));
    ["cells", "window", "probe"].map(str::to_owned).into_iter().chain(sides).collect()
}

fn cells(target: &TargetOutcome, rows: &[Row], row: &Row) -> Vec<String> {
    let names: Vec<String> = row.names(rows).iter().map(|name| format!("`{}`", line(name))).collect();
    let mut cells = vec![names.join(", "), row.windows(), row.probes(rows)];
    for (side, state) in target.sides.iter().zip(row.shown.first().into_iter().flatten()) {
        let waits = longest(&row.of(side)).map(|wait| format!(", {wait:.1} ms")).unwrap_or_default();
        cells.push(format!("{}{waits}", told(*state)));
    }
    cells
}

/// A table whose columns are as wide as their widest text.
pub(super) fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in table.iter().enumerate() {
        let padded = row.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:width$} |"));
        text += &format!("|{}\n", padded.collect::<String>());
        if index == 0 {
            let rule = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2)));
            text += &format!("|{}\n", rule.collect::<String>());
        }
    }
    text
}

fn held(target: &TargetOutcome) -> String {
    let mut text = String::new();
    for Holder { side, stack, cells } in holders::holders(target) {
        let place: Vec<String> =
            place_of_wait(stack, STACK_FRAMES).iter().map(|it| format!("`{}`", line(it))).collect();
        let count = if cells.len() == 1 { cells[0].clone() } else { format!("{} cells", cells.len()) };
        text += &format!("* held on {} ({count}) in {}\n", line(side), place.join(" ← "));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn again(evidence: &Evidence) -> String {
    let commands = commands(evidence);
    if commands.is_empty() {
        return String::new();
    }
    let fence = fence(&commands);
    let why = if evidence.outcome.verdict == Verdict::Pass { "To see it again" } else { "To reproduce it" };
    format!("\n{why}:\n\n{fence}sh\n{}\n{fence}\n", commands.join("\n"))
}

/// Longer than any run of backticks within.
fn fence(lines: &[String]) -> String {
    let runs = lines.iter().flat_map(|line| line.split(|letter| letter != '`')).map(str::len);
    "`".repeat(runs.max().unwrap_or(0).max(2) + 1)
}

/// One line that ends neither a table's cell nor a code span.
pub(super) fn line(text: &str) -> String {
    text.replace(['|', '`'], "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text whose characters mean themselves; a reason's further lines belong to it.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '\n' => escaped.push_str("\n  "),
            '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '|' | '#' | '~' => escaped.extend(['\\', letter]),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}
