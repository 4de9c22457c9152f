// SPDX-License-Identifier: GPL-2.0-only
//! One patch file: its parts, and how each hunk meets a file.
//!
//! Owns: the format of `git format-patch` files (and plain unified diffs), what a
//! path in one may be, and the answer to "does it fit?". Pure: bytes in, values
//! out. Must not: read a file or a repository; `series` does that.

mod apply;
pub mod damage;
mod diff;
pub mod diffstat;
mod fit;
mod mail;
mod paths;

use std::path::{Path, PathBuf};

pub use apply::{Change, FileState, Fitted, PatchFit, Place, fit_patch};
pub use fit::{HunkFit, fit, fit_all};
pub(crate) use paths::is_inert;

/// A patch, parsed. Every path in it stays inside the tree.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The file that it was read from; names it in every message.
    pub path: PathBuf,
    /// The subject without its `[PATCH n/m]`.
    pub subject: String,
    /// What its `[PATCH n/m]` says: which of how many.
    pub number: Option<(usize, usize)>,
    /// Who wrote it.
    pub author: Author,
    /// The commit message: subject, empty line, body up to the `---` line.
    pub message: String,
    /// The file's bytes, unchanged.
    pub bytes: Vec<u8>,
    /// What it does to each file, in the order of the patch.
    pub files: Vec<FilePatch>,
}

/// The author of a patch, as its mail headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// `Ada Lovelace`.
    pub name: String,
    /// `ada@example.org`.
    pub email: String,
    /// Seconds since 1970 and the zone's offset in minutes; `None` without a `Date:`.
    pub when: Option<(i64, i32)>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePatch {
    /// The path before; `None` if the file is new.
    pub old: Option<String>,
    /// The path after; `None` if the file goes away.
    pub new: Option<String>,
    /// The old file stays although the paths differ (`copy from`).
    pub copy: bool,
    /// Git's mode after (octal 100644, 100755), if the patch states one.
    pub mode: Option<u32>,
    /// The blobs before and after, as the `index` line names them: abbreviated, zeros
    /// for none.
    pub index: Option<(String, String)>,
    /// The hunks, in the order of the file. None for a pure rename or mode change.
    pub hunks: Vec<Hunk>,
}

impl FilePatch {
    /// The path for messages: after, or before if the file goes away.
    #[must_use]
    pub fn path(&self) -> &str {
        self.new.as_deref().or(self.old.as_deref()).unwrap_or("")
    }

    /// The opposite change.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            old: self.new.clone(),
            new: self.old.clone(),
            copy: false,
            mode: None,
            index: self.index.clone().map(|(old, new)| (new, old)),
            hunks: self.hunks.iter().map(Hunk::reversed).collect(),
        }
    }
}

/// One hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// Its whole `@@ … @@ function` line.
    pub header: String,
    /// First line of the old text, from 1; the line before it if there is no old text.
    pub old_start: usize,
    /// First line of the new text, likewise.
    pub new_start: usize,
    /// Context, removed and added lines.
    pub lines: Vec<Line>,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What happens to it.
    pub kind: LineKind,
    /// Its bytes with the newline, or without one if the file ends there without.
    pub text: Vec<u8>,
}

/// What happens to a line of a hunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// It is there before and after.
    Context,
    /// It is there before only.
    Removed,
    /// It is there after only.
    Added,
}

impl Hunk {
    /// The lines that the file must have before.
    pub(crate) fn before(&self) -> Vec<&[u8]> {
        self.side(LineKind::Added)
    }

    /// The lines that the file has after.
    pub(crate) fn after(&self) -> Vec<&[u8]> {
        self.side(LineKind::Removed)
    }

    fn side(&self, absent: LineKind) -> Vec<&[u8]> {
        self.lines.iter().filter(|line| line.kind != absent).map(|line| line.text.as_slice()).collect()
    }

    fn reversed(&self) -> Self {
        let swap = |kind| match kind {
            LineKind::Context => LineKind::Context,
            LineKind::Removed => LineKind::Added,
            LineKind::Added => LineKind::Removed,
        };
        let lines = self.lines.iter().map(|line| Line { kind: swap(line.kind), text: line.text.clone() }).collect();
        Self { header: self.header.clone(), old_start: self.new_start, new_start: self.old_start, lines }
    }
}

/// Why a patch file is refused before it meets any tree.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A path that leaves the tree or reaches into git's own folder.
    #[error("patch {} names the path `{file}`, which {why}: refused; a path has to be a plain name inside the kernel tree", patch.display())]
    Path {
        /// The patch file.
        patch: PathBuf,
        /// The path as the patch has it.
        file: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not the format.
    #[error("patch {} line {line}: {what}", patch.display())]
    Malformed {
        /// The patch file.
        patch: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No file in it is changed at all.
    #[error("patch {} changes no file: is it a cover letter, or cut off?", patch.display())]
    Empty {
        /// The patch file.
        patch: PathBuf,
    },
}

/// Parses a patch file. `path` only names it in messages.
///
/// # Errors
/// A path that leaves the tree, a hunk whose lines do not agree with its header,
/// a binary change, or nothing that is a change.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Patch, PatchError> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let mail = mail::parse(path, &lines);
    let files = diff::Parser::new(path, &lines, mail.end).files()?;
    if files.is_empty() {
        return Err(PatchError::Empty { patch: path.to_owned() });
    }
    let mail::Mail { subject, number, author, message, .. } = mail;
    Ok(Patch { path: path.to_owned(), subject, number, author, message, bytes: bytes.to_owned(), files })
}
