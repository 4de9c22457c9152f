// SPDX-License-Identifier: GPL-2.0-only
//! How what was to be tried ended without an answer.
//!
//! Owns: the five ways, which cells, behaviours, a stress and a storm have in common, and
//! their words. Must not: say what a kernel showed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum Lost {
    /// It cannot be made on this kernel or machine.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The instrument failed (page not evicted, no async page fault seen, wrong
    /// guest content …): what was measured proves nothing.
    Broken {
        /// What was tried and what came back.
        reason: String,
    },
    /// The test process ended early with this exit code.
    Exited {
        /// As from `waitpid`.
        code: i32,
    },
    /// The test process was killed.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The test process passed its deadline and was killed by PID 1.
    Hung {
        /// The deadline.
        deadline_ms: u64,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { reason } | Self::Broken { reason } => f.write_str(reason),
            Self::Exited { code } => write!(f, "the test process exited early with status {code}"),
            Self::Signaled { signal } => write!(f, "the test process was killed by signal {signal}"),
            Self::Hung { deadline_ms } => write!(f, "the test process had not ended after {deadline_ms} ms"),
        }
    }
}
