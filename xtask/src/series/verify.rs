// SPDX-License-Identifier: GPL-2.0-only
//! Is a series what it says it is?
//!
//! ```text
//! consistent   by itself: numbers, diffstat, each file's ids from patch to patch
//! blobs        on a tree: the blob before and after each patch is the one that its index line names
//! ```
//!
//! Owns: both checks; each stops at the first thing that differs. Must not: accept
//! an id that it has not computed, or compare the text of patches.

use std::collections::BTreeMap;

use anyhow::anyhow;
use git2::{Commit, Oid, Repository};

use super::{commit, fit_on, tree_of};
use crate::error::Error;
use crate::patch::{FilePatch, LineKind, Patch};

/// Git's way to say that there is no such file.
const NONE: char = '0';

/// Checks a series by itself, without a tree: `[PATCH n/m]` counts, the diffstat
/// agrees with the hunks, and where two patches change a file, the second starts
/// from what the first one left. Returns the number of ids that were compared.
///
/// # Errors
/// [`Error::Apply`] with the patch and what differs.
pub fn consistent(patches: &[Patch]) -> Result<usize, Error> {
    let mut left: BTreeMap<&str, &str> = BTreeMap::new();
    let mut compared = 0;
    for (place, patch) in patches.iter().enumerate() {
        numbered(patch, place + 1, patches.len())?;
        stat(patch)?;
        for file in &patch.files {
            let (old, new) = ids(patch, file)?;
            if let Some(id) = file.old.as_deref().and_then(|path| left.remove(path)) {
                if !same(id, old) {
                    return Err(differs(patch, file, "starts from blob", old, "the patch before left", id));
                }
                compared += 1;
            }
            if let Some(path) = file.new.as_deref() {
                left.insert(path, new);
            }
        }
    }
    Ok(compared)
}

/// Applies the patches on `base` and compares the blob of every file before and
/// after each with the patch's own `index` line. Returns the commit of the last
/// patch, and the number of ids that were compared.
///
/// # Errors
/// [`Error::Apply`] with patch, file, and both ids, for the first that differs, or
/// with the hunk that does not fit.
pub fn blobs(repo: &Repository, base: Oid, patches: &[Patch]) -> Result<(Oid, usize), Error> {
    let read = |id| repo.find_commit(id).map_err(|error| anyhow!(error).context("cannot read a commit"));
    let (mut side, mut compared) = (base, 0);
    for patch in patches {
        let parent = read(side)?;
        for file in &patch.files {
            let (old, _) = ids(patch, file)?;
            expect(patch, file, "before", old, blob(&parent, file.old.as_deref())?)?;
        }
        let fitted = fit_on(repo, &tree_of(&parent)?, patch)?;
        if !fitted.fit.applies() {
            return Err(Error::Apply(anyhow!("{}", fitted.fit)));
        }
        side = commit(repo, &parent, patch, &fitted.changes)?;
        let now = read(side)?;
        for file in &patch.files {
            let (_, new) = ids(patch, file)?;
            expect(patch, file, "after", new, blob(&now, file.new.as_deref())?)?;
        }
        compared += 2 * patch.files.len();
    }
    Ok((side, compared))
}

fn blob(commit: &Commit<'_>, path: Option<&str>) -> anyhow::Result<Option<Oid>> {
    let Some(path) = path else { return Ok(None) };
    Ok(tree_of(commit)?.get_path(path.as_ref()).ok().map(|entry| entry.id()))
}

fn expect(patch: &Patch, file: &FilePatch, when: &str, says: &str, is: Option<Oid>) -> Result<(), Error> {
    let is = is.map_or_else(|| NONE.to_string().repeat(40), |id| id.to_string());
    if is.starts_with(says) {
        return Ok(());
    }
    Err(differs(patch, file, &format!("{when} it is blob"), &is[..says.len()], "the index line says", says))
}

fn differs(patch: &Patch, file: &FilePatch, first: &str, one: &str, second: &str, other: &str) -> Error {
    let (patch, file) = (patch.path.display(), file.path());
    Error::Apply(anyhow!("patch {patch}: {file}: {first} {one}, and {second} {other}"))
}

fn ids<'a>(patch: &Patch, file: &'a FilePatch) -> Result<(&'a str, &'a str), Error> {
    let (old, new) = file.index.as_ref().ok_or_else(|| {
        let (patch, file) = (patch.path.display(), file.path());
        Error::Apply(anyhow!("patch {patch}: {file} has no index line, so that nothing can be verified"))
    })?;
    Ok((old, new))
}

/// Abbreviations of the same id, of any length.
fn same(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn numbered(patch: &Patch, number: usize, of: usize) -> Result<(), Error> {
    match patch.number {
        Some(said) if said == (number, of) => Ok(()),
        // A patch that is alone need not be counted.
        None if of == 1 => Ok(()),
        said => {
            let says = said.map_or_else(|| "has no number".to_owned(), |(n, m)| format!("says {n}/{m}"));
            Err(Error::Apply(anyhow!("patch {}: the subject {says}, it is {number}/{of}", patch.path.display())))
        }
    }
}

/// The line ` 2 files changed, 3 insertions(+), 4 deletions(-)` against the hunks.
fn stat(patch: &Patch) -> Result<(), Error> {
    let count = |kind| {
        let lines = patch.files.iter().flat_map(|file| &file.hunks).flat_map(|hunk| &hunk.lines);
        lines.filter(|line| line.kind == kind).count()
    };
    let text = String::from_utf8_lossy(&patch.bytes);
    let summary =
        |line: &&str| line.starts_with(' ') && (line.contains(" file changed") || line.contains(" files changed"));
    let Some(line) = text.lines().find(summary) else {
        return Err(Error::Apply(anyhow!("patch {} has no diffstat", patch.path.display())));
    };
    let says = |word: &str| {
        let part = line.split(',').find(|part| part.contains(word))?;
        part.split_whitespace().next()?.parse::<usize>().ok()
    };
    let rows =
        [("file", patch.files.len()), ("insertion", count(LineKind::Added)), ("deletion", count(LineKind::Removed))];
    for (word, is) in rows {
        let said = says(word).unwrap_or(0);
        if said != is {
            let path = patch.path.display();
            return Err(Error::Apply(anyhow!("patch {path}: the diffstat says {said} {word}s, the hunks have {is}")));
        }
    }
    Ok(())
}
