// SPDX-License-Identifier: GPL-2.0-only
//! The search with an oracle that errs: each test where it tells most, repeated
//! until the likeliest culprit is wrong with no more than the wanted error.

use fixedbitset::FixedBitSet;

use crate::bisect::evidence::{Observation, Seen, Tally, fresh, tallies};
use crate::bisect::halve::spread;
use crate::bisect::posterior::{Fact, Posterior, information, likelihoods, twins};
use crate::bisect::sides::{Side, Sides, sides};
use crate::bisect::step::{Case, Conflict, Open, Reason, Step};

/// The part of the error that each decision besides the search's own may take:
/// a merge base, or the age of a side branch.
const PART: f64 = 1.0 / 16.0;
/// An item that is tested already needs no build: it is taken if it tells nearly as much.
const NEARLY: f64 = 0.95;
/// Around an item that cannot be tested, others tell enough from here on.
const ENOUGH: f64 = 0.5;
/// So improbable a number of wrong answers is not bad luck.
const LUCK: f64 = 5e-3;

/// What to do next.
pub(crate) fn step(case: &Case<'_>) -> Step {
    search(case).unwrap_or_else(|stop| stop)
}

/// What a step needs to know again and again.
struct View<'a> {
    case: &'a Case<'a>,
    /// Fresh tests only.
    tally: Vec<Tally>,
    range: FixedBitSet,
    /// Cannot be tested, or can but with no meaning.
    skipped: FixedBitSet,
    posterior: Posterior,
    /// Errors of decisions that the probabilities take for granted.
    taken: f64,
}

/// The early stops are errors here, only to leave by `?`.
fn search(case: &Case<'_>) -> Result<Step, Step> {
    let range: Vec<usize> = case.range().ones().collect();
    if case.policy.false_bad + case.policy.false_good >= 1.0 - 1e-9 {
        return Err(Step::Undecided { candidates: range, error_bound: 0.0, why: Open::Uninformative, wanted: None });
    }
    let told = |seen: &[Observation]| tallies(case.graph.len(), &own(seen));
    first_look(case, &told(case.seen), range.len())?;
    // What came after the evidence sufficed only checks the ends again: it must not
    // reopen the search, or a drift would go on as doubt for ever.
    let all = case.seen.len();
    let first = if case.policy.endpoints.last() { all - case.since_search().len() } else { all };
    for at in first..=all {
        let (before, after) = case.seen.split_at(at);
        let view = view(case, told(before))?;
        if let Some((best, error)) = decided(&view) {
            fits(&view, best)?;
            recheck(&view, best, error, &told(after))?;
            return Ok(Step::Found { item: best, error_bound: error, tests: fresh(case.seen) });
        }
    }
    let view = view(case, told(case.seen))?;
    contradicted(&view)?;
    indistinct(&view)?;
    choose(&view)
}

/// The likeliest culprit in the range, if there is one.
fn best(view: &View<'_>) -> Option<usize> {
    view.posterior.ordered().into_iter().find(|&item| view.range.contains(item))
}

/// The culprit with its error, if that is small enough.
fn decided(view: &View<'_>) -> Option<(usize, f64)> {
    let best = best(view)?;
    let error = view.posterior.error(&[best]) + view.taken;
    (error <= view.case.policy.max_error).then_some((best, error))
}

/// Stop if what is left cannot be told apart by any test.
fn indistinct(view: &View<'_>) -> Result<(), Step> {
    let Some(best) = best(view) else { return Ok(()) };
    let mut testable = view.range.clone();
    testable.difference_with(&view.skipped);
    let mut alike = twins(view.case.graph, &view.range, best, &testable);
    alike.retain(|&item| view.posterior.of[item] > 0.0);
    let error_bound = view.posterior.error(&alike) + view.taken;
    if alike.len() < 2 || error_bound > view.case.policy.max_error {
        return Ok(());
    }
    let candidates = view.posterior.ordered().into_iter().filter(|item| alike.contains(item)).collect();
    Err(Step::Undecided { candidates, error_bound, why: Open::Skipped, wanted: None })
}

/// Answers of the items' own tests.
fn own(seen: &[Observation]) -> Vec<Observation> {
    seen.iter().copied().filter(|seen| !seen.inherited).collect()
}

