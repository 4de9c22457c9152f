// SPDX-License-Identifier: GPL-2.0-only
//! Why a measurement was not made.
//!
//! Owns: the three ways to fail. Must not: be used for what a kernel shows;
//! a held lock is a result, not a failure.

use selftests::behaviour::BehaviourEnd;
use selftests::protocol::CellEnd;
use selftests::storms::StormEnd;
use selftests::tally::StressEnd;

/// Why a cell or a trial of it was not measured; each has its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It cannot be made on this kernel or machine.
    Skip(String),
    /// It was not made this time; trying again is sound.
    Again(String),
    /// The instrument or the kernel is wrong in a way that another try must not hide.
    Broken(String),
}

impl Failure {
    /// How a cell ends by it.
    pub(crate) fn end(self) -> CellEnd {
        match self {
            Self::Skip(reason) => CellEnd::Skipped { reason },
            Self::Again(reason) | Self::Broken(reason) => CellEnd::Broken { reason },
        }
    }

    /// How a behaviour ends by it.
    pub(crate) fn end_of_behaviour(self) -> BehaviourEnd {
        match self {
            Self::Skip(reason) => BehaviourEnd::Skipped { reason },
            Self::Again(reason) | Self::Broken(reason) => BehaviourEnd::Broken { reason },
        }
    }

    /// How a stress ends by it.
    pub(crate) fn end_of_stress(self) -> StressEnd {
        match self {
            Self::Skip(reason) => StressEnd::Skipped { reason },
            Self::Again(reason) | Self::Broken(reason) => StressEnd::Broken { reason },
        }
    }

    /// How a storm ends by it.
    pub(crate) fn end_of_storm(self) -> StormEnd {
        match self {
            Self::Skip(reason) => StormEnd::Skipped { reason },
            Self::Again(reason) | Self::Broken(reason) => StormEnd::Broken { reason },
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Again(format!("{error:#}"))
    }
}
