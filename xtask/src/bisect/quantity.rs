// SPDX-License-Identifier: GPL-2.0-only
//! A measured quantity as an answer of the oracle.
//!
//! Owns: on which side of a threshold an item's samples are, with an interval
//! that says how sure that is, and how often a sample of the ends falls on the
//! wrong side. No shape of the distribution is assumed: times that wait for
//! storage have none. Pure.

use serde::{Deserialize, Serialize};

use crate::bisect::evidence::Seen;

/// How often the samples of one item are looked at, at most.
const LOOKS: usize = 4;

/// How samples become an answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// From here on a value is bad; in the samples' unit.
    pub threshold: f64,
    /// How often an answer may be wrong, over all looks at the growing samples.
    pub error: f64,
    /// Samples after which an undecided item stays so.
    pub cap: usize,
}

/// What the samples of one item say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The answer; none asks for more samples, [`Seen::Skip`] says that the cap is reached.
    pub seen: Option<Seen>,
    /// The median; none without samples.
    pub median: Option<f64>,
    /// An interval that holds the true median with the rule's confidence;
    /// infinite where the samples are too few to say.
    pub interval: (f64, f64),
    /// Samples that counted. A value that is no number never counts.
    pub samples: usize,
    /// About how many more are needed at least; 0 with an answer.
    pub more: usize,
}

impl Rule {
    /// A rule for 95 of 100 right answers, with at most 48 samples.
    pub fn at(threshold: f64) -> Self {
        Self { threshold, error: 0.05, cap: 48 }
    }

    /// A few looks, ever farther apart, that share the error: who looks after
    /// each sample finds anything in the end.
    fn looks(&self) -> Vec<usize> {
        // The fewest samples that can decide with a quarter of the error.
        let bits = (LOOKS as f64 / self.error.clamp(1e-9, 0.5)).log2();
        let first = (bits.ceil() as usize).max(1);
        if first >= self.cap {
            return vec![self.cap];
        }
        let ratio = (self.cap as f64 / first as f64).powf(1.0 / (LOOKS - 1) as f64);
        let look = |at: usize| (first as f64 * ratio.powi(i32::try_from(at).unwrap_or(0))).round() as usize;
        let mut looks: Vec<usize> = (0..LOOKS - 1).map(look).filter(|&look| look < self.cap).collect();
        looks.push(self.cap);
        looks.dedup();
        looks
    }

    /// What these samples say.
    pub fn read(&self, samples: &[f64]) -> Reading {
        let mut sorted: Vec<f64> = samples.iter().copied().filter(|sample| !sample.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let looks = self.looks();
        let next = looks.iter().copied().find(|&look| look > sorted.len());
        let mut interval = (f64::NEG_INFINITY, f64::INFINITY);
        let mut seen = None;
        for &look in looks.iter().take_while(|&&look| look <= sorted.len()) {
            // Between two looks, only the samples of the earlier one count, in their order of arrival.
            let mut part: Vec<f64> = samples.iter().copied().filter(|sample| !sample.is_nan()).take(look).collect();
            part.sort_by(f64::total_cmp);
            interval = self.interval(&part, looks.len());
            seen = match interval {
                (low, _) if low >= self.threshold => Some(Seen::Bad),
                (_, high) if high < self.threshold => Some(Seen::Good),
                _ => None,
            };
            if seen.is_some() {
                break;
            }
        }
        if seen.is_none() && next.is_none() {
            seen = Some(Seen::Skip);
        }
        let more = if seen.is_some() { 0 } else { next.map_or(0, |next| next - sorted.len()) };
        let median = median(&sorted);
        Reading { seen, median, interval, samples: sorted.len(), more }
    }

    /// The widest-apart pair of order statistics that is needed: a median below
    /// the k-th smallest of n samples is as improbable as k-1 heads of n coins or fewer.
    fn interval(&self, sorted: &[f64], looks: usize) -> (f64, f64) {
        let side = self.error / looks as f64;
        let count = sorted.len();
        let mut below = 0.0;
        let mut term = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
        let mut rank = None;
        for heads in 0..count {
            below += term;
            if below > side {
                break;
            }
            rank = Some(heads);
            term *= (count - heads) as f64 / (heads + 1) as f64;
        }
        match rank {
            Some(rank) if 2 * rank < count => (sorted[rank], sorted[count - 1 - rank]),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(lower.midpoint(*upper))
}

/// How often single samples of the ends fall on the wrong side of the
/// threshold: the bounds for [`super::policy::Policy::flaky`], where each sample
/// is an answer of its own (`false_bad`, `false_good`).
pub fn rates(good: &[f64], bad: &[f64], threshold: f64, confidence: f64) -> (f64, f64) {
    let over = |samples: &[f64]| samples.iter().filter(|&&sample| sample >= threshold).count();
    (rate_bound(over(good), good.len(), confidence), rate_bound(bad.len() - over(bad), bad.len(), confidence))
}

/// The rate that is not exceeded, with this confidence, after `hits` of `of`
/// tries: the exact (Clopper-Pearson) bound, 1 without tries.
pub fn rate_bound(hits: usize, of: usize, confidence: f64) -> f64 {
    if of == 0 || hits >= of {
        return 1.0;
    }
    let left = 1.0 - confidence.clamp(0.0, 1.0);
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
        return 0.0;
    }
    let mut log = of as f64 * (1.0 - rate).ln();
    let mut sum = log.exp();
    for hit in 0..hits {
        log += ((of - hit) as f64 / (hit + 1) as f64).ln() + (rate / (1.0 - rate)).ln();
        sum += log.exp();
    }
    sum.min(1.0)
}

/// A threshold between the ends' samples, in the middle of the gap between
/// them; none if they overlap so that no value divides them.
pub fn between(good: &[f64], bad: &[f64]) -> Option<f64> {
    let most = good.iter().copied().reduce(f64::max)?;
    let least = bad.iter().copied().reduce(f64::min)?;
    (most < least).then(|| f64::midpoint(most, least))
}
