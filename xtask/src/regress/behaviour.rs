// SPDX-License-Identifier: GPL-2.0-only
//! The behaviours of a night against those of the nights before it: right is good, wrong is bad.
//!
//! Owns: which are places, and what a night says of them. Must not: know the words.

use super::{Compared, Night};
use crate::diff::of_behaviour;
use crate::outcome::BehaviourOutcome;
use crate::verdict::Verdict;

impl<'a> Compared<'a> {
    /// Says what became of each behaviour of a sound boot.
    pub(super) fn behaviours(&mut self, side: &'a str) {
        for name in &self.asked.behaviours {
            let of = |night: &'a Night| {
                let seen = found(night, self.target, side, name)?;
                Some((of_behaviour(seen), seen.state.to_string()))
            };
            if of(self.night).is_some() || self.past.iter().any(|night| of(night).is_some()) {
                self.place(Some(side), name, &of);
            }
        }
    }
}

fn found<'a>(night: &'a Night, target: &str, side: &str, name: &str) -> Option<&'a BehaviourOutcome> {
    night.side(target, side).filter(|side| side.verdict == Verdict::Pass)?.behaviour(name)
}
