// SPDX-License-Identifier: GPL-2.0-only
//! Was the effect there? From one judged boot to a word.
//!
//! Owns: which cells and probes count, and what is compared with what. Pure. Must
//! not: turn the answer round for a search for a fix (the driver does).

use std::time::Duration;

use selftests::cell::Probe;
use serde::{Deserialize, Serialize};

use crate::bisect::evidence::Seen;
use crate::bisect::oracle::{Answer, Unjudged};
use crate::outcome::{CellOutcome, CellState, SideOutcome};
use crate::report::place_of_wait;
use crate::verdict::Verdict;

/// Frames of a stack that a line shows.
const FRAMES: usize = 2;

/// What is looked for in a boot. The cells are those that the boot measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Only as these probes met it; none for all.
    pub probes: Vec<Probe>,
    /// A wait that is longer than allowed, instead of a held lock.
    pub metric: Option<Metric>,
}

/// A number and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Which number.
    pub quantity: Quantity,
    /// More than this is the effect.
    pub threshold: Duration,
}

/// A number of a cell: the longest of all wanted cells counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Quantity {
    /// Median of the probes' waits.
    #[value(name = "wait.median")]
    Median,
    /// 99th percentile of them.
    #[value(name = "wait.p99")]
    P99,
    /// The longest of them.
    #[value(name = "wait.max")]
    Max,
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Median => "wait.median",
            Self::P99 => "wait.p99",
            Self::Max => "wait.max",
        })
    }
}

impl Wanted {
    /// What a boot says. A crash of the kernel, or a control that failed, says nothing
    /// about the effect: the item cannot be judged.
    #[must_use]
    pub fn judge(&self, side: &SideOutcome) -> Answer {
        let why = || side.reasons.first().cloned().unwrap_or_else(|| side.verdict.to_string());
        match side.verdict {
            Verdict::Pass => {}
            Verdict::Crashed => return Answer::unjudged(Unjudged::Crash, why()),
            _ => return Answer::unjudged(Unjudged::Invalid, why()),
        }
        let counts = |cell: &&CellOutcome| {
            !cell.is_control()
                && (self.probes.is_empty() || self.probes.iter().any(|probe| probe.to_string() == cell.probe))
        };
        let cells: Vec<CellOutcome> = side.cells.iter().filter(counts).cloned().collect();
        let answer = match self.metric {
            Some(metric) => longest(&cells, metric),
            None => held(&cells),
        };
        Answer { cells, ..answer }
    }
}

fn held(cells: &[CellOutcome]) -> Answer {
    let with = |states: &[CellState]| cells.iter().filter(|cell| states.contains(&cell.state)).collect::<Vec<_>>();
    let (held, released) = (with(&[CellState::Held, CellState::Mixed]), with(&[CellState::Released]));
    let all = held.len() + released.len();
    match (held.first(), released.len()) {
        (Some(first), _) => {
            Answer::new(Seen::Bad, format!("{} of {all} waits for the lock held, first {}", held.len(), told(first)))
        }
        (None, 0) => Answer::unjudged(Unjudged::Invalid, "nothing that is wanted was measured"),
        (None, released) => Answer::new(Seen::Good, format!("all {released} released")),
    }
}

fn longest(cells: &[CellOutcome], metric: Metric) -> Answer {
    let number = |cell: &CellOutcome| match metric.quantity {
        Quantity::Median => cell.wait_ms.median,
        Quantity::P99 => cell.wait_ms.p99,
        Quantity::Max => cell.wait_ms.max,
    };
    let measured = cells.iter().filter(|cell| cell.n > 0);
    let Some(worst) = measured.max_by(|one, other| number(one).total_cmp(&number(other))) else {
        return Answer::unjudged(Unjudged::Invalid, "nothing that is wanted was measured");
    };
    let (value, limit) = (number(worst), metric.threshold.as_secs_f64() * 1e3);
    let (effect, sign) = if value > limit { (Seen::Bad, ">") } else { (Seen::Good, "≤") };
    let why = format!("{} {value:.1} ms {sign} {limit} ms in {}", metric.quantity, told(worst));
    Answer { value_ms: Some(value), ..Answer::new(effect, why) }
}

