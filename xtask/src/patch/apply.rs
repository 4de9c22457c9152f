// SPDX-License-Identifier: GPL-2.0-only
//! A whole patch against the files that it touches: the answer, and the result.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::fit::split;
use super::{FilePatch, Hunk, HunkFit, Patch, fit_all};
use crate::text::shown;

/// Git's mode of a symbolic link.
const LINK: u32 = 0o120_000;

/// Places of each kind that are told of.
const MOST_TOLD: usize = 32;

/// A patch may copy a file as often as it likes, but not for ever.
const MAX_SIZE: usize = 256 << 20;

/// A file of the tree: git's mode (octal 100644, 100755, 120000) and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Git's mode.
    pub mode: u32,
    /// The content; of a symbolic link, its target.
    pub bytes: Vec<u8>,
}

/// What applying a patch does to one path; `None` removes it.
pub type Change = (String, Option<FileState>);

/// Which hunk an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The patch file.
    pub patch: PathBuf,
    /// The file of the tree.
    pub file: String,
    /// The hunk's number from 1, how many there are, and its `@@` line; `None` for the file as a whole.
    pub hunk: Option<(usize, usize, String)>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "patch {}: {}", self.patch.display(), self.file)?;
        match &self.hunk {
            Some((number, of, header)) => write!(f, " hunk {number} of {of} ({})", shown(header)),
            None => Ok(()),
        }
    }
}

/// How a patch meets a tree. Its `Display` names patch, file and hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchFit {
    /// Every hunk fits with its whole context.
    Applies {
        /// The patch file.
        patch: PathBuf,
        /// Hunks that fit at another line than their header says.
        offsets: usize,
    },
    /// All of its results are there with their whole context.
    Reverses(Place),
    /// All of its results are there, but code around them has changed.
    AlreadyIn(Place),
    /// Some of its results are there, the rest would apply.
    PartlyIn(Place),
    /// A hunk fits only if lines of its context are left out of account.
    Fuzz {
        /// The first such hunk.
        place: Place,
        /// Lines left out at each end.
        by: usize,
        /// First line in the file.
        line: usize,
    },
    /// A hunk does not fit.
    Conflict {
        /// The first such hunk.
        place: Place,
        /// First line of the file that differs, from 1.
        line: usize,
        /// What the hunk wants there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file is not there, or is there already, or is no file.
    WrongFile {
        /// The file.
        place: Place,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl PatchFit {
    /// May it be applied?
    #[must_use]
    pub fn applies(&self) -> bool {
        matches!(self, Self::Applies { .. })
    }
}

impl std::fmt::Display for PatchFit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Applies { patch, offsets: 0 } => write!(f, "patch {} applies", patch.display()),
            Self::Applies { patch, offsets } => {
                write!(f, "patch {} applies, {offsets} of its hunks at another line than they say", patch.display())
            }
            Self::Reverses(place) => write!(f, "{place} is already in: the whole patch reverses cleanly"),
            Self::AlreadyIn(place) => {
                write!(
                    f,
                    "{place} is already in, as is the whole patch, but code around it has changed: it does not reverse"
                )
            }
            Self::PartlyIn(place) => write!(f, "{place} is already in, but other parts of the patch are not"),
            Self::Fuzz { place, by, line } => write!(
                f,
                "{place} applies only with fuzz {by}, at line {line}, which is refused: \
                 the code around it has changed, so look at it and refresh the patch"
            ),
            Self::Conflict { place, line, expected, found } => {
                write!(f, "{place} does not apply: at line {line} it expects {expected}, and the file has {found}")
            }
            Self::WrongFile { place, what } => write!(f, "{place} does not apply: {what}"),
        }
    }
}

/// The answer for a patch, and what it changes if it applies.
#[derive(Debug)]
pub struct Fitted {
    /// The answer.
    pub fit: PatchFit,
    /// The files after it; empty unless it applies.
    pub changes: Vec<Change>,
    /// Everything that keeps it from being applied, place by place; the answer is the
    /// first of them. Not all of very many.
    pub refused: Vec<PatchFit>,
}

