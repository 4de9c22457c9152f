// SPDX-License-Identifier: GPL-2.0-only
//! How probable each culprit is, from answers that may be wrong.
//!
//! Owns: the likelihoods, the probabilities, and what one more test would tell.
//! An item is expected bad exactly if it contains the culprit. Skips carry no
//! evidence; an inherited answer says that two items are alike, and no more.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use crate::bisect::evidence::Tally;
use crate::bisect::graph::Graph;
use crate::bisect::policy::Policy;
use crate::bisect::weigh::contained;

/// How probable it is, before any test, that the good end is bad, and that the
/// bad end is good, unless the ends are trusted.
const DOUBT: f64 = 0.05;

/// The evidence of one item.
#[derive(Debug, Clone)]
pub enum Fact {
    /// What its own fresh tests saw.
    Tests {
        /// The item.
        item: usize,
        /// Its counts.
        tally: Tally,
    },
    /// Two items are alike: no culprit lies between them.
    Alike {
        /// One of them.
        item: usize,
        /// The other one.
        from: usize,
    },
}

/// Probabilities of culprits.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// By item; 0 for what cannot be it. A good end stands for "older than all this".
    pub of: Vec<f64>,
    /// That the bad end is good after all.
    pub none: f64,
}

/// `count × ln(probability)`, where nothing that never happened costs nothing.
fn cost(count: usize, probability: f64) -> f64 {
    if count == 0 { 0.0 } else { count as f64 * probability.ln() }
}

/// The logarithm of how probable these counts are for a bad and for a good item.
pub(crate) fn likelihoods(tally: &Tally, policy: &Policy) -> (f64, f64) {
    let bad = cost(tally.bad, 1.0 - policy.false_good) + cost(tally.good, policy.false_good);
    let good = cost(tally.bad, policy.false_bad) + cost(tally.good, 1.0 - policy.false_bad);
    (bad, good)
}

impl Posterior {
    /// The probabilities after `facts`, for the culprits in `range` and, if the
    /// ends are doubted, the ends. None if no culprit can have caused what was seen.
    pub fn of(graph: &Graph, range: &FixedBitSet, goods: &[usize], facts: &[Fact], policy: &Policy) -> Option<Self> {
        let doubt = if policy.endpoints.first() { DOUBT } else { 0.0 };
        let share = |part: f64, of: usize| (part / of as f64).ln();
        let mut log = vec![f64::NEG_INFINITY; graph.len()];
        let inside = range.count_ones(..);
        range.ones().for_each(|item| log[item] = share(1.0 - 2.0 * doubt, inside));
        goods.iter().for_each(|&good| log[good] = share(doubt, goods.len()));
        let mut none = doubt.ln();
        for fact in facts {
            match fact {
                Fact::Tests { item, tally } => {
                    let (bad, good) = likelihoods(tally, policy);
                    let contains = graph.ancestors(&[*item]);
                    log.iter_mut()
                        .enumerate()
                        .for_each(|(at, log)| *log += if contains.contains(at) { bad } else { good });
                    none += good;
                }
                Fact::Alike { item, from } => {
                    let mut differ = graph.ancestors(&[*item]);
                    differ.symmetric_difference_with(&graph.ancestors(&[*from]));
                    differ.ones().for_each(|at| log[at] = f64::NEG_INFINITY);
                }
            }
        }
        let most = log.iter().copied().fold(none, f64::max);
        if most == f64::NEG_INFINITY {
            return None;
        }
        let mut of: Vec<f64> = log.iter().map(|log| (log - most).exp()).collect();
        let mut none = (none - most).exp();
        let sum = of.iter().sum::<f64>() + none;
        of.iter_mut().for_each(|of| *of /= sum);
        none /= sum;
        Some(Self { of, none })
    }

    /// Items by probability, the likeliest first, the lower index among equals.
    pub fn ordered(&self) -> Vec<usize> {
        let mut items: Vec<usize> = (0..self.of.len()).filter(|&item| self.of[item] > 0.0).collect();
        items.sort_by(|&a, &b| self.of[b].total_cmp(&self.of[a]).then(a.cmp(&b)));
        items
    }

    /// The probability that the culprit is none of these.
    pub fn error(&self, but: &[usize]) -> f64 {
        let others = self.of.iter().enumerate().filter(|(item, _)| !but.contains(item));
        // Summed, not subtracted from 1: it must stay right when it is tiny.
        (others.map(|(_, of)| of).sum::<f64>() + self.none).min(1.0)
    }

    /// The likeliest items that leave at most `error`, as few as possible.
    pub fn likely(&self, error: f64) -> Vec<usize> {
        let mut left = 1.0;
        self.ordered()
            .into_iter()
            .take_while(|&item| {
                let wanted = left > error;
                left -= self.of[item];
                wanted
            })
            .collect()
    }

    /// How open the question is, in bits.
    pub fn entropy(&self) -> f64 {
        let bits = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        self.of.iter().copied().map(bits).sum::<f64>() + bits(self.none)
    }

    /// How probable each item of `range` and each good end is bad.
    pub fn bad(&self, graph: &Graph, range: &FixedBitSet, goods: &[usize]) -> Vec<f64> {
        let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for item in range.ones().filter(|&item| self.of[item] > 0.0) {
            groups.entry(self.of[item].to_bits()).or_default().push(item);
        }
        let groups: Vec<(f64, Vec<usize>)> =
            groups.into_iter().map(|(bits, items)| (f64::from_bits(bits), items)).collect();
        let mut bad = contained(graph, range, &groups);
        for &good in goods {
            graph.descendants(&[good]).ones().for_each(|item| bad[item] += self.of[good]);
        }
        bad
    }
}

/// What one test of an item tells that is bad with probability `bad`, in bits.
pub fn information(bad: f64, policy: &Policy) -> f64 {
    let uncertain = |p: f64| {
        let bits = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        bits(p) + bits(1.0 - p)
    };
    let bad = bad.clamp(0.0, 1.0);
    let sees_bad = bad * (1.0 - policy.false_good) + (1.0 - bad) * policy.false_bad;
    (uncertain(sees_bad) - bad * uncertain(policy.false_good) - (1.0 - bad) * uncertain(policy.false_bad)).max(0.0)
}

/// The items of `range` that no test of `testable` items tells from `item`, itself included.
pub fn twins(graph: &Graph, range: &FixedBitSet, item: usize, testable: &FixedBitSet) -> Vec<usize> {
    let above = graph.descendants(&[item]);
    let mut with = testable.clone();
    with.intersect_with(&above);
    let mut without = testable.clone();
    without.difference_with(&above);
    let mut alike = range.clone();
    alike.difference_with(&graph.ancestors(&without.ones().collect::<Vec<_>>()));
    for oldest in graph.oldest(&with) {
        alike.intersect_with(&graph.ancestors(&[oldest]));
    }
    alike.ones().collect()
}