/// Each end once, before anything else; more where the probabilities ask for it.
fn first_look(case: &Case<'_>, tally: &[Tally], candidates: usize) -> Result<(), Step> {
    if !case.policy.endpoints.first() {
        return Ok(());
    }
    for (&end, _) in case.ends() {
        let of = tally.get(end).copied().unwrap_or_default();
        if of.good + of.bad > 0 {
            continue;
        }
        if of.is_worn() || of.skip > 0 {
            let candidates = case.range().ones().collect();
            return Err(Step::Undecided { candidates, error_bound: 0.0, why: Open::Endpoint, wanted: None });
        }
        let bits = (candidates as f64).log2();
        return Err(Step::Test { item: end, reason: Reason::Endpoint, remaining: left(case, bits), candidates });
    }
    Ok(())
}

/// About how many tests that many open bits need, at best.
fn left(case: &Case<'_>, bits: f64) -> usize {
    let best = (1..20).map(|step| information(f64::from(step) / 20.0, case.policy)).fold(1e-6, f64::max);
    ((bits + (1.0 / case.policy.max_error.clamp(1e-9, 1.0)).log2()) / best).ceil() as usize + 1
}

/// What these counts say if only errors up to `error` are accepted.
fn sure(tally: &Tally, case: &Case<'_>, error: f64) -> Side {
    let (bad, good) = likelihoods(tally, case.policy);
    let threshold = ((1.0 - error) / error).ln();
    match bad - good {
        odds if odds.is_nan() => Side::Both,
        odds if odds >= threshold => Side::Known(Seen::Bad),
        odds if odds <= -threshold => Side::Known(Seen::Good),
        _ if tally.is_skipped() => Side::Known(Seen::Skip),
        _ => Side::Unknown,
    }
}

fn view<'a>(case: &'a Case<'a>, tally: Vec<Tally>) -> Result<View<'a>, Step> {
    let part = case.policy.max_error * PART;
    let of = |item: usize| tally.get(item).map_or(Side::Unknown, |tally| sure(tally, case, part));
    let fixed = |item: usize| tally.get(item).is_some_and(|tally| tally.bad > 0);
    let known: Sides = sides(case, &of, &fixed)?;
    let mut range = case.range();
    range.difference_with(&case.graph.ancestors(&known.older));
    let mut skipped = known.skipped;
    let mut facts = Vec::new();
    for (item, of) in tally.iter().enumerate().filter(|(_, of)| of.good + of.bad > 0) {
        if !known.older.contains(&item) && !known.ignored.contains(item) {
            facts.push(Fact::Tests { item, tally: *of });
        }
    }
    for seen in case.seen.iter().filter(|seen| seen.inherited && seen.item < case.graph.len()) {
        match seen.from {
            // Testing it again would only repeat the other one's answer.
            Some(from) => facts.push(Fact::Alike { item: seen.item, from }),
            None => skipped.insert(seen.item),
        }
    }
    known.ignored.ones().chain(known.older.iter().copied()).for_each(|item| skipped.insert(item));
    let posterior = Posterior::of(case.graph, &range, case.goods, &facts, case.policy).ok_or_else(|| {
        let items = (0..tally.len()).filter(|&item| tally[item].bad > 0).collect();
        Step::Contradiction(Conflict::NoCommonCulprit { items })
    })?;
    let taken = part * (known.asked as f64);
    Ok(View { case, tally, range, skipped, posterior, taken })
}

/// An end is not what the user said.
fn contradicted(view: &View<'_>) -> Result<(), Step> {
    let surely = 1.0 - view.case.policy.max_error;
    let good = view.case.goods.iter().copied().find(|&good| view.posterior.of[good] >= surely);
    if let Some(item) = good {
        return Err(Step::Contradiction(Conflict::GoodIsBad { item }));
    }
    match view.case.bads.first() {
        Some(&item) if view.posterior.none >= surely => Err(Step::Contradiction(Conflict::BadIsGood { item })),
        _ => Ok(()),
    }
}

/// As many answers disagree with `best` as the stated rates allow.
fn fits(view: &View<'_>, best: usize) -> Result<(), Step> {
    let above = view.case.graph.descendants(&[best]);
    let (mut wrong, mut all, mut expected) = (0, 0, 0.0);
    for (item, of) in view.tally.iter().enumerate().filter(|&(item, _)| !view.skipped.contains(item)) {
        let (off, rate) = if above.contains(item) {
            (of.good, view.case.policy.false_good)
        } else {
            (of.bad, view.case.policy.false_bad)
        };
        wrong += off;
        all += of.good + of.bad;
        expected += rate * (of.good + of.bad) as f64;
    }
    let (share, mean) = (wrong as f64 / all.max(1) as f64, expected / all.max(1) as f64);
    if share <= mean {
        return Ok(());
    }
    // Chernoff's bound of a sum of independent answers, each with a rate of its own.
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    let divergence = term(share, mean) + term(1.0 - share, 1.0 - mean);
    if (-(all as f64) * divergence).exp() < LUCK {
        return Err(Step::Contradiction(Conflict::FlakierThanStated { wrong, of: all }));
    }
    Ok(())
}

