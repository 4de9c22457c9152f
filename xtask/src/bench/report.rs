// SPDX-License-Identifier: GPL-2.0-only
//! What a bench tells: a table for people, an object for tools.
//!
//! Owns: layout and the JSON, schema 1: extend it, never rename. Must not: print,
//! or compute more than formats.

use comfy_table::{Cell, CellAlignment, Color, Table};
use serde::Serialize;

use super::budget::{Answer, Row, Spread, Unit, spread};
use crate::report::table::{Look, grid};
use crate::store::Host;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// All that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The target's name.
    pub target: String,
    /// Its exact version.
    pub version: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// The machine.
    pub host: Host,
    /// One for each budget.
    pub rows: Vec<Row>,
}

#[derive(Serialize)]
struct Object<'a> {
    schema: u32,
    target: &'a str,
    version: &'a str,
    accel: &'a str,
    host: &'a Host,
    rows: Vec<ObjectRow<'a>>,
}

#[derive(Serialize)]
struct ObjectRow<'a> {
    budget: &'static str,
    what: &'static str,
    unit: Unit,
    limit: Option<f64>,
    answer: Answer,
    /// The median over the limit.
    used: Option<f64>,
    #[serde(flatten)]
    spread: Option<Spread>,
    samples: &'a [f64],
    notes: Vec<&'a str>,
}

impl Report {
    /// Was everything measured that was asked for?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.answer() != Answer::Failed)
    }

    /// One JSON object.
    ///
    /// # Errors
    /// None in practice: it has no maps with odd keys.
    pub fn json(&self) -> serde_json::Result<String> {
        let rows = self.rows.iter().map(object).collect();
        let Self { target, version, accel, host, .. } = self;
        serde_json::to_string(&Object { schema: SCHEMA, target, version, accel, host, rows })
    }

    /// The whole text, with a line end.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let Self { target, version, accel, host, .. } = self;
        let mut text = format!("{target} ({version}) · {accel} · {} CPUs, {} · {}\n", host.cpus, host.cpu, host.os);
        for line in table(&self.rows, look).lines() {
            text += line.trim_end();
            text.push('\n');
        }
        let answered = |answer: Answer| self.rows.iter().filter(|row| row.answer() == answer).count();
        let (met, missed) = (answered(Answer::Met), answered(Answer::NotMet));
        text += &format!("\n{met} of {} measured budgets met\n", met + missed);
        for row in &self.rows {
            for note in notes(row) {
                text += &format!("{}: {}\n", row.budget.key, note.replace('\n', "\n    "));
            }
        }
        text
    }
}

fn object(row: &Row) -> ObjectRow<'_> {
    ObjectRow {
        budget: row.budget.key,
        what: row.budget.what.trim_start(),
        unit: row.budget.unit,
        limit: row.budget.limit,
        answer: row.answer(),
        used: row.used(),
        spread: spread(&row.samples),
        samples: &row.samples,
        notes: notes(row),
    }
}

fn notes(row: &Row) -> Vec<&str> {
    row.skipped.iter().chain(&row.notes).map(String::as_str).collect()
}

fn table(rows: &[Row], look: Look) -> Table {
    let mut table = grid(look);
    table.set_header(["what", "median", "min", "max", "n", "at most", "median / limit", "budget"]);
    for row in rows {
        let unit = row.budget.unit;
        let spread = spread(&row.samples);
        let sample = |pick: fn(Spread) -> f64| right(spread.map(|spread| value(unit, pick(spread))));
        table.add_row(vec![
            Cell::new(row.budget.what),
            sample(|spread| spread.median),
            sample(|spread| spread.min),
            sample(|spread| spread.max),
            right(spread.map(|spread| spread.n.to_string())),
            right(row.budget.limit.map(|limit| bound(unit, limit))),
            right(row.used().map(|used| format!("{used:.2}"))),
            answer(row.answer()),
        ]);
    }
    table
}

fn right(text: Option<String>) -> Cell {
    Cell::new(text.unwrap_or_else(|| "-".to_owned())).set_alignment(CellAlignment::Right)
}

fn answer(answer: Answer) -> Cell {
    let cell = Cell::new(answer);
    match answer {
        Answer::Met => cell.fg(Color::Green),
        Answer::NotMet | Answer::Failed => cell.fg(Color::Red),
        Answer::Skipped => cell.fg(Color::DarkGrey),
        Answer::Measured => cell,
    }
}

/// Three digits that mean something.
fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Ratio => format!("{value:.2} x"),
        Unit::Seconds if value.abs() < 1.0 => format!("{:.1} ms", value * 1e3),
        Unit::Seconds => format!("{value:.2} s"),
    }
}

fn bound(unit: Unit, limit: f64) -> String {
    match unit {
        Unit::Ratio => format!("{limit} x"),
        Unit::Seconds => format!("{limit} s"),
    }
}
