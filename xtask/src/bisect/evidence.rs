// SPDX-License-Identifier: GPL-2.0-only
//! What the oracle saw, item by item.
//!
//! Owns: observations, their tallies, and the bound of a rate from counts.
//! Good and bad are the search's words: good is the old side, bad the new one,
//! whatever the user looks for ([`Direction`]). An infrastructure failure is no
//! observation at all and must never become one.

use serde::{Deserialize, Serialize};

/// One answer of the oracle about one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// As on the old side.
    Good,
    /// As on the new side.
    Bad,
    /// The item cannot be judged: it does not build, or dies of something else.
    Skip,
}

/// What is looked for. The search knows only old and new: the caller folds what
/// it measured once, at the edge, by [`Direction::fold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The first item with the effect.
    #[default]
    Break,
    /// The first item without it.
    Fix,
}

impl Direction {
    /// What the search must be told when the effect was there (`Bad`), was not
    /// there (`Good`), or could not be judged. Its own inverse.
    pub fn fold(self, effect: Seen) -> Seen {
        match (self, effect) {
            (Self::Fix, Seen::Good) => Seen::Bad,
            (Self::Fix, Seen::Bad) => Seen::Good,
            (Self::Break, seen) | (Self::Fix, seen @ Seen::Skip) => seen,
        }
    }
}

/// One test of one item, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The item's index in the graph.
    pub item: usize,
    /// What was seen, in the search's words.
    pub seen: Seen,
    /// Nothing ran: the item is the same, compiled, as another one that was tested.
    #[serde(default)]
    pub inherited: bool,
    /// That other item. An inherited answer is no second evidence; it says that
    /// the two items are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
}

impl Observation {
    /// A test that really ran.
    pub fn fresh(item: usize, seen: Seen) -> Self {
        Self { item, seen, inherited: false, from: None }
    }

    /// The answer of `from`, for an item that compiles to the same.
    pub fn inherited(item: usize, seen: Seen, from: usize) -> Self {
        Self { item, seen, inherited: true, from: Some(from) }
    }
}

/// How often an item was seen how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Tests that saw the old side.
    pub good: usize,
    /// Tests that saw the new side.
    pub bad: usize,
    /// Tests that could not be judged.
    pub skip: usize,
    /// How many of all these only repeat another item's answer.
    pub inherited: usize,
}

/// Skips in excess of real answers after which an item is left alone.
const SKIPS: usize = 3;

impl Tally {
    /// Add one observation.
    pub fn add(&mut self, observation: &Observation) {
        match observation.seen {
            Seen::Good => self.good += 1,
            Seen::Bad => self.bad += 1,
            Seen::Skip => self.skip += 1,
        }
        self.inherited += usize::from(observation.inherited);
    }

    /// Testing this item again is not worth it: it never gave an answer, or
    /// nearly never.
    pub fn is_skipped(&self) -> bool {
        let told = self.good + self.bad;
        self.skip > 0 && (told == 0 || self.is_worn())
    }

    /// Asked in vain often enough.
    pub(crate) fn is_worn(&self) -> bool {
        self.skip >= self.good + self.bad + SKIPS
    }

    /// The side that most answers took, with none for a draw.
    pub fn majority(&self) -> Option<Seen> {
        match self.good.cmp(&self.bad) {
            std::cmp::Ordering::Greater => Some(Seen::Good),
            std::cmp::Ordering::Less => Some(Seen::Bad),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// The tally of each of `len` items. Observations of other items are left out.
pub fn tallies(len: usize, seen: &[Observation]) -> Vec<Tally> {
    let mut all = vec![Tally::default(); len];
    for observation in seen {
        if let Some(tally) = all.get_mut(observation.item) {
            tally.add(observation);
        }
    }
    all
}

/// Tests that really ran: what `max_tests` counts.
pub fn fresh(seen: &[Observation]) -> usize {
    seen.iter().filter(|observation| !observation.inherited).count()
}
