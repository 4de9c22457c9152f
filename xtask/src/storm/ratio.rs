// SPDX-License-Identifier: GPL-2.0-only
//! The ratio of a figure of two sides, with an interval over boots.
//!
//! Waits within one boot depend on each other, so that a boot is one observation: of each
//! its figure is taken, and the ratio is that of the sides' geometric means. Its interval
//! is a bootstrap's: the boots of each side are drawn again with replacement, and the
//! middle 95 % of the ratios are the interval. With so few boots that is too narrow, so it
//! is widened as Student's t is wider than the normal distribution, and by √(n/(n-1)).
//!
//! Owns: that, what counts as decided, and how many more boots it would take. Must not: know
//! what the figure is.

use serde::{Deserialize, Serialize};

/// Draws of the bootstrap.
const DRAWS: usize = 4000;
/// Ratios up to this one, and down to its inverse, are as good as none.
pub const ALIKE: f64 = 1.25;
/// More boots than this are never asked for.
const MOST_MORE: u32 = 999;

/// What a ratio of waits, baseline to patched, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The baseline's is larger: the interval lies above 1.
    Larger,
    /// The baseline's is smaller.
    Smaller,
    /// The interval lies between 1/[`ALIKE`] and [`ALIKE`].
    Alike,
    /// None of these.
    Undecided,
}

/// A ratio, baseline to patched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The estimate.
    pub ratio: f64,
    /// The interval's ends; `None` with a single boot on a side.
    pub interval: Option<[f64; 2]>,
    /// What it says.
    pub decision: Decision,
    /// If it says nothing: boots of each side that would have to be added, if the boots go
    /// on to scatter as they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_boots: Option<u32>,
}

/// Of the figures of each side's boots; `None` if a side has none, or one that is not above 0.
#[must_use]
pub fn ratio(baseline: &[f64], patched: &[f64], seed: u64) -> Option<Ratio> {
    let logs = |figures: &[f64]| -> Option<Vec<f64>> {
        let good = figures.iter().all(|figure| *figure > 0.0 && figure.is_finite());
        (good && !figures.is_empty()).then(|| figures.iter().map(|figure| figure.ln()).collect())
    };
    let (one, two) = (logs(baseline)?, logs(patched)?);
    let estimate = mean(&one) - mean(&two);
    let boots = one.len().min(two.len());
    let interval = (boots > 1).then(|| interval(&one, &two, estimate, seed));
    let decision = decide(interval);
    let more_boots = (decision == Decision::Undecided).then(|| more(boots, estimate, interval));
    Some(Ratio { ratio: estimate.exp(), interval: interval.map(|ends| ends.map(f64::exp)), decision, more_boots })
}

fn decide(interval: Option<[f64; 2]>) -> Decision {
    let alike = ALIKE.ln();
    match interval {
        Some([low, high]) if low >= -alike && high <= alike => Decision::Alike,
        Some([low, _]) if low > 0.0 => Decision::Larger,
        Some([_, high]) if high < 0.0 => Decision::Smaller,
        _ => Decision::Undecided,
    }
}

fn interval(one: &[f64], two: &[f64], estimate: f64, seed: u64) -> [f64; 2] {
    let mut draw = Draw::new(seed);
    let mut means = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        means.push(draw.mean_of(one) - draw.mean_of(two));
    }
    means.sort_by(f64::total_cmp);
    let wider = widening(one.len(), two.len());
    let end = |place: usize| estimate + (means[place] - estimate) * wider;
    [end(DRAWS / 40), end(DRAWS - 1 - DRAWS / 40)]
}

/// 97.5 % of Student's t for 1, 2, … degrees of freedom.
const STUDENT: [f64; 12] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179];
const NORMAL: f64 = 1.960;

fn widening(one: usize, two: usize) -> f64 {
    let freedom = one + two - 2;
    // From there on t is the normal distribution's plus about 2.5 over its degrees of freedom.
    let student = STUDENT.get(freedom - 1).copied().unwrap_or(NORMAL + 2.5 / count(freedom));
    let fewest = count(one.min(two));
    student / NORMAL * (fewest / (fewest - 1.0)).sqrt()
}

