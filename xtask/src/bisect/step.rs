// SPDX-License-Identifier: GPL-2.0-only
//! What to do next, from all that was seen.
//!
//! Owns: the answer of the search at each point. Pure: the same graph, ends,
//! observations and policy give the same step. Must not guess: what the
//! evidence does not bear is [`Step::Undecided`] with the candidates.

use fixedbitset::FixedBitSet;
use serde::Serialize;

use crate::bisect::evidence::{Observation, Seen};
use crate::bisect::flaky;
use crate::bisect::graph::Graph;
use crate::bisect::honest;
use crate::bisect::policy::Policy;

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Step {
    /// Ask the oracle about this item.
    Test {
        /// The item.
        item: usize,
        /// Why this one.
        reason: Reason,
        /// About how many tests are left, this one included.
        remaining: usize,
        /// How many items can still be the culprit.
        candidates: usize,
    },
    /// The culprit.
    Found {
        /// The first bad item.
        item: usize,
        /// The probability that it is another one, at most; 0 for an honest oracle.
        error_bound: f64,
        /// Fresh tests made.
        tests: usize,
    },
    /// The evidence does not name one item, and more tests would not either.
    Undecided {
        /// What it can be, the likeliest first.
        candidates: Vec<usize>,
        /// The probability that it is none of these, at most.
        error_bound: f64,
        /// Why it stays open.
        why: Open,
        /// About how many more tests would decide, where more tests can.
        wanted: Option<usize>,
    },
    /// What was seen cannot be true of any single culprit.
    Contradiction(Conflict),
}

/// Why an item is to be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// An end of the range, before the search.
    Endpoint,
    /// An end of the range once more, before the answer.
    Recheck,
    /// Where a good item's branch parted from the bad one's.
    MergeBase,
    /// It divides what is left.
    Search,
}

/// Why a case stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Open {
    /// Only items that cannot be judged are left to test.
    Skipped,
    /// `max_tests` are made.
    Budget,
    /// The oracle's rates tell nothing: it is as good as a coin.
    Uninformative,
    /// An end of the range cannot be judged.
    Endpoint,
    /// A merge base, or the start of a side branch, cannot be judged.
    MergeBase,
}

/// What cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum Conflict {
    /// The end that was called good is bad.
    #[error("item {item} was given as good, and tests bad")]
    GoodIsBad {
        /// That end.
        item: usize,
    },
    /// The end that was called bad is good.
    #[error("item {item} was given as bad, and tests good")]
    BadIsGood {
        /// That end.
        item: usize,
    },
    /// An end is not in the graph.
    #[error("the end {item} is no item of the set")]
    NoSuchItem {
        /// That end.
        item: usize,
    },
    /// The ends do not span a range.
    #[error("the bad end is the good end {good}, or older: nothing lies between them")]
    NoRange {
        /// A good end that has every bad end among its ancestors.
        good: usize,
    },
    /// The two ends share nothing.
    #[error("the good end {good} and the bad end {bad} have no common ancestor")]
    Unrelated {
        /// The good end.
        good: usize,
        /// The bad end.
        bad: usize,
    },
    /// A merge base is bad: the effect went away on the way to the good end.
    #[error("the merge base {base} is bad: the effect went away between {base} and {good}")]
    MergeBaseBad {
        /// The merge base.
        base: usize,
        /// The good end whose branch starts there.
        good: usize,
    },
    /// One item was seen both ways by an oracle that never errs.
    #[error("item {item} was seen good and bad: the oracle is flaky")]
    BothSeen {
        /// The item.
        item: usize,
    },
    /// An item was seen good that contains one that was seen bad.
    #[error("item {good} is good and contains {bad}, which is bad")]
    GoodContainsBad {
        /// The newer item.
        good: usize,
        /// The older item.
        bad: usize,
    },
    /// Items were seen bad that have no possible culprit in common.
    #[error("the items {items:?} are bad, but no single item can have made all of them so")]
    NoCommonCulprit {
        /// The bad items.
        items: Vec<usize>,
    },
    /// An end answers otherwise than at the start.
    #[error("item {item} answers otherwise than before: the oracle drifts")]
    Drift {
        /// The end.
        item: usize,
    },
    /// Too many answers disagree with the likeliest culprit.
    #[error("{wrong} of {of} answers disagree with the likeliest culprit: the oracle errs more often than stated")]
    FlakierThanStated {
        /// Answers that disagree.
        wrong: usize,
        /// Answers.
        of: usize,
    },
}

/// What to do next. `goods` and `bads` are the ends that the user named.
pub fn step(graph: &Graph, goods: &[usize], bads: &[usize], seen: &[Observation], policy: &Policy) -> Step {
    if let Err(conflict) = ends(graph, goods, bads) {
        return Step::Contradiction(conflict);
    }
    let case = Case { graph, goods, bads, seen, policy };
    if policy.is_honest() { honest::step(&case) } else { flaky::step(&case) }
}

/// Everything that a step looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) goods: &'a [usize],
    pub(crate) bads: &'a [usize],
    pub(crate) seen: &'a [Observation],
    pub(crate) policy: &'a Policy,
}

impl<'a> Case<'a> {
    /// The ends with the side that the user named, bad ones first: the effect
    /// that cannot be seen at all is the commonest mistake.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (&'a usize, Seen)> {
        let bads = self.bads.iter().map(|end| (end, Seen::Bad));
        bads.chain(self.goods.iter().map(|end| (end, Seen::Good)))
    }

    /// What the ends alone leave.
    pub(crate) fn range(&self) -> FixedBitSet {
        let mut range = self.graph.ancestors(&self.bads[..1.min(self.bads.len())]);
        for &bad in self.bads {
            range.intersect_with(&self.graph.ancestors(&[bad]));
        }
        range.difference_with(&self.graph.ancestors(self.goods));
        range
    }

    /// The observations after the last fresh one of anything but the ends.
    pub(crate) fn since_search(&self) -> &'a [Observation] {
        let end = |item: &usize| self.goods.contains(item) || self.bads.contains(item);
        let last = self.seen.iter().rposition(|seen| !seen.inherited && !end(&seen.item));
        self.seen.get(last.map_or(0, |at| at + 1)..).unwrap_or_default()
    }
}

/// The ends span a range, or why not.
fn ends(graph: &Graph, goods: &[usize], bads: &[usize]) -> Result<(), Conflict> {
    if let Some(&item) = goods.iter().chain(bads).find(|&&item| item >= graph.len()) {
        return Err(Conflict::NoSuchItem { item });
    }
    if bads.is_empty() {
        return Err(Conflict::NoCommonCulprit { items: Vec::new() });
    }
    for &good in goods {
        let older = graph.ancestors(&[good]);
        if bads.iter().all(|&bad| older.contains(bad)) {
            return Err(Conflict::NoRange { good });
        }
        for &bad in bads {
            if older.is_disjoint(&graph.ancestors(&[bad])) {
                return Err(Conflict::Unrelated { good, bad });
            }
        }
    }
    Ok(())
}
