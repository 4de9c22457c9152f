// SPDX-License-Identifier: GPL-2.0-only
//! The closed list of verdicts and their exit codes.
//!
//! Owns: which answers there are and which is worse. Must not: decide one.

use serde::{Deserialize, Serialize};

/// The answer of one invocation. Ordered from best to worst, so that the verdict
/// of several targets is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every cell showed what `target.toml` expects, on every side, in valid boots.
    Pass,
    /// Not enough evidence either way.
    Inconclusive,
    /// A patched side held the lock where it must release it, or showed a wrong behaviour: what a
    /// test is for.
    Fail,
    /// A control failed, or the baseline did not show what is expected of it: the
    /// measurement proves nothing.
    Invalid,
    /// The series does not apply.
    ApplyFailed,
    /// The kernel does not build.
    BuildFailed,
    /// The kernel crashed, hung, corrupted its guest's memory, or the frames stopped.
    Crashed,
    /// The harness or its host failed; says nothing about the kernel.
    Infra,
}

impl Verdict {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 100,
            Self::BuildFailed => 101,
            Self::ApplyFailed => 102,
            Self::Crashed => 103,
            Self::Invalid => 104,
            Self::Infra => 110,
            Self::Inconclusive => 125,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
            Self::ApplyFailed => "apply-failed",
            Self::BuildFailed => "build-failed",
            Self::Crashed => "crashed",
            Self::Infra => "infra",
        })
    }
}
