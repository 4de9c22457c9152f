// SPDX-License-Identifier: GPL-2.0-only
//! Moves a series to another base.
//!
//! ```text
//! each patch: fits as it is ── yes ──▶ applied; where its lines have moved, only if the merge puts them there, too
//!                └─ no ─▶ already in? ─▶ said
//!                └─ no ─▶ old blob (by its index line) ─ patch ─▶ what it made of it
//!                         merged, three ways, with the file of the new base
//! ```
//!
//! Owns: that decision for each patch, and the new patch files. Must not: write one;
//! the caller does, all or none.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use git2::{MergeFileInput, MergeFileOptions, Oid, Repository};

use super::{commit, fit_on, read, rewrite, tree_of};
use crate::error::Error;
use crate::patch::{Change, FileState, Patch, PatchFit, fit_patch};

/// What became of one patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It is byte for byte as before.
    Same,
    /// Only line numbers, ids or the count in its subject changed.
    Shifted,
    /// It had to be merged; look at it.
    Merged,
    /// The new base has it; its words.
    AlreadyIn(String),
    /// It cannot be merged: what does not fit, and where.
    Conflict(Vec<String>),
}

/// One patch on the new base.
#[derive(Debug, Clone)]
pub struct Step {
    /// The patch's subject.
    pub subject: String,
    /// What became of it.
    pub moved: Moved,
    /// The new file, if there is one.
    pub bytes: Option<Vec<u8>>,
}

/// Tries every patch on what the ones before it made of `base`. One that conflicts is
/// left out, and so is one that is already in.
///
/// # Errors
/// The repository cannot be read or written.
pub fn refresh(repo: &Repository, base: Oid, patches: &[Patch]) -> Result<Vec<Step>, Error> {
    rewrite::prepare(repo)?;
    let known = Known::of(repo, patches)?;
    let mut side = base;
    let mut steps = Vec::new();
    for patch in patches {
        let parent = repo.find_commit(side).with_context(|| format!("cannot read the commit {side}"))?;
        let before = tree_of(&parent)?;
        let fitted = fit_on(repo, &before, patch)?;
        let (moved, changes) = match fitted.fit {
            PatchFit::Applies { offsets: 0, .. } => (Moved::Shifted, fitted.changes),
            fit @ PatchFit::Applies { .. } => {
                match known.elsewhere(patch, &fitted.changes, |path| read(repo, &before, path))? {
                    None => (Moved::Shifted, fitted.changes),
                    Some(path) => {
                        let told = format!(
                            "{path}: its lines are there more than once, and by the file that it was made for they belong \
                             elsewhere: {fit}"
                        );
                        (Moved::Conflict(vec![told]), Vec::new())
                    }
                }
            }
            fit @ (PatchFit::Reverses(_) | PatchFit::AlreadyIn(_)) => (Moved::AlreadyIn(fit.to_string()), Vec::new()),
            fit => match known.merge(patch, &fit, |path| read(repo, &before, path))? {
                Ok(changes) => (Moved::Merged, changes),
                Err(conflicts) => (Moved::Conflict(conflicts), Vec::new()),
            },
        };
        let mut step = Step { subject: patch.subject.clone(), moved, bytes: None };
        if !changes.is_empty() {
            side = commit(repo, &parent, patch, &changes)?;
            let made = repo.find_commit(side).context("cannot read a commit")?;
            let bytes = rewrite::with_diff(patch, repo, &before, &tree_of(&made)?)?;
            step.bytes = Some(bytes);
        }
        steps.push(step);
    }
    let of = steps.iter().filter(|step| step.bytes.is_some()).count();
    let mut number = 0;
    for (step, patch) in steps.iter_mut().zip(patches) {
        let Some(bytes) = &mut step.bytes else { continue };
        number += 1;
        *bytes = rewrite::renumbered(bytes, number, of);
        if step.moved == Moved::Shifted && same_change(bytes, patch)? {
            *bytes = rewrite::renumbered(&patch.bytes, number, of);
            if *bytes == patch.bytes {
                step.moved = Moved::Same;
            }
        }
    }
    Ok(steps)
}

/// Do the new file and the old patch start from and make the same blobs? Then the
/// old one, with whatever another git had to say around it, stays.
fn same_change(bytes: &[u8], patch: &Patch) -> Result<bool, Error> {
    let new = crate::patch::parse(&patch.path, bytes).map_err(|error| Error::Apply(anyhow!(error)))?;
    let ids = |patch: &Patch| patch.files.iter().map(|file| file.index.clone()).collect::<Vec<_>>();
    Ok(ids(&new) == ids(patch))
}

