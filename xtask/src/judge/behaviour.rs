// SPDX-License-Identifier: GPL-2.0-only
//! What the behaviours of a boot showed, against what its target expects.
//!
//! Owns: what each end means, and the table state × expectation → verdict. Without a row
//! right is expected on every side. Must not: know how a behaviour is tried.

use selftests::behaviour::{Behaviour, BehaviourEnd};
use selftests::lost::Lost;

use super::{BASELINE, Reason};
use crate::outcome::{BehaviourOutcome, BehaviourState, SideOutcome};
use crate::target::Target;
use crate::verdict::Verdict;

/// One outcome a behaviour.
pub(super) fn judge(behaviour: Behaviour, end: &BehaviourEnd) -> BehaviourOutcome {
    let (state, saw) = match end {
        BehaviourEnd::Right { saw } => (BehaviourState::Right, saw.clone()),
        BehaviourEnd::Wrong { saw } => (BehaviourState::Wrong, saw.clone()),
        BehaviourEnd::Lost(Lost::Skipped { reason }) => (BehaviourState::Skipped, reason.clone()),
        BehaviourEnd::Lost(lost) => (BehaviourState::Broken, lost.to_string()),
    };
    BehaviourOutcome { behaviour: behaviour.to_string(), state, saw }
}

/// Those that failed as tests.
pub(super) fn broken(behaviours: &[BehaviourOutcome]) -> impl Iterator<Item = Reason> {
    let failed = behaviours.iter().filter(|seen| seen.state == BehaviourState::Broken);
    failed.map(|seen| Reason::new(Verdict::Invalid, format!("{}: {}", seen.behaviour, seen.saw)))
}

/// What of a sound boot is not as the target expects.
pub(super) fn with_target(target: &Target, side: &SideOutcome) -> Vec<Reason> {
    let place = |seen: &BehaviourOutcome| format!("{} {}", side.side, seen.behaviour);
    let differs =
        |seen| one(target, &side.side, seen).map(|(verdict, text)| (verdict, format!("{} {text}", place(seen))));
    side.behaviours.iter().filter_map(differs).map(|(verdict, text)| Reason::new(verdict, text)).collect()
}

/// Of one behaviour; `None` if it is as expected.
pub(super) fn one(target: &Target, side: &str, seen: &BehaviourOutcome) -> Option<(Verdict, String)> {
    let row = target.behaves(side, &seen.behaviour);
    if row.is_none() && target.extra(side).is_some() {
        return None; // It is there to be looked at, unless a row says more.
    }
    let expected = row.map_or(BehaviourState::Right, |(expected, _)| expected.into());
    let BehaviourOutcome { state, saw, .. } = seen;
    if *state == expected {
        return None;
    }
    let why = row.map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
    let verdict = match (state, expected) {
        (BehaviourState::Wrong, BehaviourState::Right) if side != BASELINE => Verdict::Fail,
        _ => Verdict::Invalid,
    };
    Some((verdict, format!("is {state}, expected is {expected}{why}: {saw}")))
}
