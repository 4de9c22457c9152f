// SPDX-License-Identifier: GPL-2.0-only
//! How often an answer was wrong, as seen from the culprit that was found.
//!
//! A search among noisy numbers is told how often one boot may fall on the wrong side
//! (`--noise`), and its error bound is only as good as that. The answers say themselves
//! whether it can be true.
//!
//! Owns: the count, and what it is compared with. Pure.

use serde::Serialize;

use crate::bisect::evidence::{Observation, Seen};
use crate::bisect::graph::Graph;

/// An assumption is given up where what was seen is less probable under it than this.
const INCREDIBLE: f64 = 0.01;
/// Of [`Noise::at_most`].
const CONFIDENCE: f64 = 0.95;

/// Answers against a culprit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Noise {
    /// How often an answer may be wrong: what the search was told.
    pub assumed: f64,
    /// Answers that are wrong if the culprit is right.
    pub against: usize,
    /// All answers.
    pub of: usize,
    /// The rate of wrong answers that is not exceeded, with 95 of 100 confidence.
    pub at_most: f64,
}

impl Noise {
    /// Counts, in the words of the search: `culprit` is the first bad item. Inherited
    /// answers are no answers of their own.
    #[must_use]
    pub fn of(graph: &Graph, culprit: usize, seen: &[Observation], assumed: f64) -> Self {
        let bad = graph.descendants(&[culprit]);
        let fresh = seen.iter().filter(|seen| !seen.inherited && seen.seen != Seen::Skip);
        let (of, against) = fresh.fold((0, 0), |(of, against), seen| {
            let wrong = bad.contains(seen.item) != (seen.seen == Seen::Bad);
            (of + 1, against + usize::from(wrong))
        });
        Self { assumed, against, of, at_most: rate_bound(against, of, CONFIDENCE) }
    }

    /// Can so many answers be wrong at the rate that was assumed?
    #[must_use]
    pub fn is_credible(&self) -> bool {
        self.against == 0 || 1.0 - at_most(self.against - 1, self.of, self.assumed) >= INCREDIBLE
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { assumed, against, of, at_most } = self;
        let (assumed, at_most) = (assumed * 100.0, at_most * 100.0);
        write!(f, "{against} of {of} boots disagree with it (--noise {assumed}; so many mean at most {at_most:.0} %)")
    }
}

/// The rate that is not exceeded, with this confidence, after `hits` of `of`
/// tries: the exact (Clopper-Pearson) bound, 1 without tries.
fn rate_bound(hits: usize, of: usize, confidence: f64) -> f64 {
    if of == 0 || hits >= of {
        return 1.0;
    }
    let left = 1.0 - confidence;
    let (mut low, mut high) = (hits as f64 / of as f64, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(hits, of, middle) > left { low = middle } else { high = middle }
    }
    high
}

/// The probability of at most `hits` of `of` tries at this rate.
fn at_most(hits: usize, of: usize, rate: f64) -> f64 {
    if rate >= 1.0 {
        return if hits >= of { 1.0 } else { 0.0 };
    }
    let mut log = of as f64 * (1.0 - rate).ln();
    let mut sum = log.exp();
    for hit in 0..hits.min(of) {
        log += ((of - hit) as f64 / (hit + 1) as f64).ln() + (rate / (1.0 - rate)).ln();
        sum += log.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_clopper_and_pearson_s() {
        assert!((rate_bound(0, 10, 0.95) - 0.2589).abs() < 1e-3);
        assert!((rate_bound(2, 10, 0.95) - 0.5069).abs() < 1e-3);
        assert_eq!((rate_bound(0, 0, 0.95), rate_bound(3, 3, 0.95)), (1.0, 1.0));
        assert!((at_most(1, 4, 0.5) - 5.0 / 16.0).abs() < 1e-12);
    }

    #[test]
    fn answers_on_the_wrong_side_of_the_culprit_are_counted() {
        let graph = Graph::linear(6);
        let seen = |item, seen| Observation::fresh(item, seen);
        let all = [
            seen(0, Seen::Good),
            seen(5, Seen::Bad),
            seen(2, Seen::Bad), // wrong
            seen(2, Seen::Good),
            seen(3, Seen::Bad),
            seen(4, Seen::Good), // wrong
            seen(1, Seen::Skip),
            Observation::inherited(4, Seen::Good, 3),
        ];
        let noise = Noise::of(&graph, 3, &all, 0.05);
        assert_eq!((noise.against, noise.of), (2, 6));
        assert!(noise.at_most > 0.6 && noise.at_most < 0.8, "{noise:?}");
    }

    #[test]
    fn more_disagreement_than_was_assumed_is_not_believed() {
        let noise = |against, of, assumed| Noise { assumed, against, of, at_most: 1.0 };
        assert!(noise(0, 100, 0.0).is_credible());
        assert!(noise(1, 10, 0.05).is_credible());
        assert!(!noise(5, 10, 0.05).is_credible());
        assert!(noise(5, 10, 0.3).is_credible());
        assert!(!noise(1, 3, 0.0).is_credible());
    }
}
