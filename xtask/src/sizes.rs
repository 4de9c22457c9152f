// SPDX-License-Identifier: GPL-2.0-only
//! When a wait is longer than noise explains.
//!
//! A [`Distribution`] is some quantiles of so many waits. A quantile that is not yet
//! determined by that many is not looked at: one of ten needs ten waits, one of a
//! hundred a hundred. What is usual is the highest that any of at least [`SAMPLES`]
//! earlier distributions shows; slower is what is more than [`TIMES`] of it, and
//! [`MORE_MS`] above.
//!
//! Owns: the thresholds. Under emulation the median of a released wait varied by a
//! factor of 1.7 and by 0.3 ms at most over all runs on one busy machine, while the
//! longest of 20 waits varied by a factor of 12. Must not: know what was measured.

use crate::outcome::{CellOutcome, CellState};

/// Earlier runs that it takes to know what is usual.
pub const SAMPLES: usize = 3;

/// Trials with which a state is no accident, and a median no single wait.
pub const MIN_TRIALS: u32 = 3;

/// Longer than noise: this many times the longest of them.
pub const TIMES: f64 = 2.0;

/// And this much longer, in milliseconds: a wait of a microsecond doubles easily.
pub const MORE_MS: f64 = 0.5;

/// Trials with which a 99th percentile is more than the longest wait.
pub const TAIL_TRIALS: u32 = 100;

/// The median's rank, in thousandths.
const MEDIAN: u32 = 500;
/// The 99th percentile's.
const P99: u32 = 990;

/// What is known of some waits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// How many there were.
    pub n: u32,
    /// Rank in thousandths (500: the median) and value in milliseconds, lowest first.
    pub quantiles: Vec<(u32, f64)>,
}

/// A quantile that grew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grown {
    /// Which, in thousandths.
    pub rank: u32,
    /// The highest of the earlier ones, in milliseconds.
    pub usual: f64,
    /// How many earlier ones there are.
    pub samples: usize,
    /// What it is now.
    pub now: f64,
}

impl Grown {
    /// `median` or `p99.9`.
    #[must_use]
    pub fn name(&self) -> String {
        match (self.rank, self.rank / 10, self.rank % 10) {
            (MEDIAN, ..) => "median".to_owned(),
            (_, percent, 0) => format!("p{percent}"),
            (_, percent, tenth) => format!("p{percent}.{tenth}"),
        }
    }

    /// `median 0.300 ms at most in 3 runs`.
    #[must_use]
    pub fn was(&self) -> String {
        format!("{} {:.3} ms at most in {} runs", self.name(), self.usual, self.samples)
    }

    /// `median 4.000 ms`.
    #[must_use]
    pub fn is(&self) -> String {
        format!("{} {:.3} ms", self.name(), self.now)
    }
}

impl Distribution {
    /// Of a cell: its median and its tail. Its longest wait is noise.
    #[must_use]
    pub fn of(cell: &CellOutcome) -> Self {
        Self { n: cell.n, quantiles: vec![(MEDIAN, cell.wait_ms.median), (P99, cell.wait_ms.p99)] }
    }

    /// `None` if there are too few waits to know it.
    fn quantile(&self, rank: u32) -> Option<f64> {
        if self.n < trials(rank) {
            return None;
        }
        self.quantiles.iter().find(|(of, _)| *of == rank).map(|(_, ms)| *ms)
    }
}

/// Waits that it takes for one of them to lie beyond the quantile.
fn trials(rank: u32) -> u32 {
    1000_u32.div_ceil(1000_u32.saturating_sub(rank).max(1)).max(MIN_TRIALS)
}

/// The first quantile that grew; `None` with fewer than [`SAMPLES`] earlier ones of it.
#[must_use]
pub fn grown(usual: &[Distribution], now: &Distribution) -> Option<Grown> {
    now.quantiles.iter().find_map(|(rank, _)| {
        let now = now.quantile(*rank)?;
        let known: Option<Vec<f64>> = usual.iter().map(|usual| usual.quantile(*rank)).collect();
        let known = known.filter(|known| known.len() >= SAMPLES)?;
        let most = known.iter().copied().max_by(f64::total_cmp)?;
        let grown = now > TIMES * most && now >= most + MORE_MS;
        grown.then_some(Grown { rank: *rank, usual: most, samples: known.len(), now })
    })
}

