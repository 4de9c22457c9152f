// SPDX-License-Identifier: GPL-2.0-only
//! All stored runs for people at a terminal: a line each, the newest first.
//!
//! Owns: layout. A record that cannot be read has its line, too.

use comfy_table::{Cell, Color};
use serde::Serialize;

use super::table::{Look, grid, trimmed};
use crate::store::Stored;
use crate::verdict::Verdict;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The run's name below results/runs.
    pub id: String,
    /// `None` if it did not end, or cannot be read.
    pub verdict: Option<Verdict>,
    /// Each target with its verdict; without one if the run did not end.
    pub targets: Vec<(String, Option<Verdict>)>,
    /// The command that made it.
    pub command: String,
    /// Why the record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl Entry {
    /// Of a record.
    #[must_use]
    pub fn new(id: &str, stored: anyhow::Result<Stored>) -> Self {
        let id = id.to_owned();
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                let unreadable = Some(format!("{error:#}"));
                return Self { id, verdict: None, targets: Vec::new(), command: String::new(), unreadable };
            }
        };
        let targets = match &stored.outcome {
            Some(outcome) => outcome.targets.iter().map(|of| (of.target.clone(), Some(of.verdict))).collect(),
            None => stored.info.targets.iter().map(|of| (of.target.clone(), None)).collect(),
        };
        let verdict = stored.outcome.map(|outcome| outcome.verdict);
        Self { id, verdict, targets, command: stored.info.replay, unreadable: None }
    }
}

/// The whole text, with a line end; `entries` are the newest first.
#[must_use]
pub fn render(entries: &[Entry], look: Look) -> String {
    let mut table = grid(look);
    table.set_header(["run", "verdict", "targets", "command"]);
    for entry in entries {
        let targets: Vec<String> = entry.targets.iter().map(|(name, verdict)| target(entry, name, *verdict)).collect();
        let command = entry.command.trim_start_matches("cargo xtask ");
        table.add_row(vec![
            Cell::new(&entry.id),
            verdict(entry),
            Cell::new(targets.join(", ")),
            Cell::new(entry.unreadable.as_deref().unwrap_or(command)),
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
