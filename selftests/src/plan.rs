// SPDX-License-Identifier: GPL-2.0-only
//! The plan: what a boot is asked to measure.
//!
//! Owns: the file `/plan.json` that xtask puts into the initramfs and PID 1
//! reads, and the choice of cells by glob. Must not: run anything.

use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Probe, catalogue};

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
    /// The probes of each trial, in the order in which they start.
    #[serde(default = "Probe::first_two")]
    pub probes: Vec<Probe>,
    /// Trials of each cell.
    pub trials: u32,
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
}

impl Plan {
    /// All probes, the usual numbers, hardware speed and no stress.
    #[must_use]
    pub fn of(cells: Vec<Cell>) -> Self {
        Self { cells, probes: Probe::ALL.to_vec(), trials: TRIALS, hold_ms: HOLD_MS, patience: 1.0, stress: None }
    }
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

/// The cells whose name (`anon.sync.read`) or full name (`anon.sync.read@1`)
/// matches one of `globs`; no globs select all. The controls are always in.
///
/// # Errors
/// A malformed glob, or one that matches no cell.
pub fn select(globs: &[String]) -> Result<Vec<Cell>, BadFilter> {
    let mut chosen: Vec<bool> = catalogue().iter().map(|cell| cell.is_control() || globs.is_empty()).collect();
    for glob in globs {
        let matcher = globset::Glob::new(glob)
            .map_err(|error| BadFilter(format!("cell filter {glob:?} is no glob: {error}")))?
            .compile_matcher();
        let mut hit = false;
        for (cell, chosen) in catalogue().iter().zip(&mut chosen) {
            if matcher.is_match(cell.name()) || matcher.is_match(cell.to_string()) {
                (*chosen, hit) = (true, true);
            }
        }
        if !hit {
            return Err(BadFilter(format!("cell filter {glob:?} matches no cell; `selftests --list` names them all")));
        }
    }
    Ok(catalogue().into_iter().zip(chosen).filter_map(|(cell, chosen)| chosen.then_some(cell)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_selects_all() {
        assert_eq!(select(&[]), Ok(catalogue()));
    }

    #[test]
    fn controls_are_always_in() {
        let cells = select(&["shmem.sync.*".to_owned()]).unwrap();
        assert_eq!(cells.iter().filter(|cell| cell.is_control()).count(), 2);
        assert_eq!(cells.len(), 2 + 4);
    }

    #[test]
    fn the_window_is_part_of_the_full_name() {
        assert_eq!(select(&["anon.sync.read@8".to_owned()]).unwrap().len(), 3);
    }

    #[test]
    fn a_filter_that_matches_nothing_is_an_error() {
        assert!(select(&["anno.*".to_owned()]).is_err());
        assert!(select(&["[".to_owned()]).is_err());
    }
}
