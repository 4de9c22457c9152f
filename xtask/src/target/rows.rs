// SPDX-License-Identifier: GPL-2.0-only
//! The rows of `target.toml`: what each side shows, what may be missing, what is
//! known and harmless, which sides there are beside the usual two.
//!
//! Owns: what one row says and speaks about. Must not: see other rows (`check`
//! does), or judge.

use std::collections::BTreeMap;

use selftests::cell::Probe;
use serde::{Deserialize, Serialize};

use super::{CellGlob, LinePattern};
use crate::outcome::BehaviourState;
use crate::transcript::Finding;
use crate::variant::Variant;

/// A side beside baseline and patched: another version of the patches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraSide {
    /// Its name, e.g. `v2`.
    pub name: String,
    /// The folder of its patches, which are applied instead of the series.
    pub patches: String,
    /// What it is there to show.
    pub reason: String,
    /// It is there to die.
    pub dies: Option<Death>,
}

/// A complaint of checkpatch that is known and right to be left.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excuse {
    /// Its type, as `checkpatch.pl --show-types` names it.
    pub class: String,
    /// Only for patch files that match; for all if left out.
    pub patches: Option<CellGlob>,
    /// Why it is left.
    pub reason: String,
}

/// Files of the series that the configuration leaves out: other architectures'.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncompiled {
    /// Over paths from the root of the tree.
    pub files: CellGlob,
    /// Why nobody has to see them compiled here.
    pub reason: String,
}

/// A patch of the series that is there to be discussed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rfc {
    /// The name of its file.
    pub patch: String,
    /// Why it is not proposed as it is.
    pub reason: String,
}

/// How a side dies: a defect that is kept to be shown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Death {
    /// In which variant of the configuration.
    pub config: Variant,
    /// Found in what is said about the crash.
    pub pattern: LinePattern,
}

/// One row of expectations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Over names without the window, e.g. `anon.*`.
    pub cells: CellGlob,
    /// Only with this readahead window; all if left out.
    pub window: Option<u32>,
    /// Only this probe; all if left out.
    pub probe: Option<Probe>,
    /// What each side shows, by the side's name.
    pub sides: BTreeMap<String, Expected>,
    /// Why, in words that a reader of the source can check.
    pub reason: String,
}

/// What a cell is expected to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The lock is held while the IO is waited for.
    Held,
    /// It is not.
    Released,
    /// Now the one, now the other, for the reason that the row gives: a probe that
    /// proves nothing there. Another row must speak for the writer.
    Either,
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Either => "either",
        })
    }
}

/// Behaviours that are not right on every side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehavesRow {
    /// Over names, e.g. `sigkill.*`.
    pub names: CellGlob,
    /// What each side shows, by the side's name.
    pub sides: BTreeMap<String, Behaves>,
    /// Why, in words that a reader of the source can check.
    pub reason: String,
}

/// What a behaviour is expected to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaves {
    /// What it must.
    Right,
    /// The defect.
    Wrong,
}

impl From<Behaves> for BehaviourState {
    fn from(expected: Behaves) -> Self {
        match expected {
            Behaves::Right => Self::Right,
            Behaves::Wrong => Self::Wrong,
        }
    }
}

/// Cells that this kernel may leave out: a skip that is not declared fails.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Over names without the window.
    pub cells: CellGlob,
    /// Only with this readahead window; all if left out.
    pub window: Option<u32>,
    /// Why it cannot be measured there.
    pub reason: String,
}

/// A console finding that says nothing against this kernel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerate {
    /// Only findings of this class, e.g. `warning`; all if left out.
    pub class: Option<String>,
    /// Only lines in which this regular expression is found; all if left out. One
    /// of the two must be there.
    pub pattern: Option<LinePattern>,
    /// Why it says nothing.
    pub reason: String,
}

impl Expect {
    /// Does the row speak about this cell and probe?
    #[must_use]
    pub fn covers(&self, cell: &str, window: u32, probe: &str) -> bool {
        self.cells.is_match(cell)
            && self.window.is_none_or(|only| only == window)
            && self.probe.is_none_or(|only| only.to_string() == probe)
    }
}

impl Skip {
    /// Does the row speak about this cell?
    #[must_use]
    pub fn covers(&self, cell: &str, window: u32) -> bool {
        self.cells.is_match(cell) && self.window.is_none_or(|only| only == window)
    }
}

impl Tolerate {
    /// Does the row speak about this finding?
    #[must_use]
    pub fn covers(&self, finding: &Finding) -> bool {
        self.class.as_ref().is_none_or(|class| *class == finding.class)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&finding.line))
    }
}
