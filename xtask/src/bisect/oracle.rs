// SPDX-License-Identifier: GPL-2.0-only
//! The question that a bisection asks, and the shape of the answer.
//!
//! Owns: what can be asked ([`What`]), what an answer holds, and which failures
//! are no answer. The real oracle builds and boots kernels (`kernels`); tests use
//! one made of a table. Must not: know which items there are, or what comes next.

use serde::{Deserialize, Serialize};

use crate::bisect::evidence::Seen;
use crate::error::Error;
use crate::outcome::CellOutcome;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// An item as it is.
    Item {
        /// Its index.
        item: usize,
    },
    /// An item, everything of which is compiled anew.
    Clean {
        /// Its index.
        item: usize,
    },
    /// The newest item, with what `culprit` changed taken back.
    Reverted {
        /// The newest item.
        tip: usize,
        /// What is taken back.
        culprit: usize,
    },
}

impl What {
    /// The item that is built, if it is one.
    #[must_use]
    pub fn item(self) -> Option<usize> {
        match self {
            Self::Item { item } | Self::Clean { item } => Some(item),
            Self::Reverted { .. } => None,
        }
    }
}

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// What is looked at.
    pub what: What,
    /// Something must run: no other item's answer will do.
    pub fresh: bool,
}

/// Why an item cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unjudged {
    /// What would have to be made cannot be made: a revert conflicts.
    Source,
    /// It does not configure or compile.
    Build,
    /// The kernel died of something that is not looked for.
    Crash,
    /// The boot proves nothing: a control failed, or nothing wanted was measured.
    Invalid,
}

impl std::fmt::Display for Unjudged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "cannot be made",
            Self::Build => "does not build",
            Self::Crash => "crashes of something else",
            Self::Invalid => "proves nothing",
        })
    }
}

/// Where the time went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Source put into place, configured and made.
    pub build: f64,
    /// QEMU's start to the first frame, all boots together.
    pub boot: f64,
    /// From there to the end, all boots together.
    pub test: f64,
}

impl Seconds {
    /// All of it.
    #[must_use]
    pub fn total(self) -> f64 {
        self.build + self.boot + self.test
    }
}

/// The kernel that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// SHA-256 of the bootable image.
    pub image: String,
    /// SHA-256 of the sections that are loaded, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<String>,
    /// `uname -r`.
    pub release: String,
    /// Was make run?
    pub rebuilt: bool,
    /// In an empty folder?
    #[serde(default)]
    pub whole: bool,
}

/// An answer of another item that holds for this one, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// The item that was tested.
    pub from: usize,
    /// Why it is the same kernel.
    pub because: String,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `bad`: the effect was there; `good`: it was not. Not yet turned round for a
    /// search for a fix.
    pub effect: Seen,
    /// One line: which cell decided, or why there is no answer.
    pub why: String,
    /// Why it could not be judged; with [`Seen::Skip`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<Unjudged>,
    /// Nothing was booted: another item's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<Inherited>,
    /// Where the time went.
    pub seconds: Seconds,
    /// The kernel, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Made>,
    /// The value that was compared with a threshold, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_ms: Option<f64>,
    /// The wanted cells, as the wanted probes met them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellOutcome>,
    /// The boot's folder below the bisection's, if there was a boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

impl Answer {
    /// An answer of which only this is known.
    #[must_use]
    pub fn new(effect: Seen, why: impl Into<String>) -> Self {
        Self {
            effect,
            why: why.into(),
            unjudged: None,
            inherited: None,
            seconds: Seconds::default(),
            kernel: None,
            value_ms: None,
            cells: Vec::new(),
            record: None,
        }
    }

    /// No judgement.
    #[must_use]
    pub fn unjudged(kind: Unjudged, why: impl Into<String>) -> Self {
        Self { unjudged: Some(kind), ..Self::new(Seen::Skip, why) }
    }
}

/// Who answers.
pub trait Oracle {
    /// Looks at something.
    ///
    /// # Errors
    /// [`Error::Infra`] and [`Error::Interrupted`]: the host's failure says nothing
    /// about an item and is no answer. An item that does not build is an answer.
    fn ask(&mut self, ask: Ask) -> Result<Answer, Error>;
}
