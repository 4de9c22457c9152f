// SPDX-License-Identifier: GPL-2.0-only
//! What a stress of guest memory showed.
//!
//! Owns: what it means for the kernel. Memory that is not as it must be, or a task
//! that makes no progress any more, is the kernel's doing: `crashed`. What could not
//! be made, or in which not everything has happened, proves nothing: `invalid`. Must
//! not: know how a stress is made.

use selftests::lost::Lost;
use selftests::plan::Stress;
use selftests::tally::{StressEnd, Tally};

use super::Reason;
use crate::outcome::{StressOutcome, StressState};
use crate::verdict::Verdict;

/// The outcome, and what is wrong with it.
pub(super) fn judge(asked: Stress, end: &StressEnd) -> (StressOutcome, Option<Reason>) {
    let (state, tally, reason) = read(end);
    let verdict = match state {
        StressState::Sound => Verdict::Pass,
        StressState::Corrupt | StressState::Hung => Verdict::Crashed,
        StressState::Broken => Verdict::Invalid,
    };
    let Stress { seconds, seed } = asked;
    let told = reason.as_ref().map(|why| Reason::new(verdict, format!("stress with seed {seed}: {why}")));
    (StressOutcome { seconds, seed, state, tally: tally.cloned(), reason }, told)
}

fn read(end: &StressEnd) -> (StressState, Option<&Tally>, Option<String>) {
    let broken = |why: String| (StressState::Broken, None, Some(why));
    match end {
        StressEnd::Complete { tally } => match tally.gaps() {
            gaps if gaps.is_empty() => (StressState::Sound, Some(tally), None),
            gaps => (StressState::Broken, Some(tally), Some(format!("it proves nothing: {}", gaps.join(", ")))),
        },
        StressEnd::Corrupt { wrong, tally } => {
            (StressState::Corrupt, Some(tally), Some(format!("the guest's memory was corrupted: {wrong}")))
        }
        StressEnd::Stuck { reason, tally } => (StressState::Hung, Some(tally), Some(reason.clone())),
        StressEnd::Lost(lost @ Lost::Hung { .. }) => (StressState::Hung, None, Some(lost.to_string())),
        StressEnd::Lost(Lost::Skipped { reason }) => broken(format!("it could not be made: {reason}")),
        StressEnd::Lost(lost) => broken(lost.to_string()),
    }
}
