// SPDX-License-Identifier: GPL-2.0-only
//! Is a series what it says it is?
//!
//! ```text
//! consistent   by itself: author, numbers, diffstat, hunk headers, each file's ids from patch to patch
//! blobs        on a tree: the blob before and after each patch is the one that its index line names
//! ```
//!
//! Owns: both checks; each stops at the first thing that differs. Must not: accept
//! an id that it has not computed, or compare the text of patches.

mod stat;

use std::collections::BTreeMap;

use anyhow::anyhow;
use git2::{Commit, Oid, Repository};

use super::{commit, fit_on, tree_of};
use crate::error::Error;
use crate::patch::{FilePatch, LineKind, Patch, PatchFit};

/// Git's way to say that there is no such file.
const NONE: char = '0';

/// Fewer digits of an id do not tell one blob from another.
const SHORTEST: usize = 7;

/// Checks a series by itself, without a tree: each patch has an author and a date,
/// `[PATCH n/m]` counts, diffstat and hunk headers agree with the hunks, and where two
/// patches change a file, the second starts from what the first one left. Returns the
/// number of ids that were compared.
///
/// # Errors
/// [`Error::Apply`] with the patch and what differs.
pub fn consistent(patches: &[Patch]) -> Result<usize, Error> {
    let mut left: BTreeMap<&str, &str> = BTreeMap::new();
    let mut compared = 0;
    for (place, patch) in patches.iter().enumerate() {
        written(patch)?;
        numbered(patch, place + 1, patches.len())?;
        stat::check(patch)?;
        for file in &patch.files {
            let (old, new) = ids(patch, file)?;
            placed(patch, file)?;
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
        // The blob is the right one, so that a hunk which fits elsewhere has a wrong header.
        match fitted.fit {
            PatchFit::Applies { offsets: 0, .. } => {}
            fit => return Err(Error::Apply(anyhow!("{fit}"))),
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
    let Some((old, new)) = &file.index else {
        let (patch, file) = (patch.path.display(), file.path());
        return Err(Error::Apply(anyhow!("patch {patch}: {file} has no index line, so that nothing can be verified")));
    };
    match [old, new].into_iter().find(|id| id.len() < SHORTEST) {
        Some(id) => {
            let (patch, file) = (patch.path.display(), file.path());
            Err(Error::Apply(anyhow!(
                "patch {patch}: {file}: the index line says {id}, too short an id: {SHORTEST} digits at least"
            )))
        }
        None => Ok((old, new)),
    }
}

/// Abbreviations of the same id, of any length.
fn same(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// A patch whose author or date is lost is a commit of nobody's.
fn written(patch: &Patch) -> Result<(), Error> {
    let path = patch.path.display();
    if patch.author.email.ends_with("@invalid") || !patch.author.email.contains('@') {
        return Err(Error::Apply(anyhow!("patch {path} does not say who wrote it: it has no `From: Name <address>`")));
    }
    if patch.author.when.is_none() {
        return Err(Error::Apply(anyhow!(
            "patch {path} does not say when it was written: no `Date:` that can be read"
        )));
    }
    let head = patch.bytes.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    let head: Vec<String> = head.map(|line| String::from_utf8_lossy(line).to_ascii_lowercase()).collect();
    let declared = head.iter().any(|line| line.starts_with("content-type:") && line.contains("charset="));
    if head.iter().any(|line| !line.is_ascii()) || (!patch.message.is_ascii() && !declared && !encoded_only(patch)) {
        return Err(Error::Apply(anyhow!(
            "patch {path} has letters beyond ASCII that a mail reader cannot tell: `git format-patch` writes encoded words \
             in headers, and a Content-Type with charset"
        )));
    }
    Ok(())
}

/// Is all that is beyond ASCII in the subject, which is encoded there?
fn encoded_only(patch: &Patch) -> bool {
    patch.message.lines().skip(1).all(str::is_ascii)
}

/// A hunk's new text begins where the hunks before it leave the old one.
fn placed(patch: &Patch, file: &FilePatch) -> Result<(), Error> {
    let mut drift = 0;
    for (hunk, number) in file.hunks.iter().zip(1..) {
        let count = |kind| hunk.lines.iter().filter(|line| line.kind == kind).count().cast_signed();
        let (context, removed, added) = (count(LineKind::Context), count(LineKind::Removed), count(LineKind::Added));
        // For an empty side the header names the line before it.
        let first = |start: usize, lines: isize| start.cast_signed() + isize::from(lines == 0);
        let is = first(hunk.new_start, context + added);
        let expected = first(hunk.old_start, context + removed) + drift;
        if is != expected {
            let (patch, file, header) = (patch.path.display(), file.path(), &hunk.header);
            return Err(Error::Apply(anyhow!(
                "patch {patch}: {file}: hunk {number} ({header}) says its new text begins at line {is}; by the hunks \
                 before it, it is line {expected}"
            )));
        }
        drift += added - removed;
    }
    Ok(())
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
