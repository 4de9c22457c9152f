// SPDX-License-Identifier: GPL-2.0-only
//! Why an invocation stopped before it had a verdict of its own.
//!
//! Owns: the classes of failure, each with its exit code. A message is a
//! lowercase fragment that says what was tried (the whole command), what came
//! back, and what to do next.

use crate::verdict::Verdict;

/// A failure with its class. An unclassified error is the harness's own fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, or a file that the user wrote, makes no sense. Exit 2.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// A filter or a target name selects nothing. Exit 4.
    #[error("{0:#}")]
    NothingSelected(anyhow::Error),
    /// A patch does not apply. Exit 102.
    #[error("{0:#}")]
    Apply(anyhow::Error),
    /// Configuration or compilation failed. Exit 101.
    #[error("{0:#}")]
    Build(anyhow::Error),
    /// The host, the network, a tool, or ourselves. Exit 110.
    #[error("{0:#}")]
    Infra(anyhow::Error),
    /// Ctrl-C or SIGTERM; everything started has been ended. Exit 130.
    #[error("interrupted")]
    Interrupted,
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(classified) => classified,
            Err(error) => Self::Infra(error),
        }
    }
}

impl Error {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NothingSelected(_) => 4,
            Self::Interrupted => 130,
            Self::Apply(_) => Verdict::ApplyFailed.exit_code(),
            Self::Build(_) => Verdict::BuildFailed.exit_code(),
            Self::Infra(_) => Verdict::Infra.exit_code(),
        }
    }

    /// The verdict for a machine-readable result; `None` if there can be none.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Usage(_) | Self::NothingSelected(_) => None,
            Self::Apply(_) => Some(Verdict::ApplyFailed),
            Self::Build(_) => Some(Verdict::BuildFailed),
            Self::Infra(_) | Self::Interrupted => Some(Verdict::Infra),
        }
    }
}
