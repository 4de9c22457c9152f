// SPDX-License-Identifier: GPL-2.0-only
//! How far the oracle is believed, and when to stop.

use serde::{Deserialize, Serialize};

use crate::bisect::evidence::Direction;

/// What to do about the ends of the range that the user named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoints {
    /// Believe them; test only between them, as `git bisect` does.
    Trust,
    /// Test them before anything else.
    First,
    /// Test them first, and once more before the answer: an oracle or a host
    /// that drifted meanwhile is noticed.
    #[default]
    Both,
}

impl Endpoints {
    /// They are tested before the search.
    pub fn first(self) -> bool {
        self != Self::Trust
    }

    /// They are tested after the search.
    pub fn last(self) -> bool {
        self == Self::Both
    }
}

/// How far the oracle is believed, and when to stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// How often, at most, a good item is seen bad: 0 to below 1.
    pub false_bad: f64,
    /// How often, at most, a bad item is seen good: 0 to below 1.
    pub false_good: f64,
    /// The culprit is named only if it is wrong with at most this probability.
    pub max_error: f64,
    /// Fresh tests after which an open case stays open.
    pub max_tests: usize,
    /// What to do about the ends of the range.
    pub endpoints: Endpoints,
    /// What the caller looks for; with [`Direction::Fix`] an item that looks
    /// fixed is believed only if the effect was there before it.
    pub direction: Direction,
}

impl Policy {
    /// An oracle that never errs, with both ends tested first and last.
    pub fn honest() -> Self {
        Self {
            false_bad: 0.0,
            false_good: 0.0,
            max_error: 0.05,
            max_tests: 10_000,
            endpoints: Endpoints::default(),
            direction: Direction::default(),
        }
    }

    /// An oracle that errs at these rates, or less.
    pub fn flaky(false_bad: f64, false_good: f64) -> Self {
        Self { false_bad, false_good, ..Self::honest() }
    }

    /// No answer is ever wrong.
    pub fn is_honest(&self) -> bool {
        self.false_bad <= 0.0 && self.false_good <= 0.0
    }
}