/// The files that the patches were made for, by the ids in their index lines.
struct Known {
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Known {
    /// From the repository, where an earlier base left them, and from what the patches
    /// themselves make of those.
    fn of(repo: &Repository, patches: &[Patch]) -> anyhow::Result<Self> {
        let mut known = Self { blobs: BTreeMap::new() };
        let odb = repo.odb().context("cannot open the object database")?;
        for patch in patches {
            for (old, _) in patch.files.iter().filter_map(|file| file.index.as_ref()) {
                let prefix = Oid::from_str(old).context("an index line has no id")?;
                if let Ok(id) = odb.exists_prefix(prefix, old.len())
                    && let Ok(blob) = repo.find_blob(id)
                {
                    known.blobs.entry(old.clone()).or_insert_with(|| blob.content().to_vec());
                }
            }
            known.learn(patch)?;
        }
        Ok(known)
    }

    /// Keeps what the patch makes of files that are known.
    fn learn(&mut self, patch: &Patch) -> anyhow::Result<()> {
        let Some(changes) = self.made(patch)? else { return Ok(()) };
        for file in &patch.files {
            let Some((_, new)) = &file.index else { continue };
            let after = changes.iter().find(|(path, _)| file.new.as_deref() == Some(path));
            if let Some((_, Some(state))) = after {
                self.blobs.insert(new.clone(), state.bytes.clone());
            }
        }
        Ok(())
    }

    /// What the patch makes of the files that it was made for; `None` if one of those
    /// is not known.
    fn made(&self, patch: &Patch) -> anyhow::Result<Option<Vec<Change>>> {
        let fitted = fit_patch(patch, |path| -> anyhow::Result<_> { Ok(self.before(patch, path)) })?;
        Ok(fitted.fit.applies().then_some(fitted.changes))
    }

    fn before(&self, patch: &Patch, path: &str) -> Option<FileState> {
        let file = patch.files.iter().find(|file| file.old.as_deref() == Some(path))?;
        let bytes = self.blobs.get(&file.index.as_ref()?.0)?.clone();
        Some(FileState { mode: 0o100_644, bytes })
    }

    /// A hunk that is looked for may be found in a copy of the code that it belongs to.
    /// Names a file of `changes` that a merge makes another content of, if there is one.
    fn elsewhere(
        &self,
        patch: &Patch,
        changes: &[Change],
        now: impl Fn(&str) -> anyhow::Result<Option<FileState>>,
    ) -> anyhow::Result<Option<String>> {
        // Without the files that it was made for there is nothing to compare with.
        for (path, after) in self.made(patch)?.unwrap_or_default() {
            let (Some(theirs), Some(old), Some(ours)) = (after, self.before(patch, &path), now(&path)?) else {
                continue;
            };
            let found = changes.iter().find(|(changed, _)| *changed == path).and_then(|(_, state)| state.as_ref());
            let merged = merged(&old.bytes, &ours.bytes, &theirs.bytes)?.ok();
            if found.map(|state| &state.bytes) != merged.as_ref() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The patch's change merged with the files as `now` has them; the inner error is
    /// what conflicts.
    fn merge(
        &self,
        patch: &Patch,
        fit: &PatchFit,
        now: impl Fn(&str) -> anyhow::Result<Option<FileState>>,
    ) -> anyhow::Result<Result<Vec<Change>, Vec<String>>> {
        let Some(made) = self.made(patch)? else {
            let hint = "the file that it was made for is not in our repository, so that nothing can be merged";
            return Ok(Err(vec![fit.to_string(), hint.to_owned()]));
        };
        let (mut changes, mut conflicts) = (Vec::new(), Vec::new());
        for (path, after) in made {
            let (Some(theirs), Some(old), Some(ours)) = (after, self.before(patch, &path), now(&path)?) else {
                conflicts.push(format!("{path} is added, removed or renamed, which is not merged: {fit}"));
                continue;
            };
            match merged(&old.bytes, &ours.bytes, &theirs.bytes)? {
                Ok(bytes) => changes.push((path, Some(FileState { mode: ours.mode, bytes }))),
                Err(places) => conflicts.extend(places.into_iter().map(|place| format!("{path}:{place}"))),
            }
        }
        Ok(if conflicts.is_empty() { Ok(changes) } else { Err(conflicts) })
    }
}

/// The merged file, or the places that conflict.
fn merged(old: &[u8], ours: &[u8], theirs: &[u8]) -> anyhow::Result<Result<Vec<u8>, Vec<String>>> {
    let input = |bytes| {
        let mut input = MergeFileInput::new();
        input.content(bytes);
        input
    };
    let mut options = MergeFileOptions::new();
    options.our_label("new base").their_label("patch");
    let result = git2::merge_file(&input(old), &input(ours), &input(theirs), Some(&mut options))
        .context("cannot merge a file")?;
    if result.is_automergeable() {
        return Ok(Ok(result.content().to_vec()));
    }
    Ok(Err(conflicts(&String::from_utf8_lossy(result.content()))))
}

/// Of each conflict the line in the new base's file, what is there, and what the patch
/// wants there.
fn conflicts(text: &str) -> Vec<String> {
    let mut places = Vec::new();
    // The line in our file: those of the other side and the markers do not count.
    let (mut line, mut at, mut theirs) = (0, 0, false);
    let (mut there, mut wanted) = (Vec::new(), Vec::new());
    for text in text.lines() {
        if text.starts_with("<<<<<<< ") {
            at = line + 1;
        } else if text == "=======" && at > 0 {
            theirs = true;
        } else if text.starts_with(">>>>>>> ") && theirs {
            places.push(format!("{at}: {}\n{}", shown("there is", &there), shown("the patch wants", &wanted)));
            (theirs, at, there, wanted) = (false, 0, Vec::new(), Vec::new());
        } else if theirs {
            wanted.push(text);
        } else {
            line += 1;
            if at > 0 {
                there.push(text);
            }
        }
    }
    places
}

fn shown(words: &str, lines: &[&str]) -> String {
    if lines.is_empty() {
        return format!("{words} nothing");
    }
    lines.iter().fold(words.to_owned(), |text, line| format!("{text}\n    {line}"))
}
