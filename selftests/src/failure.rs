// SPDX-License-Identifier: GPL-2.0-only
//! Why a measurement was not made.
//!
//! Owns: the three ways to fail. Must not: be used for what a kernel shows;
//! a held lock is a result, not a failure.

use selftests::lost::Lost;

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

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Skip(reason) => Self::Skipped { reason },
            Failure::Again(reason) | Failure::Broken(reason) => Self::Broken { reason },
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Again(format!("{error:#}"))
    }
}