/// Tries a patch on a tree that `read` gives file by file (`None`: not there).
///
/// # Errors
/// Only those of `read`.
pub fn fit_patch<E>(patch: &Patch, mut read: impl FnMut(&str) -> Result<Option<FileState>, E>) -> Result<Fitted, E> {
    let mut trial = Trial::new(patch);
    for file in &patch.files {
        for path in [&file.old, &file.new].into_iter().flatten() {
            if !trial.files.contains_key(path) {
                trial.files.insert(path.clone(), (read(path)?, false));
            }
        }
        trial.file(file);
    }
    Ok(trial.finish())
}

/// A patch on its way through its files. A file may come more than once, so each
/// is seen as the parts before left it.
struct Trial<'a> {
    patch: &'a Patch,
    /// The file as it is now, and whether the patch has changed it.
    files: BTreeMap<String, (Option<FileState>, bool)>,
    bad: Vec<PatchFit>,
    fuzzy: Vec<PatchFit>,
    /// Bytes that it makes.
    size: usize,
    reverses: Vec<Place>,
    already_in: Vec<Place>,
    applied: usize,
    offsets: usize,
}

impl<'a> Trial<'a> {
    fn new(patch: &'a Patch) -> Self {
        Self {
            patch,
            files: BTreeMap::new(),
            bad: Vec::new(),
            fuzzy: Vec::new(),
            size: 0,
            reverses: Vec::new(),
            already_in: Vec::new(),
            applied: 0,
            offsets: 0,
        }
    }

    fn state(&self, path: Option<&String>) -> Option<FileState> {
        path.and_then(|path| self.files.get(path)).and_then(|(state, _)| state.clone())
    }

    fn place(&self, file: &FilePatch, hunk: Option<usize>) -> Place {
        let hunk = hunk.map(|index| (index + 1, file.hunks.len(), file.hunks[index].header.clone()));
        Place { patch: self.patch.path.clone(), file: file.path().to_owned(), hunk }
    }

    fn wrong(&mut self, file: &FilePatch, what: &'static str) {
        let place = self.place(file, None);
        self.refuse(PatchFit::WrongFile { place, what });
    }

    fn refuse(&mut self, fit: PatchFit) {
        if self.bad.len() < MOST_TOLD {
            self.bad.push(fit);
        }
    }

    fn file(&mut self, file: &FilePatch) {
        let moved = file.old != file.new;
        let (old, new) = (self.state(file.old.as_ref()), self.state(file.new.as_ref()));
        if [&old, &new].into_iter().flatten().any(|state| state.mode == LINK) {
            return self.wrong(file, "it is a symbolic link, which no patch may change here");
        }
        match (&file.old, &file.new, old, new) {
            (None, Some(_), _, Some(there)) => self.new_file_is_there(file, &there),
            (Some(_), None, None, _) => self.reverses.push(self.place(file, None)),
            (Some(_), Some(_), None, Some(there)) if moved => self.moved_already(file, &there),
            (Some(_), _, None, _) => self.wrong(file, "the file is not in the tree"),
            (Some(_), Some(_), Some(_), Some(_)) if moved => {
                self.wrong(file, "the file of the new name is there already")
            }
            (_, _, old, _) => self.content(file, old),
        }
    }

    /// A patch that makes a file which exists: is it the very file?
    fn new_file_is_there(&mut self, file: &FilePatch, there: &FileState) {
        if apply(&file.hunks, b"").as_ref() == Some(&there.bytes) {
            self.reverses.push(self.place(file, None));
        } else {
            self.wrong(file, "the patch makes this file, but it is there already with another content");
        }
    }

    fn moved_already(&mut self, file: &FilePatch, there: &FileState) {
        if fit_all(&file.hunks, &there.bytes).iter().all(HunkFit::is_in) {
            self.reverses.push(self.place(file, None));
        } else {
            self.wrong(file, "the file is not in the tree under its old name");
        }
    }

