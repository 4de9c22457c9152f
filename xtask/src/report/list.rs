// SPDX-License-Identifier: GPL-2.0-only
//! All stored runs for people at a terminal: a line each, the newest first.
//!
//! Owns: layout. A record that cannot be read has its line, too.

use comfy_table::{Cell, Color};

use super::table::{Look, grid, trimmed};
use crate::store::Entry;
use crate::verdict::Verdict;

/// The whole text, with a line end; `entries` are the newest first.
#[must_use]
pub fn render(entries: &[Entry], look: Look) -> String {
    let mut table = grid(look);
    table.set_header(["run", "verdict", "targets", "command"]);
    for entry in entries {
        let targets: Vec<String> = entry.targets.iter().map(|(name, verdict)| target(entry, name, *verdict)).collect();
        let mut command = entry.command.trim_start_matches("cargo xtask ").to_owned();
        command += &entry.repeats.as_ref().map(|run| format!(" (again: {run})")).unwrap_or_default();
        table.add_row(vec![
            Cell::new(&entry.id),
            verdict(entry),
            Cell::new(targets.join(", ")),
            Cell::new(entry.unreadable.as_deref().unwrap_or(&command)),
        ]);
    }
    trimmed(&table)
}

/// A verdict that is the run's own need not be said again.
fn target(entry: &Entry, name: &str, verdict: Option<Verdict>) -> String {
    match verdict {
        Some(verdict) if entry.verdict != Some(verdict) => format!("{name} {verdict}"),
        _ => name.to_owned(),
    }
}

fn verdict(entry: &Entry) -> Cell {
    match entry.verdict {
        Some(Verdict::Pass) => Cell::new(Verdict::Pass).fg(Color::Green),
        Some(Verdict::Inconclusive) => Cell::new(Verdict::Inconclusive).fg(Color::Yellow),
        Some(verdict) => Cell::new(verdict).fg(Color::Red),
        None if entry.unreadable.is_some() => Cell::new("unreadable").fg(Color::Yellow),
        None => Cell::new("unfinished").fg(Color::DarkGrey),
    }
}
