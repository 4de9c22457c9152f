// SPDX-License-Identifier: GPL-2.0-only
//! The commits between good and bad ends, as a graph.
//!
//! Owns: reading them, in git's order. Reads the user's repository and writes
//! nothing there: no ref, no index, no `BISECT_*` file.

use std::path::PathBuf;

use git2::{Oid, Repository};

use crate::bisect::graph::Graph;

/// One commit of the graph; its index is the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Oid,
    /// Its subject line.
    pub subject: String,
}

/// The commits that can matter: those in the range, the good ends, and the
/// commits right below the range.
#[derive(Debug, Clone)]
pub struct History {
    /// Who contains whom.
    pub graph: Graph,
    /// By item.
    pub commits: Vec<Commit>,
    /// The good ends.
    pub goods: Vec<usize>,
    /// The bad ends.
    pub bads: Vec<usize>,
    /// How many commits are in the range.
    pub range: usize,
}

/// Ends between which nothing can be bisected.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Good is bad or newer.
    #[error(
        "{good} (good) is {bad} (bad) itself or contains it; to look for the commit that mended it, use --find fix"
    )]
    Backwards {
        /// The good end.
        good: Oid,
        /// The bad end.
        bad: Oid,
    },
    /// No commit is an ancestor of both.
    #[error("{good} (good) and {bad} (bad) have no common ancestor; name ends of one history")]
    Unrelated {
        /// The good end.
        good: Oid,
        /// The bad end.
        bad: Oid,
    },
    /// No commit of the range touches the paths.
    #[error("no commit between the ends touches {paths:?}; widen the paths")]
    NothingTouched {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// What git says.
    #[error("could not read the history: {0}")]
    Git(#[from] git2::Error),
}

impl History {
    /// Read what is between the ends. With `paths`, only commits that change
    /// something there are items, and the bad end.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn read(repo: &Repository, goods: &[Oid], bad: Oid, paths: &[PathBuf]) -> Result<Self, HistoryError> {
        let _ = (repo, goods, bad);
        Err(HistoryError::NothingTouched { paths: paths.to_vec() })
    }

    /// The item of a commit.
    pub fn item(&self, id: Oid) -> Option<usize> {
        self.commits.iter().position(|commit| commit.id == id)
    }
}
