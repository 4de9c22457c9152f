// SPDX-License-Identifier: GPL-2.0-only
//! Git's own way of writing a bisection down.
//!
//! Owns: the text of `git bisect log`, written so that `git bisect replay`
//! comes to the same answer, and read back. Must not touch a repository.

use crate::bisect::evidence::{Direction, Seen};

/// One line of such a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The commit's full id, in hex.
    pub id: String,
    /// Its subject, for the comment; empty if the log has none.
    pub subject: String,
    /// Its side.
    pub seen: Seen,
    /// What the comment adds, such as the counts; empty for nothing.
    pub note: String,
}

/// A bisection in git's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// With [`Direction::Fix`] the terms are `broken` and `fixed`.
    pub direction: Direction,
    /// Only these paths count; none for all.
    pub paths: Vec<String>,
    /// In the order of the search, the ends first.
    pub marks: Vec<Mark>,
    /// The culprit's id and subject.
    pub found: Option<(String, String)>,
}

/// A log that is not git's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the bisect log says '{text}'; {why}")]
pub struct LogError {
    /// From 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong, and what is expected.
    pub why: &'static str,
}

impl Log {
    /// The text for `git bisect replay`.
    pub fn text(&self) -> String {
        String::new()
    }

    /// A log of git's or of ours.
    ///
    /// # Errors
    /// [`LogError`] names the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let _ = text;
        Ok(Self::default())
    }
}
