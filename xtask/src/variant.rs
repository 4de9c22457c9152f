// SPDX-License-Identifier: GPL-2.0-only
//! A variant of a target's configuration: what the same sides are built for.
//!
//! Owns: what each variant adds to the configuration, and what its slower kernel
//! needs: memory, patience, fewer trials with a longer hold. Must not: build or
//! judge. What a version lacks of a variant is in its `target.toml`.

use selftests::plan::{HOLD_MS, TRIALS};
use serde::{Deserialize, Serialize};

use crate::side::Side;

/// What a kernel is built for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// To measure waits: the fragments of target.toml alone.
    #[default]
    Measure,
    /// To find bugs: kconfigs/debug.config too (lockdep, KASAN, VM checks).
    Debug,
}

impl Variant {
    /// The name in records and `target.toml`, and of its fragment.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Measure => "measure",
            Self::Debug => "debug",
        }
    }

    /// The fragment that it adds.
    #[must_use]
    pub fn fragment(self) -> Option<&'static str> {
        match self {
            Self::Measure => None,
            Self::Debug => Some(self.name()),
        }
    }

    /// The guest's memory, in MiB. Kernel, PID 1, guests and the swap device's
    /// memory need about 200; KASAN takes an eighth of all and a quarantine.
    #[must_use]
    pub fn memory_mib(self) -> u32 {
        match self {
            Self::Measure => 512,
            Self::Debug => 1024,
        }
    }

    /// Factor on every deadline, beside the accelerator's own.
    #[must_use]
    pub fn patience(self) -> f64 {
        match self {
            Self::Measure => 1.0,
            Self::Debug => 2.0,
        }
    }

    /// Trials of a cell, unless the user says how many. A debug kernel is asked for
    /// splats, not for statistics.
    #[must_use]
    pub fn trials(self) -> u32 {
        match self {
            Self::Measure => TRIALS,
            Self::Debug => 5,
        }
    }

    /// The hold in milliseconds, unless the user says how long. What a released
    /// probe does by itself takes a debug kernel several times longer.
    #[must_use]
    pub fn hold_ms(self) -> u32 {
        match self {
            Self::Measure => HOLD_MS,
            Self::Debug => 4 * HOLD_MS,
        }
    }

    /// How long guest memory is stressed after the cells, in seconds, unless the user
    /// says how long; 0 is not at all.
    #[must_use]
    pub fn stress_s(self) -> u32 {
        match self {
            Self::Measure => 0,
            Self::Debug => 60,
        }
    }

    /// The sides without which nothing is proved: a comparison needs both, and a
    /// search for splats looks at what was changed.
    #[must_use]
    pub fn required(self) -> &'static [Side] {
        static SIDES: [Side; 2] = [Side::Baseline, Side::Patched];
        match self {
            Self::Measure => &SIDES,
            Self::Debug => &SIDES[1..],
        }
    }

    /// Is this variant's record as it was before there were variants?
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
