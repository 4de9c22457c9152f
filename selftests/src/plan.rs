// SPDX-License-Identifier: GPL-2.0-only
//! The plan: what a boot is asked to measure.
//!
//! Owns: the file `/plan.json` that xtask puts into the initramfs and PID 1
//! reads, and the choice of cells and behaviours by glob. Must not: run anything.

use serde::{Deserialize, Serialize};

use crate::behaviour::{Behaviour, behaviours};
use crate::cell::{Cell, Probe, catalogue};
use crate::storms::Storm;

/// Default number of trials of a cell.
pub const TRIALS: u32 = 10;
/// Default time for which the probes of a held trial wait, in milliseconds.
pub const HOLD_MS: u32 = 100;

/// Where the plan lies in the initramfs.
pub const PLAN_PATH: &str = "/plan.json";

/// One boot's work order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Cells in the order in which they run; the controls come first.
    pub cells: Vec<Cell>,
    /// Behaviours, after the cells, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behaviours: Vec<Behaviour>,
    /// The probes of each trial, in the order in which they start.
    #[serde(default = "Probe::first_two")]
    pub probes: Vec<Probe>,
    /// Trials of each cell, all repetitions together.
    pub trials: u32,
    /// Into how many lots they are divided, each with a probed process of its own.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub repeat: u32,
    /// Decides which pages are accessed, and what is in them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// A probe that has not returned after this many milliseconds, counted from the
    /// start of the first, counts as held, if its stack shows that it waits for a
    /// lock; then the withheld reply is let go.
    pub hold_ms: u32,
    /// Factor on every deadline inside the guest: 1.0 for hardware speed, more
    /// where the canary measured an emulated CPU.
    pub patience: f64,
    /// What to do to a guest's memory after the cells; `None` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stress: Option<Stress>,
    /// The storm after the cells; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
}

impl Plan {
    /// All probes, the usual numbers, hardware speed, no behaviour, no stress and no storm.
    #[must_use]
    pub fn of(cells: Vec<Cell>) -> Self {
        Self {
            cells,
            behaviours: Vec::new(),
            probes: Probe::ALL.to_vec(),
            trials: TRIALS,
            repeat: 1,
            seed: 0,
            hold_ms: HOLD_MS,
            patience: 1.0,
            stress: None,
            storm: None,
        }
    }

    /// So many trials of each cell, so often.
    #[must_use]
    pub fn of_trials(self, trials: u32, repeat: u32) -> Self {
        Self { trials: trials.saturating_mul(repeat), repeat, ..self }
    }

    /// Does this trial begin another lot?
    #[must_use]
    pub fn is_afresh(&self, trial: u32) -> bool {
        trial > 0 && trial.is_multiple_of((self.trials / self.repeat.max(1)).max(1))
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

/// A stress of guest memory: accesses, paging and changes of the mappings at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stress {
    /// How long, in seconds of the guest's own time.
    pub seconds: u32,
    /// Decides what each task does and how long each reply of the swap device takes;
    /// how the tasks' steps interleave it cannot decide.
    pub seed: u64,
}

/// A glob that selects nothing, or is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFilter(pub String);

impl std::fmt::Display for BadFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFilter {}

/// What globs choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// As in [`Plan::cells`].
    pub cells: Vec<Cell>,
    /// As in [`Plan::behaviours`].
    pub behaviours: Vec<Behaviour>,
}

/// The cells whose name (`anon.sync.read`) or full name (`anon.sync.read@1`) and the
/// behaviours whose name (`sigkill.anon`) matches one of `globs`; no globs select all.
/// The controls are always in.
///
/// # Errors
/// A malformed glob, or one that matches nothing.
pub fn select(globs: &[String]) -> Result<Selection, BadFilter> {
    let all = globs.is_empty();
    let mut cells: Vec<(Cell, bool)> = catalogue().into_iter().map(|cell| (cell, cell.is_control() || all)).collect();
    let mut behaviours: Vec<(Behaviour, bool)> = behaviours().into_iter().map(|behaviour| (behaviour, all)).collect();
    for glob in globs {
        let matcher = globset::GlobBuilder::new(glob)
            .empty_alternates(true)
            .build()
            .map_err(|error| BadFilter(format!("cell filter {glob:?} is no glob: {error}")))?
            .compile_matcher();
        let cells = cells.iter_mut().map(|(cell, chosen)| (vec![cell.name(), cell.to_string()], chosen));
        let behaviours = behaviours.iter_mut().map(|(behaviour, chosen)| (vec![behaviour.to_string()], chosen));
        let mut hit = false;
        for (names, chosen) in cells.chain(behaviours) {
            if names.iter().any(|name| matcher.is_match(name)) {
                (*chosen, hit) = (true, true);
            }
        }
        if !hit {
            return Err(BadFilter(format!(
                "cell filter {glob:?} matches no cell and no behaviour; `selftests --list` names them all"
            )));
        }
    }
    Ok(Selection { cells: chosen(cells), behaviours: chosen(behaviours) })
}

fn chosen<T>(all: Vec<(T, bool)>) -> Vec<T> {
    all.into_iter().filter_map(|(one, chosen)| chosen.then_some(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_selects_all() {
        assert_eq!(select(&[]), Ok(Selection { cells: catalogue(), behaviours: behaviours() }));
    }

    #[test]
    fn controls_are_always_in() {
        let Selection { cells, behaviours } = select(&["shmem.sync.*".to_owned()]).unwrap();
        assert!(behaviours.is_empty());
        assert_eq!(cells.iter().filter(|cell| cell.is_control()).count(), 2);
        assert_eq!(cells.len(), 2 + 4);
    }

    #[test]
    fn the_window_is_part_of_the_full_name() {
        assert_eq!(select(&["anon.sync.read@8".to_owned()]).unwrap().cells.len(), 3);
    }

    #[test]
    fn behaviours_are_chosen_as_cells_are() {
        let Selection { cells, behaviours } = select(&["sigkill.*".to_owned(), "munmap.shmem".to_owned()]).unwrap();
        assert_eq!(cells.len(), 2, "the controls");
        let names: Vec<String> = behaviours.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["sigkill.anon", "sigkill.shmem", "munmap.shmem"]);
        let json = serde_json::to_string(&Plan { behaviours, ..Plan::of(Vec::new()) }).unwrap();
        assert!(json.contains("\"sigkill.anon\""), "{json}");
        assert!(!serde_json::to_string(&Plan::of(Vec::new())).unwrap().contains("behaviours"));
    }

    #[test]
    fn a_filter_that_matches_nothing_is_an_error() {
        assert!(select(&["anno.*".to_owned()]).is_err());
        assert!(select(&["[".to_owned()]).is_err());
    }

    #[test]
    fn a_repetition_begins_with_a_new_process() {
        let plan = Plan::of(Vec::new()).of_trials(3, 2);
        assert_eq!(plan.trials, 6);
        assert_eq!((0..6).filter(|trial| plan.is_afresh(*trial)).collect::<Vec<_>>(), [3]);
        let once = Plan::of(Vec::new()).of_trials(3, 1);
        assert!((0..3).all(|trial| !once.is_afresh(trial)));
    }

    #[test]
    fn an_older_plan_is_one_lot() {
        let text = serde_json::to_string(&Plan::of(Vec::new())).unwrap();
        assert!(!text.contains("repeat") && !text.contains("seed"), "{text}");
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), Plan::of(Vec::new()));
    }
}
