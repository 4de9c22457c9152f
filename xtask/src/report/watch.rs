// SPDX-License-Identifier: GPL-2.0-only
//! One line for each save: what the tree does now, and what changed by the edit.
//!
//! Owns: the line, as a function of two outcomes. Must not: print it.

use std::collections::BTreeSet;

use crate::outcome::{CellOutcome, CellState, TargetOutcome};
use crate::report::table::Look;
use crate::verdict::Verdict;

/// Names in a list before the rest is only counted.
const NAMED: usize = 4;

/// The line of `now`; `before` is the last outcome that had cells.
#[must_use]
pub fn line(now: &TargetOutcome, before: Option<&TargetOutcome>, look: Look) -> String {
    let verdict = look.paint(&now.verdict.to_string(), now.verdict);
    if !measured(now) {
        let why = now.reasons.iter().chain(now.sides.iter().flat_map(|side| &side.reasons)).next();
        let why = why.and_then(|why| why.lines().next()).unwrap_or("no reason is known");
        return format!("{verdict}: {why}");
    }
    let all = cells(now, |_| true);
    let held = cells(now, |cell| cell.state == CellState::Held);
    let mut line = format!("{verdict}: {} of {} cells make others wait", held.len(), all.len());
    let odd = cells(now, |cell| !matches!(cell.state, CellState::Held | CellState::Released));
    if !odd.is_empty() {
        line += &format!(", {} are neither: {}", odd.len(), list(&odd));
    }
    let Some(before) = before else { return line };
    let was = |state| cells(before, move |cell: &CellOutcome| cell.state == state);
    let released = cells(now, |cell| cell.state == CellState::Released);
    let broken: BTreeSet<_> = held.intersection(&was(CellState::Released)).cloned().collect();
    let mended: BTreeSet<_> = released.intersection(&was(CellState::Held)).cloned().collect();
    if !broken.is_empty() {
        line += &look.paint(&format!("; NOW HELD: {}", list(&broken)), Verdict::Fail);
    }
    if !mended.is_empty() {
        line += &look.paint(&format!("; now released: {}", list(&mended)), Verdict::Pass);
    }
    if broken.is_empty() && mended.is_empty() {
        line += ", as before";
    }
    line
}

/// Does it say what the cells show, so that the next one can be compared with it?
#[must_use]
pub fn measured(outcome: &TargetOutcome) -> bool {
    outcome.sides.iter().any(|side| side.cells.iter().any(|cell| !cell.is_control()))
}

/// The cells, controls left out, of which any probe shows this.
fn cells(outcome: &TargetOutcome, wanted: impl Fn(&CellOutcome) -> bool) -> BTreeSet<String> {
    let all = outcome.sides.iter().flat_map(|side| &side.cells).filter(|cell| !cell.is_control());
    all.filter(|cell| wanted(cell)).map(|cell| format!("{}@{}", cell.cell, cell.window)).collect()
}

fn list(names: &BTreeSet<String>) -> String {
    let named: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{SideOutcome, WaitMs};

    fn outcome(cells: &[(&str, CellState)]) -> TargetOutcome {
        let cell = |&(name, state): &(&str, CellState)| CellOutcome {
            cell: name.to_owned(),
            window: 1,
            probe: "writer".to_owned(),
            state,
            n: 5,
            hold_ms: 100.0,
            wait_ms: WaitMs::default(),
            holder: Vec::new(),
            guest_progress: None,
            reason: None,
        };
        let side = SideOutcome {
            side: "tree".to_owned(),
            boot_ms: 900,
            controls_ok: true,
            cells: cells.iter().map(cell).collect(),
            behaviours: Vec::new(),
            stress: None,
            storm: None,
            verdict: Verdict::Pass,
            reasons: Vec::new(),
        };
        let (target, version) = ("tree".to_owned(), "6.1.192".to_owned());
        TargetOutcome { target, version, verdict: Verdict::Pass, sides: vec![side], reasons: Vec::new() }
    }

    #[test]
    fn an_edit_that_brings_the_wait_back_is_said_with_its_cells() {
        let control = ("control.held", CellState::Held);
        let before = outcome(&[control, ("anon.sync.read", CellState::Released), ("file.sync.read", CellState::Held)]);
        let after = outcome(&[control, ("anon.sync.read", CellState::Held), ("file.sync.read", CellState::Held)]);
        let told = |now, before| line(now, before, Look::PLAIN);
        assert_eq!(told(&before, None), "pass: 1 of 2 cells make others wait");
        assert_eq!(told(&after, Some(&before)), "pass: 2 of 2 cells make others wait; NOW HELD: anon.sync.read@1");
        assert!(told(&before, Some(&after)).ends_with("; now released: anon.sync.read@1"));
        assert!(told(&after, Some(&after)).ends_with("2 of 2 cells make others wait, as before"));
    }

    #[test]
    fn a_cell_that_is_neither_is_not_passed_over() {
        let now = outcome(&[("anon.sync.read", CellState::Mixed)]);
        assert!(
            line(&now, None, Look::PLAIN).ends_with("0 of 1 cells make others wait, 1 are neither: anon.sync.read@1")
        );
    }

    #[test]
    fn what_was_not_measured_is_told_with_the_first_line_of_its_reason() {
        let mut now = outcome(&[]);
        now.verdict = Verdict::BuildFailed;
        now.reasons = vec!["mm/swap_state.c:9:1: error: expected ';'\nmake: *** [mm/swap_state.o]".to_owned()];
        assert_eq!(line(&now, None, Look::PLAIN), "build-failed: mm/swap_state.c:9:1: error: expected ';'");
    }
}
