// SPDX-License-Identifier: GPL-2.0-only
//! An outcome for people at a terminal.
//!
//! ```text
//! summary, one line
//! one table a target: cell, probes that saw the same, each side's state, each side's
//!     longest wait, hold
//! who held the lock: each stack once, with its cells
//! the behaviours that are not right on every side
//! the stress of guest memory, if there was one
//! reasons, the worst first: what is read last is what matters
//! ```
//!
//! Owns: layout and colours. Must not: print; the caller does.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, TableComponent, presets};

use super::holders::{self, Holder};
use super::{measured, place_of_wait};
use crate::manners;
use crate::outcome::{BehaviourState, CellOutcome, CellState, Outcome, SideOutcome, TargetOutcome};
use crate::verdict::Verdict;

/// Frames of a holder's stack that are shown.
const STACK_FRAMES: usize = 8;

/// What the output device can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours and bold type.
    pub color: bool,
    /// Columns; `None` for as many as it takes.
    pub width: Option<u16>,
}

impl Look {
    /// For files, pipes and tests.
    pub const PLAIN: Self = Self { color: false, width: None };

    /// What standard output can show, and the user wants there.
    #[must_use]
    pub fn of_stdout() -> Self {
        let attended = console::user_attended();
        let width = attended.then(|| console::Term::stdout().size_checked().map(|(_, columns)| columns)).flatten();
        Self { color: manners::colored(attended && console::colors_enabled()), width }
    }

    pub(crate) fn paint(self, text: &str, verdict: Verdict) -> String {
        let style = match verdict {
            Verdict::Pass => console::Style::new().green(),
            Verdict::Inconclusive => console::Style::new().yellow(),
            _ => console::Style::new().red(),
        };
        style.bold().force_styling(self.color).apply_to(text).to_string()
    }
}

/// The whole text, with a line end.
#[must_use]
pub fn render(outcome: &Outcome, look: Look) -> String {
    let mut text = format!("{}\n", summary(outcome, look));
    for target in &outcome.targets {
        if target.sides.iter().any(|side| !side.cells.is_empty()) {
            let (name, version) = (&target.target, &target.version);
            text += &format!("\n{name} ({version})\n{}{}", trimmed(&table(target, look)), holders(target));
            text += &super::behaviours::render(target);
            text += &super::stress::render(target);
            text += &super::storm::render(target);
        }
    }
    text + &reasons(outcome, look)
}

/// Why it is no better, one line a reason; empty for none.
pub(super) fn reasons(outcome: &Outcome, look: Look) -> String {
    if outcome.reasons.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}:\n", look.paint(&outcome.verdict.to_string(), outcome.verdict));
    for reason in &outcome.reasons {
        text += &format!("  {}\n", reason.replace('\n', "\n    "));
    }
    text
}

/// Verdict, exit code, accelerator.
fn verdict(outcome: &Outcome, look: Look) -> Vec<String> {
    let verdict = look.paint(&outcome.verdict.to_string().to_uppercase(), outcome.verdict);
    vec![format!("{verdict} (exit {})", outcome.exit), outcome.accel.clone()]
}

/// One line for many targets: each with its verdict.
pub(super) fn headline(outcome: &Outcome, look: Look) -> String {
    let mut parts = verdict(outcome, look);
    let told = |target: &TargetOutcome| format!("{} {}", target.target, target.verdict);
    parts.push(outcome.targets.iter().map(told).collect::<Vec<_>>().join(", "));
    parts.extend(outcome.run.clone());
    parts.join(" · ")
}

fn summary(outcome: &Outcome, look: Look) -> String {
    let mut parts = verdict(outcome, look);
    for target in &outcome.targets {
        let sides: Vec<String> = target.sides.iter().map(side_summary).collect();
        let sides = if sides.is_empty() { "no side was judged".to_owned() } else { sides.join(", ") };
        parts.push(format!("{} ({}): {sides}", target.target, target.version));
    }
    parts.extend(outcome.run.clone());
    parts.join(" · ")
}

fn side_summary(side: &SideOutcome) -> String {
    if side.verdict != Verdict::Pass {
        return format!("{} {}", side.side, side.verdict);
    }
    let faults = || side.cells.iter().filter(|cell| measured(cell) && !cell.is_control());
    let held = faults().filter(|cell| cell.state != CellState::Released).count();
    let right = side.behaviours.iter().filter(|of| of.state == BehaviourState::Right).count();
    match (faults().count(), side.behaviours.len()) {
        (0, tried) if tried > 0 => format!("{} {right} of {tried} right", side.side),
        (count, _) => format!("{} {held} of {count} held", side.side),
    }
}

/// An empty table in this project's style.
pub(crate) fn grid(look: Look) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    // One line below the head, none between rows: the eye runs down a column.
    table.remove_style(TableComponent::HorizontalLines).remove_style(TableComponent::MiddleIntersections);
    table.set_width(look.width.unwrap_or(u16::MAX));
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