    /// The hunks of a file whose old text is at hand (or that is new).
    fn content(&mut self, file: &FilePatch, old: Option<FileState>) {
        let bytes = old.as_ref().map_or(&b""[..], |old| &old.bytes);
        let fits = fit_all(&file.hunks, bytes);
        for (index, fit) in fits.iter().enumerate() {
            let place = self.place(file, Some(index));
            match fit.clone() {
                HunkFit::Exact { .. } => self.applied += 1,
                HunkFit::Offset { .. } => (self.applied, self.offsets) = (self.applied + 1, self.offsets + 1),
                HunkFit::Reverses { .. } => self.reverses.push(place),
                HunkFit::AlreadyIn { .. } => self.already_in.push(place),
                HunkFit::Fuzz { by, line } => {
                    if self.fuzzy.len() < MOST_TOLD {
                        self.fuzzy.push(PatchFit::Fuzz { place, by, line });
                    }
                }
                HunkFit::Conflict { line, expected, found } => {
                    self.refuse(PatchFit::Conflict { place, line, expected, found });
                }
            }
        }
        let mode = file.mode.or(old.as_ref().map(|old| old.mode)).unwrap_or(0o100_644);
        if file.hunks.is_empty() {
            let same = file.old == file.new && old.as_ref().is_some_and(|old| old.mode == mode);
            if same { self.reverses.push(self.place(file, None)) } else { self.applied += 1 }
        }
        if let Some(result) = rebuild(&file.hunks, &fits, bytes) {
            self.put(file, mode, result);
        }
    }

    fn put(&mut self, file: &FilePatch, mode: u32, result: Vec<u8>) {
        if file.new.is_none() && !result.is_empty() {
            return self.wrong(file, "the patch removes this file, but it has more in it than the patch knows");
        }
        self.size += result.len();
        if self.size > MAX_SIZE {
            return self.wrong(file, "the patch makes more than 256 MiB of files");
        }
        if let Some(old) = file.old.as_ref().filter(|old| file.new.as_ref() != Some(old) && !file.copy) {
            self.files.insert(old.clone(), (None, true));
        }
        if let Some(new) = &file.new {
            self.files.insert(new.clone(), (Some(FileState { mode, bytes: result }), true));
        }
    }

    fn finish(self) -> Fitted {
        let path = self.patch.path.clone();
        let is_in = self.already_in.first().or(self.reverses.first()).cloned();
        let refused: Vec<PatchFit> = self.bad.into_iter().chain(self.fuzzy).collect();
        let fit = match (refused.first().cloned(), is_in) {
            (Some(first), _) => first,
            (None, None) => PatchFit::Applies { patch: path, offsets: self.offsets },
            (None, Some(place)) if self.applied > 0 => PatchFit::PartlyIn(place),
            (None, Some(place)) if self.already_in.is_empty() => PatchFit::Reverses(place),
            (None, Some(place)) => PatchFit::AlreadyIn(place),
        };
        let changed = self.files.into_iter().filter(|(_, (_, changed))| *changed);
        let changes =
            if fit.applies() { changed.map(|(path, (state, _))| (path, state)).collect() } else { Vec::new() };
        Fitted { fit, changes, refused }
    }
}

/// The file after hunks that all fit, else `None`.
fn apply(hunks: &[Hunk], file: &[u8]) -> Option<Vec<u8>> {
    rebuild(hunks, &fit_all(hunks, file), file)
}

fn rebuild(hunks: &[Hunk], fits: &[HunkFit], file: &[u8]) -> Option<Vec<u8>> {
    let lines = split(file);
    let (mut out, mut done) = (Vec::with_capacity(file.len()), 0);
    for (hunk, fit) in hunks.iter().zip(fits) {
        let (HunkFit::Exact { line } | HunkFit::Offset { line, .. }) = fit else { return None };
        let at = line - 1;
        out.extend(lines.get(done..at)?.concat());
        out.extend(hunk.after().concat());
        done = at + hunk.before().len();
    }
    out.extend(lines.get(done..)?.concat());
    Some(out)
}
