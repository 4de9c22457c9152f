// SPDX-License-Identifier: GPL-2.0-only
//! The commits of a user's history as items.
//!
//! Owns: what the revisions of the command line mean. The clone is only read: no
//! checkout, index, ref or `git bisect` state of it is looked at or changed.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use git2::{Oid, Repository};

use crate::bisect::evidence::Direction;
use crate::bisect::history::{Commit, History, HistoryError};
use crate::bisect::items::{Item, Items, Kind};
use crate::error::Error;
use crate::source::git;

/// The ends as the user names them.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// Revisions without the effect.
    pub good: &'a [String],
    /// Revisions with it.
    pub bad: &'a [String],
}

/// The commits between the ends.
///
/// # Errors
/// [`Error::Usage`]: no clone, no such revision, ends between which nothing lies.
pub fn read(linux: &Path, ends: Ends<'_>, direction: Direction, paths: &[PathBuf]) -> Result<Items, Error> {
    if !git::is_clone(linux) {
        return Err(Error::Usage(anyhow!("--linux: {} is no git clone: it has no history", linux.display())));
    }
    let clone = git::open(linux)?;
    let (old, new, words) = match direction {
        Direction::Break => (ends.good, ends.bad, ["--good", "--bad"]),
        Direction::Fix => (ends.bad, ends.good, ["--bad", "--good"]),
    };
    let [new] = new else {
        return Err(Error::Usage(anyhow!("needed is exactly one {}, from which the search looks back", words[1])));
    };
    if old.is_empty() {
        return Err(Error::Usage(anyhow!("needed is a {}, at which the search may stop", words[0])));
    }
    let oid = |rev: &String| -> Result<Oid, Error> { Ok(git::resolve(&clone, linux, Some(rev))?.id()) };
    let old = old.iter().map(oid).collect::<Result<Vec<_>, _>>()?;
    of(&clone, &old, oid(new)?, paths)
}

fn of(clone: &Repository, old: &[Oid], new: Oid, paths: &[PathBuf]) -> Result<Items, Error> {
    let history = History::read(clone, old, new, paths).map_err(|error| match error {
        HistoryError::Git(error) => Error::Infra(anyhow!("cannot read the history: {error}")),
        error => Error::Usage(anyhow!(error)),
    })?;
    let item = |commit: Commit| Item { id: commit.id.to_string(), name: commit.subject };
    Ok(Items {
        kind: Kind::Commits,
        list: history.commits.into_iter().map(item).collect(),
        graph: history.graph,
        goods: history.goods,
        bads: history.bads,
    })
}