/// The ends once more, after the search, until they are sure again.
fn recheck(view: &View<'_>, best: usize, error: f64, recent: &[Tally]) -> Result<(), Step> {
    let case = view.case;
    if !case.policy.endpoints.last() {
        return Ok(());
    }
    for (&end, expected) in case.ends() {
        let of = recent.get(end).copied().unwrap_or_default();
        let enough = case.policy.max_error;
        // It takes less to believe what was seen before than to call it a drift.
        let side = match sure(&of, case, enough) {
            Side::Known(seen) if seen != expected => sure(&of, case, enough * PART),
            side => side,
        };
        match side {
            Side::Known(Seen::Skip) | Side::Unknown if of.is_worn() => {
                let candidates = vec![best];
                return Err(Step::Undecided { candidates, error_bound: error, why: Open::Endpoint, wanted: None });
            }
            Side::Known(Seen::Skip) | Side::Unknown => {
                budget(view)?;
                let remaining = left(case, 0.0);
                return Err(Step::Test { item: end, reason: Reason::Recheck, remaining, candidates: 1 });
            }
            Side::Known(seen) if seen == expected => {}
            Side::Known(_) | Side::Both => return Err(Step::Contradiction(Conflict::Drift { item: end })),
        }
    }
    Ok(())
}

/// Stop if all allowed tests are made.
fn budget(view: &View<'_>) -> Result<(), Step> {
    let policy = view.case.policy;
    if fresh(view.case.seen) < policy.max_tests {
        return Ok(());
    }
    let mut candidates = view.posterior.likely((policy.max_error - view.taken).max(0.0));
    candidates.retain(|item| view.range.contains(*item));
    let error_bound = (view.posterior.error(&candidates) + view.taken).min(1.0);
    let wanted = Some(left(view.case, view.posterior.entropy()));
    Err(Step::Undecided { candidates, error_bound, why: Open::Budget, wanted })
}

/// The test that tells most.
fn choose(view: &View<'_>) -> Result<Step, Step> {
    let case = view.case;
    budget(view)?;
    let bad = view.posterior.bad(case.graph, &view.range, case.goods);
    let mut items: Vec<usize> = view.range.ones().collect();
    if case.policy.endpoints.first() {
        items.extend(case.goods.iter().copied());
    }
    let told: Vec<(f64, usize)> = items.iter().map(|&item| (information(bad[item], case.policy), item)).collect();
    // Sums of probabilities differ in their last digits; what is equal must stay so.
    let most = |of: &dyn Fn(usize) -> bool| {
        told.iter().filter(|&&(_, item)| of(item)).map(|&(bits, _)| bits).fold(0.0, f64::max) * (1.0 - 1e-9)
    };
    let testable = |item: usize| !view.skipped.contains(item);
    let (overall, best) = (most(&|_| true), most(&testable));
    if best < 1e-12 {
        let candidates = view.posterior.likely(case.policy.max_error);
        let error_bound = view.posterior.error(&candidates) + view.taken;
        return Ok(Step::Undecided { candidates, error_bound, why: Open::Skipped, wanted: None });
    }
    let enough = |least: f64| told.iter().filter(move |&&(bits, item)| testable(item) && bits >= least);
    let item = if best < overall && view.skipped.ones().any(|item| view.range.contains(item)) {
        let mut around: Vec<(f64, usize)> = enough(best * ENOUGH).copied().collect();
        around.sort_by(|a, b| b.0.total_cmp(&a.0).then(case.graph.rank(a.1).cmp(&case.graph.rank(b.1))));
        around.get(spread(around.len() + fresh(case.seen)) % around.len().max(1)).map(|&(_, item)| item)
    } else {
        let known = enough(best * NEARLY).find(|&&(_, item)| view.tally[item].good + view.tally[item].bad > 0);
        known.or_else(|| enough(best).next()).map(|&(_, item)| item)
    };
    let candidates = view.posterior.likely(case.policy.max_error).len();
    let remaining = left(case, view.posterior.entropy());
    item.map(|item| Step::Test { item, reason: Reason::Search, remaining, candidates }).ok_or_else(|| {
        let candidates = view.posterior.likely(case.policy.max_error);
        Step::Undecided { candidates, error_bound: 1.0, why: Open::Skipped, wanted: None }
    })
}
