// SPDX-License-Identifier: GPL-2.0-only
//! On which side each tested item is, beyond what its own tests say.
//!
//! Owns: merge bases of ends that are no ancestors of each other, and side
//! branches that are older than the effect whose fix is looked for. Must not
//! know how sure a tally is: it asks for that.

use fixedbitset::FixedBitSet;

use crate::bisect::evidence::{Direction, Seen, fresh};
use crate::bisect::graph::Graph;
use crate::bisect::step::{Case, Conflict, Open, Reason, Step};

/// What an item's own tests say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Not tested, or not enough.
    Unknown,
    /// Seen both ways, which cannot be.
    Both,
    /// This.
    Known(Seen),
}

/// Items by side, ends included.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    pub(crate) goods: Vec<usize>,
    pub(crate) bads: Vec<usize>,
    pub(crate) skipped: FixedBitSet,
    /// Look fixed, but their branches are older than the effect: on the old side.
    pub(crate) older: Vec<usize>,
    /// Their tests mean nothing for the search.
    pub(crate) ignored: FixedBitSet,
    /// How many other items' sides all this rests on.
    pub(crate) asked: usize,
}

/// The sides of all tested items, or the test that they need first. `of` says
/// what an item's tests are sure of, `fixed` whether they say the new side at all.
pub(crate) fn sides(case: &Case<'_>, of: &dyn Fn(usize) -> Side, fixed: &dyn Fn(usize) -> bool) -> Result<Sides, Step> {
    let mut asked = merge_bases(case, of)?;
    let fix = case.policy.direction == Direction::Fix;
    let (goods, bads) = (case.goods.to_vec(), case.bads.to_vec());
    let mut known =
        Sides { goods, bads, skipped: case.graph.none(), older: Vec::new(), ignored: case.graph.none(), asked };
    let before = case.graph.ancestors(case.goods);
    let mut tested = case.graph.none();
    case.seen.iter().filter(|seen| seen.item < case.graph.len()).for_each(|seen| tested.insert(seen.item));
    for item in tested.ones().filter(|item| !case.goods.contains(item) && !case.bads.contains(item)) {
        if fix && before.contains(item) {
            known.ignored.insert(item); // Asked only to judge another item by.
            continue;
        }
        let mut side = of(item);
        if fix && fixed(item) {
            match had_effect(case, of, item)? {
                Before::Effect => {}
                Before::Nothing => {
                    asked += 1;
                    known.older.push(item);
                    side = Side::Known(Seen::Good);
                }
                Before::Unjudged => {
                    known.ignored.insert(item);
                    side = Side::Known(Seen::Skip);
                }
            }
        }
        match side {
            Side::Unknown => {}
            Side::Both => return Err(Step::Contradiction(Conflict::BothSeen { item })),
            Side::Known(Seen::Good) => known.goods.push(item),
            Side::Known(Seen::Bad) => known.bads.push(item),
            Side::Known(Seen::Skip) => known.skipped.insert(item),
        }
    }
    Ok(Sides { asked, ..known })
}

/// What was before an item that looks fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The effect: the item is fixed indeed.
    Effect,
    /// No effect yet: its branch is older, and holds no fix.
    Nothing,
    /// Nobody knows.
    Unjudged,
}

/// A good end that the bad end does not contain says nothing about where their
/// branches parted: that must be good itself.
/// How many that were.
fn merge_bases(case: &Case<'_>, of: &dyn Fn(usize) -> Side) -> Result<usize, Step> {
    let bases = parted(case.graph, case.goods, case.bads);
    for &(base, good) in &bases {
        match of(base) {
            Side::Known(Seen::Good) => {}
            Side::Known(Seen::Bad) => return Err(Step::Contradiction(Conflict::MergeBaseBad { base, good })),
            Side::Both => return Err(Step::Contradiction(Conflict::BothSeen { item: base })),
            Side::Known(Seen::Skip) => return Err(unjudged(case)),
            Side::Unknown => return Err(ask(case, base)),
        }
    }
    Ok(bases.len())
}

/// Merge bases that must be good, each with the end that asks for it.
pub(crate) fn parted(graph: &Graph, goods: &[usize], bads: &[usize]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    for &bad in bads {
        let below = graph.ancestors(&[bad]);
        let believed = graph.ancestors(&goods.iter().copied().filter(|&good| below.contains(good)).collect::<Vec<_>>());
        for &good in goods.iter().filter(|&&good| !below.contains(good)) {
            let bases = graph.merge_bases(good, bad);
            all.extend(bases.into_iter().filter(|&base| !believed.contains(base)).map(|base| (base, good)));
        }
    }
    all.sort_unstable();
    all.dedup_by_key(|&mut (base, _)| base);
    all
}

/// `item` looks fixed. It is, if the effect was there before it. If its branch
/// left before the effect came, then it holds no fix either: it is on the old side.
fn had_effect(case: &Case<'_>, of: &dyn Fn(usize) -> Side, item: usize) -> Result<Before, Step> {
    let below = case.graph.ancestors(&[item]);
    let broken = |at: usize| at != item && (case.goods.contains(&at) || of(at) == Side::Known(Seen::Good));
    if below.ones().any(broken) {
        return Ok(Before::Effect);
    }
    let mut bases: Vec<usize> = case.goods.iter().flat_map(|&good| case.graph.merge_bases(item, good)).collect();
    bases.sort_unstable();
    bases.dedup();
    let mut answer = Before::Unjudged;
    for base in bases {
        match of(base) {
            Side::Unknown => return Err(ask(case, base)),
            Side::Known(Seen::Bad) => answer = Before::Nothing,
            Side::Known(_) | Side::Both => {}
        }
    }
    Ok(answer)
}

fn ask(case: &Case<'_>, base: usize) -> Step {
    let candidates = case.range().count_ones(..);
    if fresh(case.seen) >= case.policy.max_tests {
        let candidates = case.range().ones().collect();
        return Step::Undecided { candidates, error_bound: 0.0, why: Open::Budget, wanted: None };
    }
    let remaining = crate::bisect::halve::estimate(candidates) + 1;
    Step::Test { item: base, reason: Reason::MergeBase, remaining, candidates }
}

fn unjudged(case: &Case<'_>) -> Step {
    let candidates = case.range().ones().collect();
    Step::Undecided { candidates, error_bound: 0.0, why: Open::MergeBase, wanted: None }
}