/// `None` unless the cell is released in enough runs, and slower than in any of them.
pub(crate) fn slower(samples: &[&CellOutcome], now: &CellOutcome) -> Option<Grown> {
    let released = samples.iter().filter(|cell| cell.state == CellState::Released);
    let usual: Vec<Distribution> = released.map(|cell| Distribution::of(cell)).collect();
    if now.state == CellState::Released { grown(&usual, &Distribution::of(now)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::WaitMs;

    fn cell(state: CellState, n: u32, median: f64, p99: f64) -> CellOutcome {
        CellOutcome {
            cell: "anon.sync.read".to_owned(),
            window: 1,
            probe: "writer".to_owned(),
            state,
            n,
            hold_ms: 100.0,
            wait_ms: WaitMs { median, p99, max: p99 },
            holder: Vec::new(),
            guest_progress: None,
            reason: None,
        }
    }

    fn released(median: f64, p99: f64) -> CellOutcome {
        cell(CellState::Released, 20, median, p99)
    }

    #[test]
    fn three_runs_are_needed() {
        let (usual, now) = (released(0.3, 0.9), released(4.0, 4.0));
        assert_eq!(slower(&[&usual; SAMPLES - 1], &now), None);
        let told = slower(&[&usual; SAMPLES], &now).unwrap();
        assert_eq!((told.was().as_str(), told.is().as_str()), ("median 0.300 ms at most in 3 runs", "median 4.000 ms"));
    }

    #[test]
    fn a_single_trial_has_no_median() {
        let (usual, once) = (released(0.3, 0.9), cell(CellState::Released, MIN_TRIALS - 1, 4.0, 4.0));
        assert_eq!(slower(&[&usual; 3], &once), None);
        assert_eq!(slower(&[&once; 3], &released(40.0, 40.0)), None);
    }

    #[test]
    fn both_thresholds_must_be_passed() {
        for (usual, now, is_slower) in [
            (0.1, 0.3, false), // Three times, but 0.2 ms.
            (1.0, 1.9, false), // Nearly twice.
            (1.0, 2.0, false),
            (1.0, 2.001, true),
            (0.1, 0.599, false),
            (0.1, 0.601, true),
        ] {
            let (usual, now) = (released(usual, 9.0), released(now, 9.0));
            assert_eq!(slower(&[&usual; 3], &now).is_some(), is_slower, "{usual:?} {now:?}");
        }
    }

    #[test]
    fn the_highest_of_the_samples_is_what_is_usual() {
        let (low, high) = (released(0.2, 1.0), released(3.0, 4.0));
        assert_eq!(slower(&[&low, &low, &high], &released(4.0, 4.0)), None);
    }

    #[test]
    fn a_tail_counts_only_with_enough_trials() {
        let with = |n| cell(CellState::Released, n, 0.2, 1.0);
        let now = |n| cell(CellState::Released, n, 0.2, 5.0);
        assert_eq!(slower(&[&with(20); 3], &now(20)), None);
        assert_eq!(slower(&[&with(100), &with(100), &with(99)], &now(100)), None);
        assert!(slower(&[&with(100); 3], &now(100)).unwrap().is().contains("p99"));
    }

    #[test]
    fn a_held_lock_is_no_matter_of_size() {
        let held = cell(CellState::Held, 20, 100.0, 110.0);
        let longer = cell(CellState::Held, 20, 300.0, 310.0);
        assert_eq!(slower(&[&held; 3], &longer), None);
        let briefly = cell(CellState::Held, 20, 1.0, 1.0);
        assert_eq!(slower(&[&briefly; 3], &released(4.0, 4.0)), None);
    }

    /// 3, 10, 100 and 1000 waits for the median, p90, p99 and p99.9: whatever comes with
    /// more quantiles than a cell has is compared by the same rule.
    #[test]
    fn a_quantile_takes_the_waits_that_determine_it() {
        for (rank, least, name) in [(500, 3, "median"), (900, 10, "p90"), (990, 100, "p99"), (999, 1000, "p99.9")] {
            let with = |n, ms| Distribution { n, quantiles: vec![(rank, ms)] };
            let usual = [with(least, 1.0), with(least, 1.2), with(least, 0.8)];
            assert_eq!(grown(&usual, &with(least - 1, 9.0)), None, "{name}");
            let told = grown(&usual, &with(least, 9.0)).unwrap();
            assert_eq!((told.name().as_str(), told.usual), (name, 1.2));
            assert_eq!(grown(&[with(least - 1, 1.0), with(least, 1.0), with(least, 1.0)], &with(least, 9.0)), None);
        }
    }
}
