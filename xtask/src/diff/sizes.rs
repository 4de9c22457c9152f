// SPDX-License-Identifier: GPL-2.0-only
//! When a wait is longer than noise explains.
//!
//! Owns: the thresholds. Under emulation the median of a released wait varied by a
//! factor of 1.7 and by 0.3 ms at most over all runs on one busy machine, while the
//! longest of 20 waits varied by a factor of 12.

use crate::outcome::{CellOutcome, CellState};

/// Earlier runs that it takes to know what is usual.
pub const SAMPLES: usize = 3;

/// Trials with which a median is no single wait.
const MIN_TRIALS: u32 = 3;

/// Longer than noise: this many times the longest of them.
pub const TIMES: f64 = 2.0;

/// And this much longer, in milliseconds: a wait of a microsecond doubles easily.
pub const MORE_MS: f64 = 0.5;

/// Trials with which a 99th percentile is more than the longest wait.
pub const TAIL_TRIALS: u32 = 100;

/// A wait that grew.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slower {
    pub(super) was: String,
    pub(super) now: String,
}

/// `None` unless the cell is released in all runs and slower than in any of them.
pub(super) fn slower(samples: &[&CellOutcome], now: &CellOutcome) -> Option<Slower> {
    let released: Vec<&&CellOutcome> = samples.iter().filter(|cell| cell.state == CellState::Released).collect();
    let few = now.n < MIN_TRIALS || released.iter().any(|cell| cell.n < MIN_TRIALS);
    if now.state != CellState::Released || released.len() < SAMPLES || few {
        return None;
    }
    let medians: Vec<f64> = released.iter().map(|cell| cell.wait_ms.median).collect();
    let told = |name: &str, most: f64, now: f64| Slower {
        was: format!("released, {name} {most:.3} ms at most in {} runs", released.len()),
        now: format!("released, {name} {now:.3} ms"),
    };
    if let Some(most) = exceeded(&medians, now.wait_ms.median) {
        return Some(told("median", most, now.wait_ms.median));
    }
    let tails = now.n >= TAIL_TRIALS && released.iter().all(|cell| cell.n >= TAIL_TRIALS);
    let tail: Vec<f64> = released.iter().map(|cell| cell.wait_ms.p99).collect();
    let most = exceeded(&tail, now.wait_ms.p99).filter(|_| tails)?;
    Some(told("p99", most, now.wait_ms.p99))
}

/// The most that was usual, if `now` is clearly beyond it.
fn exceeded(usual: &[f64], now: f64) -> Option<f64> {
    let most = usual.iter().copied().max_by(f64::total_cmp)?;
    (now > TIMES * most && now >= most + MORE_MS).then_some(most)
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
        assert!(told.was.contains("median 0.300 ms at most in 3 runs") && told.now.contains("4.000"), "{told:?}");
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
        assert!(slower(&[&with(100); 3], &now(100)).unwrap().now.contains("p99"));
    }

    #[test]
    fn a_held_lock_is_no_matter_of_size() {
        let held = cell(CellState::Held, 20, 100.0, 110.0);
        let longer = cell(CellState::Held, 20, 300.0, 310.0);
        assert_eq!(slower(&[&held; 3], &longer), None);
        let briefly = cell(CellState::Held, 20, 1.0, 1.0);
        assert_eq!(slower(&[&briefly; 3], &released(4.0, 4.0)), None);
    }
}
