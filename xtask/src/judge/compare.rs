// SPDX-License-Identifier: GPL-2.0-only
//! What a sound boot showed against what its target expects.
//!
//! Owns: the table state × expectation → verdict, and the two rules about sizes.
//! Must not: see a boot whose evidence is incomplete.

use selftests::plan::Plan;

use super::{BASELINE, Reason};
use crate::outcome::{BehaviourState, CellOutcome, CellState, SideOutcome};
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

/// And no wait at all may come near the hold's end: half of it is 50 times what an
/// idle host shows, and still far from what a held lock looks like.
const LONGEST_RELEASED_SHARE: f64 = 0.5;

/// A finding about one cell, kept apart from its place so that cells of which the
/// same is to be said share one line.
struct Difference {
    verdict: Verdict,
    cell: String,
    probe: String,
    text: String,
}

impl Difference {
    fn new(verdict: Verdict, cell: &CellOutcome, text: String) -> Self {
        Self { verdict, cell: format!("{}@{}", cell.cell, cell.window), probe: cell.probe.clone(), text }
    }
}

pub(super) fn with_target(target: &Target, side: &SideOutcome, plan: &Plan) -> Vec<Reason> {
    let differences = faults(side).filter_map(|cell| expectation(target, &side.side, cell, plan)).collect();
    grouped(&side.side, differences).into_iter().chain(nothing_measured(side)).collect()
}

/// Of one cell that is no control.
pub(super) fn one(target: &Target, side: &str, cell: &CellOutcome, plan: &Plan) -> Option<(Verdict, String)> {
    expectation(target, side, cell, plan).map(|difference| (difference.verdict, difference.text))
}

pub(super) fn without_target(side: &SideOutcome) -> Vec<Reason> {
    let mixed = faults(side).filter(|cell| cell.state == CellState::Mixed);
    let disagree = |cell| Difference::new(Verdict::Inconclusive, cell, "has trials that disagree".to_owned());
    grouped(&side.side, mixed.map(disagree).collect()).into_iter().chain(nothing_measured(side)).collect()
}

fn faults(side: &SideOutcome) -> impl Iterator<Item = &CellOutcome> {
    side.cells.iter().filter(|cell| !cell.is_control())
}

/// What is to be said of several cells, each with the probes that it is said of.
struct Group {
    verdict: Verdict,
    text: String,
    places: Vec<(String, Vec<String>)>,
}

/// One reason for all cells of which the same is to be said: `patched
/// anon.sync.read@1 (writer, reader), … shows held, …`.
fn grouped(side: &str, differences: Vec<Difference>) -> Vec<Reason> {
    let mut groups: Vec<Group> = Vec::new();
    for Difference { verdict, cell, probe, text } in differences {
        match groups.iter_mut().find(|group| group.verdict == verdict && group.text == text) {
            Some(group) => match group.places.last_mut().filter(|(last, _)| *last == cell) {
                Some((_, probes)) => probes.push(probe),
                None => group.places.push((cell, vec![probe])),
            },
            None => groups.push(Group { verdict, text, places: vec![(cell, vec![probe])] }),
        }
    }
    let place = |(cell, probes): &(String, Vec<String>)| format!("{cell} ({})", probes.join(", "));
    let reason = |group: Group| {
        let places: Vec<String> = group.places.iter().map(place).collect();
        Reason::new(group.verdict, format!("{side} {} {}", places.join(", "), group.text))
    };
    groups.into_iter().map(reason).collect()
}

fn nothing_measured(side: &SideOutcome) -> Option<Reason> {
    let tried = side.behaviours.iter().any(|seen| seen.state != BehaviourState::Skipped);
    let measured = tried || faults(side).any(|cell| cell.state != CellState::Skipped);
    (!measured).then(|| Reason::new(Verdict::Inconclusive, format!("{}: nothing but controls was measured", side.side)))
}

fn expectation(target: &Target, side: &str, cell: &CellOutcome, plan: &Plan) -> Option<Difference> {
    let differs = |verdict, text: String| Some(Difference::new(verdict, cell, text));
    if cell.state == CellState::Skipped {
        if target.declared_skip(&cell.cell, cell.window).is_some() {
            return None;
        }
        let why = cell.reason.as_deref().unwrap_or("for no stated reason");
        return differs(Verdict::Invalid, format!("was skipped, and target.toml declares no skip: {why}"));
    }
    let row = target.expected(side, &cell.cell, cell.window, &cell.probe);
    if row.is_none() && target.extra(side).is_some() {
        return None; // It is there to be looked at, unless a row says more.
    }
    let Some((row, expected)) = row.and_then(|row| row.sides.get(side).map(|expected| (row, *expected))) else {
        return differs(Verdict::Invalid, format!("shows {}, and target.toml expects nothing of it", cell.state));
    };
    let (state, reason) = (cell.state, &row.reason);
    let text = |hint: &str| format!("shows {state}, expected is {expected}{hint} ({reason})");
    match (expected, state) {
        (Expected::Held, CellState::Held) => late_writer(cell, plan),
        (Expected::Released, CellState::Released) => slow_release(cell, plan),
        (Expected::Either, CellState::Held | CellState::Released | CellState::Mixed) => None,
        _ if side == BASELINE => differs(Verdict::Invalid, text("")),
        (Expected::Released, _) => differs(Verdict::Fail, text("")),
        (Expected::Held | Expected::Either, _) => {
            differs(Verdict::Invalid, text("; if that is right, correct target.toml"))
        }
    }
}

/// The reader is started behind the writer, so that only the writer's wait can be
/// compared with the hold.
fn late_writer(cell: &CellOutcome, plan: &Plan) -> Option<Difference> {
    let (hold, wait) = (f64::from(plan.hold_ms), cell.wait_ms.max);
    let late = cell.probe == "writer" && wait < HELD_SHARE * hold;
    late.then(|| {
        let text = format!(
            "waited {wait:.1} ms at most, less than {:.0} % of the {hold:.0} ms hold: the host is too busy for so \
             short a hold; raise --hold",
            HELD_SHARE * 100.0
        );
        Difference::new(Verdict::Inconclusive, cell, text)
    })
}

fn slow_release(cell: &CellOutcome, plan: &Plan) -> Option<Difference> {
    let hold = f64::from(plan.hold_ms);
    let sizes =
        [("a median", cell.wait_ms.median, RELEASED_SHARE), ("a longest", cell.wait_ms.max, LONGEST_RELEASED_SHARE)];
    let (which, wait, share) = sizes.into_iter().find(|(_, wait, share)| *wait >= share * hold)?;
    let text = format!(
        "is released, but with {which} wait of {wait:.1} ms, not below {:.0} % of the {hold:.0} ms hold: the host is \
         too busy for so short a hold; raise --hold, or look for another wait",
        share * 100.0
    );
    Some(Difference::new(Verdict::Inconclusive, cell, text))
}
