// SPDX-License-Identifier: GPL-2.0-only
//! Which item halves what is left, for an oracle that never errs.
//!
//! Owns: the choice. It is the one that `git bisect` makes, down to the order
//! among equals, therefore the number of tests is git's too.

use fixedbitset::FixedBitSet;

use crate::bisect::graph::Graph;
use crate::bisect::weigh::contained;

/// What to test of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Item(usize),
    /// None: this is the only candidate.
    Only(usize),
    /// None: nothing else can be tested.
    Stuck,
}

/// The item that comes nearest to a half. `skipped` items are never chosen.
pub fn choose(graph: &Graph, candidates: &FixedBitSet, skipped: &FixedBitSet) -> Choice {
    let items: Vec<usize> = candidates.ones().collect();
    match items[..] {
        [] => return Choice::Stuck,
        [only] => return Choice::Only(only),
        _ => {}
    }
    let sums = contained(graph, candidates, &[(1.0, items.clone())]);
    let all = items.len() as f64;
    let distance = |item: usize| sums[item].min(all - sums[item]);
    if skipped.is_clear() {
        return Choice::Item(nearest(graph, candidates, &items, &sums));
    }
    let mut ordered: Vec<usize> = items.into_iter().filter(|&item| distance(item) > 0.0).collect();
    ordered.sort_by(|&a, &b| distance(b).total_cmp(&distance(a)).then(graph.rank(a).cmp(&graph.rank(b))));
    let testable: Vec<usize> = ordered.iter().copied().filter(|&item| !skipped.contains(item)).collect();
    match (ordered.first(), testable.first()) {
        (_, None) => Choice::Stuck,
        (best, Some(&item)) if best == Some(&item) => Choice::Item(item),
        (_, Some(&item)) => {
            // git's list ends with the items that contain all others; it counts them, and steps back from them.
            let whole = candidates.ones().filter(|&item| distance(item) <= 0.0 && !skipped.contains(item)).count();
            let index = spread(testable.len() + whole).min(testable.len() - 1);
            Choice::Item(testable.get(index).copied().unwrap_or(item))
        }
    }
}

/// Without skips: a merge near the half, else any other near the half, else the
/// best, each time the lowest index.
fn nearest(graph: &Graph, candidates: &FixedBitSet, items: &[usize], sums: &[f64]) -> usize {
    let all = items.len() as f64;
    let slack = (items.len() / 1024) as f64;
    let close = |item: usize| {
        let off = (2.0 * sums[item] - all).abs();
        off <= 1.0 || off < slack
    };
    let inside = |item: usize| graph.parents(item).iter().filter(|&&parent| candidates.contains(parent)).count();
    let merge = items.iter().copied().find(|&item| inside(item) > 1 && close(item));
    let strand = || items.iter().copied().find(|&item| inside(item) == 1 && close(item));
    merge.or_else(strand).unwrap_or_else(|| {
        let mut best = items[0];
        let mut most = -1.0;
        for &item in items {
            let distance = sums[item].min(all - sums[item]);
            if distance > most {
                (best, most) = (item, distance);
            }
        }
        best
    })
}

/// A place in a list of `count` items that were sorted by their distance from
/// the ends, when the first one was skipped. What cannot be tested often comes
/// in runs, so the search moves away from there by a distance that looks
/// random, but mostly stays in the better part, and is the same each time.
pub(crate) fn spread(count: usize) -> usize {
    const MODULO: u64 = 32768;
    let seed = (count as u32).wrapping_mul(1_103_515_245).wrapping_add(12345);
    let random = u64::from(seed / 65536) % MODULO;
    let index = (count as u64 * random / MODULO) * random.isqrt() / MODULO.isqrt();
    usize::try_from(index).unwrap_or(0)
}

/// About how many tests halving `count` candidates takes, as git estimates it,
/// plus the one that is due.
pub fn estimate(count: usize) -> usize {
    if count < 2 {
        return 0;
    }
    let log = count.ilog2() as usize;
    let power = 1_usize << log;
    if power < 3 * (count - power) { log + 1 } else { log.max(1) }
}