fn table(target: &TargetOutcome, look: Look) -> Table {
    let mut table = grid(look);
    let sides = &target.sides;
    let mut head = vec!["cell".to_owned(), "probe".to_owned()];
    head.extend(sides.iter().map(|side| side.side.clone()));
    head.extend(sides.iter().map(|side| format!("longest wait, {}", side.side)));
    head.push("hold".to_owned());
    table.set_header(head);
    for line in lines(rows(sides)) {
        let first = line.rows[0].0;
        let mut row = vec![Cell::new(format!("{}@{}", first.cell, first.window)), Cell::new(line.probes())];
        row.extend(line.rows[0].1.iter().map(|cell| state(*cell)));
        row.extend((0..sides.len()).map(|side| milliseconds(line.longest(side, |cell| cell.wait_ms.max))));
        let holds = (0..sides.len()).filter_map(|side| line.longest(side, |cell| cell.hold_ms));
        row.push(milliseconds(holds.max_by(f64::total_cmp)));
        table.add_row(row);
    }
    table
}

/// Without the blanks that fill a last column.
pub(super) fn trimmed(table: &Table) -> String {
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Every cell that some side has, in the order of its first appearance, with what
/// each side has in its place.
fn rows(sides: &[SideOutcome]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (index, side) in sides.iter().enumerate() {
        for cell in &side.cells {
            if sides[..index].iter().all(|earlier| earlier.cell_at(cell).is_none()) {
                rows.push((cell, sides.iter().map(|side| side.cell_at(cell)).collect()));
            }
        }
    }
    rows
}

/// What one probe saw in a cell, and what each side has in its place.
type Row<'a> = (&'a CellOutcome, Vec<Option<&'a CellOutcome>>);

/// The probes of one cell that saw the same on every side.
struct Line<'a> {
    rows: Vec<Row<'a>>,
    /// It has all probes of its cell, of which there are more.
    whole: bool,
}

impl Line<'_> {
    fn probes(&self) -> String {
        let names: Vec<&str> = self.rows.iter().map(|(cell, _)| cell.probe.as_str()).collect();
        if self.whole { "all".to_owned() } else { names.join(", ") }
    }

    fn longest(&self, side: usize, of: impl Fn(&CellOutcome) -> f64) -> Option<f64> {
        let cells = self.rows.iter().filter_map(|(_, found)| found[side]);
        cells.filter(|cell| measured(cell)).map(of).max_by(f64::total_cmp)
    }
}

/// Joins the rows of a cell that differ in times alone: of four probes that are held or
/// released together one line is enough.
fn lines(rows: Vec<Row<'_>>) -> Vec<Line<'_>> {
    let states = |row: &Row<'_>| row.1.iter().map(|cell| cell.map(|cell| (cell.state, cell.n))).collect::<Vec<_>>();
    let same_cell = |one: &Row<'_>, other: &Row<'_>| (&one.0.cell, one.0.window) == (&other.0.cell, other.0.window);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for row in rows {
        let alike = |line: &&mut Line<'_>| same_cell(&line.rows[0], &row) && states(&line.rows[0]) == states(&row);
        match lines.iter_mut().find(alike) {
            Some(line) => line.rows.push(row),
            None => lines.push(Line { rows: vec![row], whole: false }),
        }
    }
    for index in 0..lines.len() {
        let of_its_cell = lines.iter().filter(|line| same_cell(&line.rows[0], &lines[index].rows[0])).count();
        lines[index].whole = of_its_cell == 1 && lines[index].rows.len() > 1;
    }
    lines
}

fn state(cell: Option<&CellOutcome>) -> Cell {
    let Some(cell) = cell else { return Cell::new("-") };
    let text = if measured(cell) { format!("{} {}", cell.state, cell.n) } else { cell.state.to_string() };
    let (color, bold) = match cell.state {
        CellState::Held => (Color::Red, true),
        CellState::Released => (Color::Green, false),
        CellState::Mixed | CellState::Broken => (Color::Yellow, true),
        CellState::Skipped => (Color::DarkGrey, false),
    };
    let cell = Cell::new(text).fg(color);
    if bold { cell.add_attribute(Attribute::Bold) } else { cell }
}

fn milliseconds(value: Option<f64>) -> Cell {
    let text = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} ms"));
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Each stack that held a lock, once, with the cells that it was seen in.
fn holders(target: &TargetOutcome) -> String {
    let mut text = String::new();
    for Holder { side, stack, cells } in holders::holders(target) {
        text += &format!("\nheld on {side} ({}) by\n", cells.join(", "));
        for symbol in place_of_wait(stack, STACK_FRAMES) {
            text += &format!("    {symbol}\n");
        }
        if stack.len() > STACK_FRAMES {
            text += "    …\n";
        }
    }
    text
}