/// `anon.sync.read@1 writer in swap_readpage < read_swap_cache_async`.
fn told(cell: &CellOutcome) -> String {
    let stack = place_of_wait(&cell.holder, FRAMES).join(" < ");
    let place = if stack.is_empty() { String::new() } else { format!(" in {stack}") };
    format!("{}@{} {}{place}", cell.cell, cell.window, cell.probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::WaitMs;

    fn cell(name: &str, probe: &str, state: CellState, max: f64) -> CellOutcome {
        CellOutcome {
            cell: name.to_owned(),
            window: 1,
            probe: probe.to_owned(),
            state,
            n: u32::from(state != CellState::Skipped),
            hold_ms: 100.0,
            wait_ms: WaitMs { median: 0.1, p99: max, max },
            holder: vec!["blk_io_schedule".to_owned(), "swap_readpage".to_owned()],
            guest_progress: None,
            reason: None,
        }
    }

    fn side(verdict: Verdict, cells: Vec<CellOutcome>) -> SideOutcome {
        let reasons = vec!["Kernel panic - not syncing: other".to_owned()];
        SideOutcome {
            side: "tree".to_owned(),
            boot_ms: 900,
            controls_ok: true,
            cells,
            behaviours: Vec::new(),
            stress: None,
            storm: None,
            verdict,
            reasons,
        }
    }

    #[test]
    fn one_held_cell_is_the_effect_and_controls_do_not_count() {
        let cells = vec![
            cell("control.held", "writer", CellState::Held, 100.0),
            cell("anon.sync.read", "writer", CellState::Released, 0.1),
            cell("anon.sync.write", "reader", CellState::Mixed, 99.0),
        ];
        let all = Wanted::default().judge(&side(Verdict::Pass, cells.clone()));
        assert_eq!(all.effect, Seen::Bad);
        assert!(
            all.why.contains("1 of 2") && all.why.contains("anon.sync.write@1 reader in swap_readpage"),
            "{}",
            all.why
        );
        let writer = Wanted { probes: vec![Probe::Writer], metric: None };
        assert_eq!(writer.judge(&side(Verdict::Pass, cells)).effect, Seen::Good);
    }

    #[test]
    fn a_crash_or_an_invalid_boot_is_no_evidence() {
        let held = vec![cell("anon.sync.read", "writer", CellState::Held, 100.0)];
        let crash = Wanted::default().judge(&side(Verdict::Crashed, held.clone()));
        assert_eq!((crash.effect, crash.unjudged), (Seen::Skip, Some(Unjudged::Crash)));
        assert!(crash.why.contains("panic"));
        let invalid = Wanted::default().judge(&side(Verdict::Invalid, held));
        assert_eq!((invalid.effect, invalid.unjudged), (Seen::Skip, Some(Unjudged::Invalid)));
        let skipped = Wanted::default().judge(&side(Verdict::Pass, vec![cell("a", "writer", CellState::Skipped, 0.0)]));
        assert_eq!((skipped.effect, skipped.unjudged), (Seen::Skip, Some(Unjudged::Invalid)));
    }

    #[test]
    fn a_metric_takes_the_longest_wait() {
        let metric = Metric { quantity: Quantity::Max, threshold: Duration::from_millis(10) };
        let wanted = Wanted { probes: Vec::new(), metric: Some(metric) };
        let judge = |max| {
            let cells =
                vec![cell("a", "writer", CellState::Released, 1.0), cell("b", "writer", CellState::Released, max)];
            wanted.judge(&side(Verdict::Pass, cells))
        };
        assert_eq!((judge(10.0).effect, judge(10.1).effect), (Seen::Good, Seen::Bad));
        assert_eq!(judge(12.0).value_ms, Some(12.0));
    }
}
