// SPDX-License-Identifier: GPL-2.0-only
//! What a sound boot showed against what its target expects.
//!
//! Owns: the table state × expectation → verdict, and the two rules about sizes.
//! Must not: see a boot whose evidence is incomplete.

use selftests::plan::Plan;

use super::Reason;
use crate::outcome::{CellOutcome, CellState, SideOutcome};
use crate::target::{Expected, Target};
use crate::verdict::Verdict;

/// A held lock is held for the whole hold: the writer's longest wait is at least
/// this share of it. Less means that the writer came late, and that the hold is
/// too short for this host.
pub const HELD_SHARE: f64 = 0.9;

/// A released lock is released at once: the median wait on a side that must
/// release is below this share of the nominal hold. On an idle host it is 1 to 3 %
/// under emulation; more says that the host is loaded or that something else is
/// waited for, not that the lock was held.
pub const RELEASED_SHARE: f64 = 0.05;

/// The side whose states are facts about a stock kernel.
const BASELINE: &str = "baseline";

pub(super) fn with_target(target: &Target, side: &SideOutcome, plan: &Plan) -> Vec<Reason> {
    let mut reasons: Vec<Reason> =
        faults(side).filter_map(|cell| expectation(target, &side.side, cell, plan)).collect();
    reasons.extend(nothing_measured(side));
    reasons
}

pub(super) fn without_target(side: &SideOutcome) -> Vec<Reason> {
    let mixed = faults(side).filter(|cell| cell.state == CellState::Mixed);
    let mut reasons: Vec<Reason> = mixed
        .map(|cell| Reason::new(Verdict::Inconclusive, format!("{}: its trials disagree", place(side, cell))))
        .collect();
    reasons.extend(nothing_measured(side));
    reasons
}

fn faults(side: &SideOutcome) -> impl Iterator<Item = &CellOutcome> {
    side.cells.iter().filter(|cell| !cell.cell.starts_with("control."))
}

fn place(side: &SideOutcome, cell: &CellOutcome) -> String {
    named(&side.side, cell)
}

fn named(side: &str, cell: &CellOutcome) -> String {
    format!("{side} {}@{} {}", cell.cell, cell.window, cell.probe)
}

fn nothing_measured(side: &SideOutcome) -> Option<Reason> {
    let measured = faults(side).any(|cell| cell.state != CellState::Skipped);
    (!measured).then(|| Reason::new(Verdict::Inconclusive, format!("{}: nothing but controls was measured", side.side)))
}

fn expectation(target: &Target, side: &str, cell: &CellOutcome, plan: &Plan) -> Option<Reason> {
    let at = named(side, cell);
    if cell.state == CellState::Skipped {
        if target.declared_skip(&cell.cell, cell.window).is_some() {
            return None;
        }
        let why = cell.reason.as_deref().unwrap_or("for no stated reason");
        return Some(Reason::new(
            Verdict::Invalid,
            format!("{at} was skipped, and target.toml declares no skip: {why}"),
        ));
    }
    let row = target.expected(side, &cell.cell, cell.window, &cell.probe);
    let Some((row, expected)) = row.and_then(|row| row.sides.get(side).map(|expected| (row, *expected))) else {
        return Some(Reason::new(
            Verdict::Invalid,
            format!("{at} shows {}, and target.toml expects nothing of it", cell.state),
        ));
    };
    let differs = |verdict, hint: &str| {
        let (state, reason) = (cell.state, &row.reason);
        Some(Reason::new(verdict, format!("{at} shows {state}, expected is {expected}{hint} ({reason})")))
    };
    match (expected, cell.state) {
        (Expected::Held, CellState::Held) => late_writer(&at, cell, plan),
        (Expected::Released, CellState::Released) if side == BASELINE => None,
        (Expected::Released, CellState::Released) => slow_release(&at, cell, plan),
        _ if side == BASELINE => differs(Verdict::Invalid, ""),
        (Expected::Released, _) => differs(Verdict::Fail, ""),
        (Expected::Held, _) => differs(Verdict::Invalid, "; if that is right, correct target.toml"),
    }
}

/// The reader is started behind the writer, so that only the writer's wait can be
/// compared with the hold.
fn late_writer(at: &str, cell: &CellOutcome, plan: &Plan) -> Option<Reason> {
    let (hold, wait) = (f64::from(plan.hold_ms), cell.wait_ms.max);
    let late = cell.probe == "writer" && wait < HELD_SHARE * hold;
    late.then(|| {
        let text = format!(
            "{at} waited {wait:.1} ms at most, less than {:.0} % of the {hold:.0} ms hold: the host is too busy for so \
             short a hold; raise --hold",
            HELD_SHARE * 100.0
        );
        Reason::new(Verdict::Inconclusive, text)
    })
}

fn slow_release(at: &str, cell: &CellOutcome, plan: &Plan) -> Option<Reason> {
    let (hold, wait) = (f64::from(plan.hold_ms), cell.wait_ms.median);
    let slow = wait >= RELEASED_SHARE * hold;
    slow.then(|| {
        let text = format!(
            "{at} is released, but with a median wait of {wait:.1} ms, not below {:.0} % of the {hold:.0} ms hold: the \
             host is too busy for so short a hold; raise --hold, or look for another wait",
            RELEASED_SHARE * 100.0
        );
        Reason::new(Verdict::Inconclusive, text)
    })
}
