// SPDX-License-Identifier: GPL-2.0-only
//! How long a probe waited, counted from when it was to begin.
//!
//! A probe that is blocked for 50 ms and was to shoot every 10 ms would, if only its own
//! calls were timed, leave a single long wait behind, and four that look short because
//! they began late: *coordinated omission*. So a shot's wait begins at its intended start,
//! and no shot is left out.
//!
//! Owns: that, and the quantiles. Must not: compare.

use anyhow::anyhow;
use hdrhistogram::Histogram;
use selftests::storms::Series;
use serde::{Deserialize, Serialize};

use crate::stats::thousandths;

/// Significant digits of a wait.
const DIGITS: u8 = 3;
/// The longest wait that is told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Quantiles of a probe's waits, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th.
    pub p99: f64,
    /// The 99.9th.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// Their names, in order.
    pub const NAMES: [&'static str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

    /// In the order of [`Quantiles::NAMES`].
    #[must_use]
    pub fn values(&self) -> [f64; 5] {
        [self.p50, self.p90, self.p99, self.p99_9, self.max]
    }
}

/// From the intended start of each shot to its end.
///
/// # Errors
/// A shot ended before it was to begin.
pub fn corrected(series: &Series) -> anyhow::Result<Histogram<u64>> {
    let wait = |(place, [_, ended]): (u64, &[u64; 2])| {
        ended
            .checked_sub(place * series.interval_us)
            .ok_or_else(|| anyhow!("shot {place} of the {} ended at {ended} µs, before it was to begin", series.probe))
    };
    (0..).zip(&series.shots).map(wait).try_fold(empty()?, |histogram, wait| Ok(with(histogram, wait?)))
}

/// From the actual start of each shot to its end: what a naive probe would tell.
///
/// # Errors
/// A shot ended before it began.
pub fn uncorrected(series: &Series) -> anyhow::Result<Histogram<u64>> {
    let wait = |[began, ended]: &[u64; 2]| {
        ended.checked_sub(*began).ok_or_else(|| anyhow!("a shot of the {} ended before it began", series.probe))
    };
    series.shots.iter().map(wait).try_fold(empty()?, |histogram, wait| Ok(with(histogram, wait?)))
}

fn empty() -> anyhow::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).map_err(|error| anyhow!("a histogram of waits: {error}"))
}

/// The clock's steps are microseconds: less than one is one.
fn with(mut histogram: Histogram<u64>, wait: u64) -> Histogram<u64> {
    histogram.saturating_record(wait.max(1));
    histogram
}

/// Of a histogram in microseconds.
#[must_use]
pub fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let at = |quantile: f64| ms(histogram.value_at_quantile(quantile));
    Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: ms(histogram.max()) }
}

/// Microseconds in milliseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "microseconds below an hour")]
pub fn ms(us: u64) -> f64 {
    thousandths(us as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use selftests::cell::Probe;

    use super::*;

    /// 100 shots, one every 10 ms, each of 100 µs; the one at place 20 waits 200 ms, and
    /// those behind it come at once, one after the other.
    fn blocked() -> Series {
        let mut free = 0;
        let shot = |place: u64| {
            let began = free.max(place * 10_000);
            free = began + if place == 20 { 200_000 } else { 100 };
            [began, free]
        };
        Series { probe: Probe::Writer, interval_us: 10_000, shots: (0..100).map(shot).collect() }
    }

    #[test]
    fn a_wait_begins_when_the_shot_was_to_begin() {
        let (right, naive) = (quantiles(&corrected(&blocked()).unwrap()), quantiles(&uncorrected(&blocked()).unwrap()));
        // A second of shots, a fifth of which fell into the wait of 200 ms.
        assert!((0.1..0.11).contains(&naive.p90) && naive.p99 < 1.0, "{naive:?}");
        assert!((90.0..120.0).contains(&right.p90), "{right:?}");
        assert!((180.0..201.0).contains(&right.p99), "{right:?}");
        assert!((199.0..201.0).contains(&right.max) && (199.0..201.0).contains(&naive.max));
        assert!(right.p50 < 1.0, "{right:?}");
    }

    #[test]
    fn without_delay_both_are_the_same() {
        let shots = (0..50).map(|place| [place * 1_000, place * 1_000 + 30]).collect();
        let series = Series { probe: Probe::Reader, interval_us: 1_000, shots };
        let both = [corrected(&series).unwrap(), uncorrected(&series).unwrap()].map(|waits| quantiles(&waits));
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0].max, 0.03);
    }

    #[test]
    fn a_shot_before_its_time_is_refused() {
        let series = Series { probe: Probe::Reader, interval_us: 1_000, shots: vec![[0, 1], [500, 900]] };
        assert!(corrected(&series).is_err());
        assert!(uncorrected(&Series { shots: vec![[5, 4]], ..series }).is_err());
    }
}