/// An interval shrinks with the root of the number of boots.
fn more(boots: usize, estimate: f64, interval: Option<[f64; 2]>) -> u32 {
    let Some([low, high]) = interval else { return 1 };
    let half = (high - low) / 2.0;
    let (apart, alike) = (estimate.abs(), ALIKE.ln() - estimate.abs());
    let needed = [apart, alike].into_iter().filter(|margin| *margin > 0.0).map(|margin| (half / margin).powi(2));
    let factor = needed.fold(f64::INFINITY, f64::min);
    let more = (count(boots) * factor).ceil() - count(boots);
    // At least one: now it is undecided.
    (1..=MOST_MORE).find(|number| f64::from(*number) >= more).unwrap_or(MOST_MORE)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of boots")]
fn count(number: usize) -> f64 {
    number as f64
}

/// xorshift64*: the same boots give the same interval.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn mean_of(&mut self, values: &[f64]) -> f64 {
        let one = |_| {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            values[((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % values.len() as u64) as usize]
        };
        (0..values.len()).map(one).sum::<f64>() / count(values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_longer_is_seen_with_four_boots() {
        let seen = ratio(&[50.0, 55.0, 47.0, 52.0], &[5.0, 5.4, 4.8, 5.1], 1).unwrap();
        let [low, high] = seen.interval.unwrap();
        assert!(low > 8.0 && high < 12.0 && (9.0..11.0).contains(&seen.ratio), "{seen:?}");
        assert_eq!((seen.decision, seen.more_boots), (Decision::Larger, None));
        let reverse = ratio(&[5.0, 5.4, 4.8, 5.1], &[50.0, 55.0, 47.0, 52.0], 1).unwrap();
        assert_eq!(reverse.decision, Decision::Smaller);
    }

    #[test]
    fn a_single_boot_decides_nothing() {
        let seen = ratio(&[50.0], &[5.0], 1).unwrap();
        assert_eq!((seen.interval, seen.decision, seen.more_boots), (None, Decision::Undecided, Some(1)));
    }

    #[test]
    fn the_same_is_alike_and_noise_asks_for_more() {
        let calm = [2.0, 2.05, 1.98, 2.02, 2.01];
        assert_eq!(ratio(&calm, &calm, 1).unwrap().decision, Decision::Alike);
        let (one, two) = ([1.0, 4.0, 2.0, 8.0], [2.0, 3.0, 5.0, 1.5]);
        let seen = ratio(&one, &two, 1).unwrap();
        assert_eq!(seen.decision, Decision::Undecided);
        assert!(seen.more_boots.unwrap() >= 4, "{seen:?}");
    }

    #[test]
    fn nothing_and_zero_have_no_ratio() {
        assert_eq!(ratio(&[], &[1.0], 1), None);
        assert_eq!(ratio(&[0.0, 1.0], &[1.0, 1.0], 1), None);
        assert_eq!(ratio(&[1.0, f64::NAN], &[1.0, 1.0], 1), None);
    }

    /// Two sides that do not differ, log-normal with a factor of 1.5: in at most one of
    /// 14 comparisons a difference is seen, with whatever number of boots.
    #[test]
    fn false_alarms_are_rare() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut unit = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        };
        for boots in [2, 3, 4, 6] {
            let mut alarms = 0;
            for round in 0..2000 {
                let mut side = || -> Vec<f64> {
                    let one = |_| {
                        let normal = (-2.0 * unit().max(1e-9).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
                        (0.4 * normal).exp()
                    };
                    (0..boots).map(one).collect()
                };
                let seen = ratio(&side(), &side(), round).unwrap();
                alarms += usize::from(matches!(seen.decision, Decision::Larger | Decision::Smaller));
            }
            assert!(alarms <= 2000 / 14, "{alarms} of 2000 with {boots} boots");
        }
    }
}
