// SPDX-License-Identifier: GPL-2.0-only
//! Quantiles of a handful of waits.
//!
//! Owns: median, nearest-rank percentile, maximum, each over any order of values.
//! Must not: know what was measured. All answers over no values are `None`: a
//! missing measurement must never read as a wait of 0.

use crate::outcome::WaitMs;

/// The middle value; of an even number of values the mean of the middle two.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

/// The smallest of `values` that at least `percent` per cent of them do not
/// exceed. It is always one of the values; 0 gives the smallest, above 100 is
/// taken for 100. With 20 values the 99th percentile is therefore the largest.
#[must_use]
pub fn percentile(values: &[f64], percent: u32) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent.min(100) as usize).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The largest value.
#[must_use]
pub fn max(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

/// The three figures that a result carries, in the unit of `values`, rounded to a
/// thousandth: a microsecond is already finer than the probes' clocks mean.
#[must_use]
pub fn waits(values: &[f64]) -> Option<WaitMs> {
    Some(WaitMs {
        median: thousandths(median(values)?),
        p99: thousandths(percentile(values, 99)?),
        max: thousandths(max(values)?),
    })
}

/// Rounds to three decimals.
#[must_use]
pub fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_values_have_no_quantiles() {
        assert_eq!(median(&[]), None);
        assert_eq!(percentile(&[], 99), None);
        assert_eq!(max(&[]), None);
        assert_eq!(waits(&[]), None);
    }

    #[test]
    fn the_99th_percentile_of_20_is_the_largest_and_of_200_is_not() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&values[..20], 99), Some(20.0));
        assert_eq!(percentile(&values, 99), Some(198.0));
        assert_eq!(percentile(&values, 0), Some(1.0));
        assert_eq!(percentile(&values, 100), Some(200.0));
    }

    #[test]
    fn an_even_number_has_its_median_in_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }

    proptest! {
        #[test]
        fn percentile_is_the_smallest_value_that_covers_enough(
            values in prop::collection::vec(0.0..1e6_f64, 1..300), percent in 1_u32..=100
        ) {
            let covers = |candidate: f64| {
                let below = values.iter().filter(|&&value| value <= candidate).count();
                below * 100 >= values.len() * percent as usize
            };
            let answer = percentile(&values, percent).unwrap();
            prop_assert!(values.contains(&answer) && covers(answer));
            prop_assert!(values.iter().all(|&value| value >= answer || !covers(value)));
        }

        #[test]
        fn median_splits_in_halves_and_max_bounds_all(values in prop::collection::vec(0.0..1e6_f64, 1..100)) {
            let median = median(&values).unwrap();
            prop_assert!(values.iter().filter(|&&value| value < median).count() * 2 <= values.len());
            prop_assert!(values.iter().filter(|&&value| value > median).count() * 2 <= values.len());
            let mut brute = values.clone();
            brute.sort_by(f64::total_cmp);
            prop_assert_eq!(max(&values), brute.last().copied());
        }
    }
}
