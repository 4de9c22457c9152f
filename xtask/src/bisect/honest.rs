// SPDX-License-Identifier: GPL-2.0-only
//! The search with an oracle that never errs: the halving of `git bisect`, with
//! the ends tested, and with nothing believed that cannot be true.

use fixedbitset::FixedBitSet;

use crate::bisect::evidence::{Seen, Tally, fresh, tallies};
use crate::bisect::halve::{Choice, choose, estimate};
use crate::bisect::sides::{Side, Sides, sides};
use crate::bisect::step::{Case, Conflict, Open, Reason, Step};
use crate::bisect::weigh::contained;

/// What to do next.
pub(crate) fn step(case: &Case<'_>) -> Step {
    search(case).unwrap_or_else(|stop| stop)
}

/// The early stops are errors here, only to leave by `?`.
fn search(case: &Case<'_>) -> Result<Step, Step> {
    let tally = tallies(case.graph.len(), case.seen);
    first_look(case, &tally)?;
    let of = |item: usize| certain(&tally, item);
    let known = sides(case, &of, &|item| of(item) == Side::Known(Seen::Bad))?;
    let candidates = left(case, &known)?;
    let item = match choose(case.graph, &candidates, &known.skipped) {
        Choice::Only(item) => {
            recheck(case, item)?;
            return Ok(Step::Found { item, error_bound: 0.0, tests: fresh(case.seen) });
        }
        Choice::Item(item) => item,
        Choice::Stuck => {
            let beside = beside(case, &candidates, &known.skipped);
            beside.ok_or_else(|| open(candidates.ones().collect(), Open::Skipped))?
        }
    };
    let count = candidates.count_ones(..);
    budget(case, || candidates.ones().collect(), Some(estimate(count)))?;
    Ok(Step::Test { item, reason: Reason::Search, remaining: estimate(count) + pending(case), candidates: count })
}

/// Where git gives up: no candidate can be tested, but a commit beside the last
/// bad one may contain some of the candidates and not the others.
fn beside(case: &Case<'_>, candidates: &FixedBitSet, skipped: &FixedBitSet) -> Option<usize> {
    let range = case.range();
    let items: Vec<usize> = candidates.ones().collect();
    let sums = contained(case.graph, &range, &[(1.0, items.clone())]);
    let all = items.len() as f64;
    let divides = |&item: &usize| !skipped.contains(item) && sums[item] > 0.0 && sums[item] < all;
    let outside = range.difference(candidates).filter(divides);
    outside.min_by(|&a, &b| (2.0 * sums[a] - all).abs().total_cmp(&(2.0 * sums[b] - all).abs()))
}

/// What an item's tally says when no answer is ever wrong.
fn certain(tally: &[Tally], item: usize) -> Side {
    let of = tally.get(item).copied().unwrap_or_default();
    match (of.good > 0, of.bad > 0) {
        (true, true) => Side::Both,
        (true, false) => Side::Known(Seen::Good),
        (false, true) => Side::Known(Seen::Bad),
        (false, false) if of.is_skipped() => Side::Known(Seen::Skip),
        (false, false) => Side::Unknown,
    }
}

/// An answer that stays open and that more tests would not close.
fn open(candidates: Vec<usize>, why: Open) -> Step {
    Step::Undecided { candidates, error_bound: 0.0, why, wanted: None }
}

/// The ends, before anything else.
fn first_look(case: &Case<'_>, tally: &[Tally]) -> Result<(), Step> {
    for (&end, expected) in case.ends() {
        match (certain(tally, end), expected) {
            (Side::Both, _) => return Err(Step::Contradiction(Conflict::Drift { item: end })),
            (Side::Known(Seen::Bad), Seen::Good) => {
                return Err(Step::Contradiction(Conflict::GoodIsBad { item: end }));
            }
            (Side::Known(Seen::Good), Seen::Bad) => {
                return Err(Step::Contradiction(Conflict::BadIsGood { item: end }));
            }
            _ => {}
        }
    }
    if !case.policy.endpoints.first() {
        return Ok(());
    }
    let range = || case.range().ones().collect::<Vec<usize>>();
    for (&end, _) in case.ends() {
        match certain(tally, end) {
            Side::Known(Seen::Skip) => return Err(open(range(), Open::Endpoint)),
            Side::Unknown => {
                let count = range().len();
                budget(case, range, Some(estimate(count)))?;
                let remaining = estimate(count) + case.goods.len() + case.bads.len() + pending(case);
                return Err(Step::Test { item: end, reason: Reason::Endpoint, remaining, candidates: count });
            }
            Side::Known(_) | Side::Both => {}
        }
    }
    Ok(())
}

/// The ends once more, after the last test of anything else.
fn recheck(case: &Case<'_>, found: usize) -> Result<(), Step> {
    if !case.policy.endpoints.last() {
        return Ok(());
    }
    let recent = tallies(case.graph.len(), case.since_search());
    for (&end, _) in case.ends() {
        let of = recent.get(end).copied().unwrap_or_default();
        if of.good + of.bad > 0 {
            continue;
        }
        if of.is_worn() {
            return Err(open(vec![found], Open::Endpoint));
        }
        budget(case, || vec![found], Some(pending(case)))?;
        return Err(Step::Test { item: end, reason: Reason::Recheck, remaining: pending(case), candidates: 1 });
    }
    Ok(())
}

/// How many tests of the ends the answer will still need.
fn pending(case: &Case<'_>) -> usize {
    if !case.policy.endpoints.last() {
        return 0;
    }
    let recent = tallies(case.graph.len(), case.since_search());
    case.ends().filter(|&(&end, _)| recent.get(end).is_none_or(|of| of.good + of.bad == 0)).count()
}

/// Items that can be the culprit.
fn left(case: &Case<'_>, known: &Sides) -> Result<FixedBitSet, Step> {
    let mut candidates = case.graph.ancestors(&known.bads[..1.min(known.bads.len())]);
    for &bad in &known.bads {
        candidates.intersect_with(&case.graph.ancestors(&[bad]));
    }
    for &good in &known.goods {
        let older = case.graph.ancestors(&[good]);
        let inside = known.bads.iter().copied().find(|&bad| older.contains(bad));
        if let Some(bad) = inside {
            return Err(Step::Contradiction(Conflict::GoodContainsBad { good, bad }));
        }
        candidates.difference_with(&older);
    }
    if candidates.is_clear() {
        return Err(Step::Contradiction(Conflict::NoCommonCulprit { items: known.bads.clone() }));
    }
    Ok(candidates)
}

/// Stop if all allowed tests are made.
fn budget(case: &Case<'_>, candidates: impl FnOnce() -> Vec<usize>, wanted: Option<usize>) -> Result<(), Step> {
    if fresh(case.seen) < case.policy.max_tests {
        return Ok(());
    }
    Err(Step::Undecided { candidates: candidates(), error_bound: 0.0, why: Open::Budget, wanted })
}
