// SPDX-License-Identifier: GPL-2.0-only
//! The machine-readable result, schema 1: other tools depend on it. Extend it,
//! never rename.
//!
//! Owns: the JSON of `cargo xtask test --json` and of `outcome.json`. Must not:
//! compute; `judge` fills it.

use selftests::storms::Storm;
use selftests::tally::Tally;
use serde::{Deserialize, Serialize};

use crate::storm::seen::Seen;
use crate::verdict::Verdict;

/// Version of the JSON; a reader refuses a larger one.
pub const SCHEMA: u32 = 1;

/// One invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The worst of the targets' verdicts.
    pub verdict: Verdict,
    /// The process's exit code.
    pub exit: u8,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// In the order in which they were asked for.
    pub targets: Vec<TargetOutcome>,
    /// Folder of the record below the checkout, e.g. `results/runs/…`.
    pub run: Option<String>,
    /// Why there is no better verdict, one line each; empty for `pass`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetOutcome {
    /// Folder name below `patches/`, e.g. `v6.1`.
    pub target: String,
    /// The exact version obtained, e.g. `6.1.192`.
    pub version: String,
    /// This target's verdict.
    pub verdict: Verdict,
    /// Sides in the order in which they ran.
    pub sides: Vec<SideOutcome>,
    /// Why the verdict is no better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// One boot of one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideOutcome {
    /// `baseline`, `patched` or `tree`.
    pub side: String,
    /// QEMU's start to the first frame; 0 if there was none.
    pub boot_ms: u64,
    /// Were `control.held` and `control.released` seen as such?
    pub controls_ok: bool,
    /// One for each cell, probe by probe. The controls are among them.
    pub cells: Vec<CellOutcome>,
    /// What the behaviours showed; empty if none was to be tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behaviours: Vec<BehaviourOutcome>,
    /// What the stress of guest memory showed; only if there was to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stress: Option<StressOutcome>,
    /// What the storm showed; only if there was to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormOutcome>,
    /// This boot's verdict, before the sides are compared.
    pub verdict: Verdict,
    /// Why the verdict is no better, e.g. the console's crash line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl SideOutcome {
    /// The cell in the same place as this one of another boot.
    #[must_use]
    pub fn cell_at(&self, place: &CellOutcome) -> Option<&CellOutcome> {
        self.cells.iter().find(|cell| cell.is_same_place(place))
    }

    /// What the behaviour of this name showed.
    #[must_use]
    pub fn behaviour(&self, name: &str) -> Option<&BehaviourOutcome> {
        self.behaviours.iter().find(|seen| seen.behaviour == name)
    }
}

/// A behaviour: something happened while a fault waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehaviourOutcome {
    /// E.g. `sigkill.anon`.
    pub behaviour: String,
    /// What it showed.
    pub state: BehaviourState,
    /// What was seen, or why nothing was.
    pub saw: String,
}

/// What a behaviour showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BehaviourState {
    /// As it must be.
    Right,
    /// Not as it must be.
    Wrong,
    /// Not tried, for the reason given.
    Skipped,
    /// Tried, but it proves nothing, for the reason given.
    Broken,
}

impl std::fmt::Display for BehaviourState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
            Self::Broken => "broken",
        })
    }
}

/// A stress of guest memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StressOutcome {
    /// How long, in seconds of the guest's time.
    pub seconds: u32,
    /// What decided what each task did.
    pub seed: u64,
    /// What it showed.
    pub state: StressState,
    /// What was done, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
    /// What is wrong; empty if it is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A storm: a guest that swaps on a slow device, and probes at a fixed rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StormOutcome {
    /// What was to be made.
    pub asked: Storm,
    /// What it showed, if it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// What is wrong; empty if it is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a stress of guest memory showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StressState {
    /// All that had to happen has happened, and all memory was right.
    Sound,
    /// Memory was not as it must be.
    Corrupt,
    /// A task made no progress any more.
    Hung,
    /// It was not a stress: it could not be made, or not all of it has happened.
    Broken,
}

impl std::fmt::Display for StressState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sound => "sound",
            Self::Corrupt => "corrupt",
            Self::Hung => "hung",
            Self::Broken => "broken",
        })
    }
}

/// One cell as one probe met it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellOutcome {
    /// E.g. `anon.sync.read`.
    pub cell: String,
    /// Readahead window, pages.
    pub window: u32,
    /// `writer` or `reader`.
    pub probe: String,
    /// What it showed.
    pub state: CellState,
    /// Trials that count.
    pub n: u32,
    /// Longest hold of the cell's trials, in milliseconds.
    pub hold_ms: f64,
    /// The probe's waits, in milliseconds.
    pub wait_ms: WaitMs,
    /// Stack of the task that waited for the IO, innermost first: the most
    /// frequent one among the trials. It held the lock if the state is `held`.
    pub holder: Vec<String>,
    /// Of an `apf-guest` cell: rounds that the guest's other task made while a page was
    /// awaited, the fewest of the trials in which it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_progress: Option<u64>,
    /// Why it was skipped or does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CellOutcome {
    /// Is this one of the two controls, of which every kernel shows the same?
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.cell.starts_with("control.")
    }

    /// Its name in results: `anon.sync.read@1.writer`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}@{}.{}", self.cell, self.window, self.probe)
    }

    /// Is the other one of the same cell, met by the same probe?
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.cell == other.cell && self.window == other.window && self.probe == other.probe
    }
}

/// Quantiles of waits, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitMs {
    /// The median.
    pub median: f64,
    /// Nearest-rank 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What a cell showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellState {
    /// In all trials the probe returned only after the IO was let go, and was
    /// seen waiting for a lock.
    Held,
    /// In all trials the probe returned while the IO was still withheld.
    Released,
    /// Some of each.
    Mixed,
    /// Not run, for the reason given.
    Skipped,
    /// Run, but it proves nothing, for the reason given.
    Broken,
}

impl std::fmt::Display for CellState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Mixed => "mixed",
            Self::Skipped => "skipped",
            Self::Broken => "broken",
        })
    }
}
