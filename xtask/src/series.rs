// SPDX-License-Identifier: GPL-2.0-only
//! A series: patches made commits, without a work tree.
//!
//! Owns: reading patch files, and applying them to a commit's tree with git2. The
//! same patches on the same commit give the same commits. Must not: decide how a
//! hunk fits; `patch` does.

pub mod checkpatch;
pub mod folder;
pub mod mbox;
pub mod refresh;
mod rewrite;
pub mod verify;
pub mod warnings;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use git2::build::TreeUpdateBuilder;
use git2::{Commit, ErrorCode, FileMode, ObjectType, Oid, Repository, Signature, Time, Tree};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::interrupt;
use crate::patch::{self, Change, FileState, Fitted, Patch, PatchFit, Place};

/// What it may take to find the places of one patch: a hostile one can ask for more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads and parses patch files.
///
/// # Errors
/// Infra if one cannot be read, [`Error::Apply`] if it is no patch or a path in it
/// leaves the tree.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Patch>, Error> {
    let load = |path: &PathBuf| {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the patch {}", path.display()))?;
        patch::parse(path, &bytes).map_err(|error| Error::Apply(anyhow!(error)))
    };
    paths.iter().map(load).collect()
}

/// SHA-256 of the lines that are the SHA-256 of each patch's file, in order, as
/// `sha256sum *.patch | cut -c-64 | sha256sum` gives it; empty without patches.
#[must_use]
pub fn digest(patches: &[Patch]) -> String {
    let hex = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let lines: String = patches.iter().map(|patch| hex(&patch.bytes) + "\n").collect();
    if lines.is_empty() { lines } else { hex(lines.as_bytes()) }
}

/// Applies the patches on `base`, one commit a patch, and returns the last one
/// (`base` itself for no patches).
///
/// # Errors
/// [`Error::Apply`], with patch, file and hunk, unless every hunk fits with its
/// whole context; Infra if the repository cannot be read or written.
pub fn commit_side(repo: &Repository, base: Oid, patches: &[Patch]) -> Result<Oid, Error> {
    let mut side = base;
    for patch in patches {
        let parent = repo.find_commit(side).with_context(|| format!("cannot read the commit {side}"))?;
        let fitted = fit_on(repo, &tree_of(&parent)?, patch)?;
        if !fitted.fit.applies() {
            return Err(Error::Apply(anyhow!("{}", fitted.fit)));
        }
        side = commit(repo, &parent, patch, &fitted.changes)?;
    }
    Ok(side)
}

/// How every patch of a series fits, each on what the ones before it made. One that
/// does not apply is left out, and the next is tried without it.
///
/// # Errors
/// Only if the repository cannot be read or written.
pub fn fits(repo: &Repository, base: Oid, patches: &[Patch]) -> Result<Vec<Fitted>, Error> {
    let mut side = base;
    let mut fits = Vec::with_capacity(patches.len());
    for patch in patches {
        let parent = repo.find_commit(side).with_context(|| format!("cannot read the commit {side}"))?;
        let fitted = fit_on(repo, &tree_of(&parent)?, patch)?;
        if fitted.fit.applies() {
            side = commit(repo, &parent, patch, &fitted.changes)?;
        }
        fits.push(fitted);
    }
    Ok(fits)
}

fn tree_of<'a>(commit: &Commit<'a>) -> anyhow::Result<Tree<'a>> {
    commit.tree().with_context(|| format!("cannot read the tree of {}", commit.id()))
}

fn fit_on(repo: &Repository, tree: &Tree<'_>, patch: &Patch) -> anyhow::Result<Fitted> {
    let until = Instant::now() + PATIENCE;
    let fitted = patch::fit_patch(patch, |path| {
        interrupt::check()?;
        if Instant::now() > until {
            let (name, seconds) = (patch.path.display(), PATIENCE.as_secs());
            return Err(anyhow!(Error::Apply(anyhow!("patch {name} is not tried to its end within {seconds} s"))));
        }
        read(repo, tree, path)
    })?;
    Ok(match misplaced(tree, &fitted.changes) {
        Some((file, what)) if fitted.fit.applies() => {
            let fit = PatchFit::WrongFile { place: Place { patch: patch.path.clone(), file, hunk: None }, what };
            Fitted { changes: Vec::new(), refused: vec![fit.clone()], fit }
        }
        _ => fitted,
    })
}

/// A file that would take the place of a folder, or lie below another file.
fn misplaced(tree: &Tree<'_>, changes: &[Change]) -> Option<(String, &'static str)> {
    let kind = |path: &Path| tree.get_path(path).ok().and_then(|entry| entry.kind());
    let state = |path: &Path| changes.iter().find(|(changed, _)| Path::new(changed) == path).map(|(_, state)| state);
    let is_file = |path: &Path| match state(path) {
        Some(state) => state.is_some(),
        None => kind(path).is_some_and(|kind| kind != ObjectType::Tree),
    };
    changes.iter().filter(|(_, state)| state.is_some()).find_map(|(name, _)| {
        let path = Path::new(name);
        if kind(path) == Some(ObjectType::Tree) {
            return Some((name.clone(), "there is a folder of that name"));
        }
        let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        above.into_iter().any(is_file).then(|| (name.clone(), "a folder of its path is a file"))
    })
}

fn read(repo: &Repository, tree: &Tree<'_>, path: &str) -> anyhow::Result<Option<FileState>> {
    let entry = match tree.get_path(path.as_ref()) {
        Ok(entry) if entry.kind() == Some(ObjectType::Blob) => entry,
        Ok(_) => return Ok(None),
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot look up {path}")),
    };
    let blob = repo.find_blob(entry.id()).with_context(|| format!("cannot read {path}"))?;
    let mode = u32::try_from(entry.filemode()).unwrap_or(0o100_644);
    Ok(Some(FileState { mode, bytes: blob.content().to_vec() }))
}

fn commit(repo: &Repository, parent: &Commit<'_>, patch: &Patch, changes: &[Change]) -> anyhow::Result<Oid> {
    let failed = || format!("cannot commit the patch {}", patch.path.display());
    let mut update = TreeUpdateBuilder::new();
    for (path, state) in changes {
        match state {
            Some(FileState { mode, bytes }) => {
                let mode = match mode {
                    0o120_000 => FileMode::Link,
                    0o100_755 => FileMode::BlobExecutable,
                    _ => FileMode::Blob,
                };
                update.upsert(path.as_str(), repo.blob(bytes).with_context(failed)?, mode);
            }
            None => {
                update.remove(path.as_str());
            }
        }
    }
    let tree = update.create_updated(repo, &tree_of(parent)?).with_context(failed)?;
    let tree = repo.find_tree(tree).with_context(failed)?;
    let author = &patch.author;
    // No clock: the same series is the same commit each time, and nothing is built twice.
    let when = author.when.map_or_else(|| parent.time(), |(seconds, offset)| Time::new(seconds, offset));
    // Git takes dots and the like off a name, and no name that has nothing else.
    let who = Signature::new(&author.name, &author.email, &when)
        .or_else(|_| Signature::new("unknown", "unknown@invalid", &when))
        .with_context(failed)?;
    repo.commit(None, &who, &who, &patch.message, &tree, &[parent]).with_context(failed)
}
