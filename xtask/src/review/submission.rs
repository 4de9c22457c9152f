// SPDX-License-Identifier: GPL-2.0-only
//! What somebody sent: the patches of the newest complete revision, each parsed or
//! refused by itself.
//!
//! Owns: the way from bytes to patches, and what is said of bytes that are none. Must
//! not: read a file, or stop at the first patch that is refused.

use std::path::Path;

use anyhow::anyhow;

use crate::error::Error;
use crate::patch::{self, Patch, damage};
use crate::series::mbox::{self, Chosen, File, Trailer};
use crate::text::plain;

/// Series of more patches are for their authors to cut.
pub const MAX_PATCHES: usize = 500;

/// One patch.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its file name in a folder of patches.
    pub name: String,
    /// Its file.
    pub bytes: Vec<u8>,
    /// For people.
    pub subject: String,
    /// The patch, or what is wrong with it, one line each.
    pub parsed: Result<Patch, Vec<String>>,
}

/// A series as it was sent.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The subject of the cover letter, or of the only patch.
    pub title: String,
    /// Which revision.
    pub revision: u32,
    /// What was passed over.
    pub passed_over: Vec<String>,
    /// What people said in replies to this revision, and that no patch has already.
    pub trailers: Vec<Trailer>,
    /// In order.
    pub entries: Vec<Entry>,
}

/// Reads a mailbox or a single mail.
///
/// # Errors
/// [`Error::Apply`] with what is wrong with each hunk if it is the remains of a patch,
/// else [`Error::Usage`].
pub fn of_mail(bytes: &[u8]) -> Result<Submission, Error> {
    mbox::read(bytes).and_then(of_chosen).map_err(|error| refused(&error, bytes))
}

/// Reads the files of a folder.
///
/// # Errors
/// As [`of_mail`].
pub fn of_files(files: &[Vec<u8>]) -> Result<Submission, Error> {
    mbox::read_files(files).and_then(of_chosen).map_err(|error| refused(&error, &files.concat()))
}

fn refused(error: &anyhow::Error, bytes: &[u8]) -> Error {
    let found = damage::examine(&bytes[..bytes.len().min(mbox::MAX_BYTES)]);
    if found.is_empty() {
        return Error::Usage(anyhow!("{error:#}"));
    }
    let hunks = found.iter().filter_map(|damage| damage.hunk.as_ref()).map(|(number, _)| *number).max().unwrap_or(0);
    let told: String = damage::told(&found).iter().map(|line| format!("\n  {line}")).collect();
    Error::Apply(anyhow!("{error:#}; there are {hunks} hunks in it, of which none can be applied as it is:{told}"))
}

fn of_chosen(chosen: Chosen) -> anyhow::Result<Submission> {
    let Chosen { files, mut passed_over, revision, title, trailers } = chosen;
    if files.len() > MAX_PATCHES {
        return Err(anyhow!("{} patches are too many for a review; the limit is {MAX_PATCHES}", files.len()));
    }
    let entries: Vec<Entry> = files.into_iter().map(entry).collect();
    let (kept, older): (Vec<_>, Vec<_>) = trailers.into_iter().partition(|trailer| trailer.revision == revision);
    passed_over.extend(older.iter().map(|trailer| format!("given to revision {}: {}", trailer.revision, trailer.line)));
    let is_new = |trailer: &Trailer| {
        let mut about = entries.iter().enumerate().filter(|(at, _)| trailer.patch == 0 || trailer.patch == at + 1);
        about.any(|(_, entry)| entry.parsed.as_ref().is_ok_and(|patch| !patch.message.contains(&trailer.line)))
    };
    let trailers = kept.into_iter().filter(is_new).collect();
    Ok(Submission { title: plain(&title), revision, passed_over, trailers, entries })
}

fn entry(file: File) -> Entry {
    let File { name, bytes } = file;
    let parsed = patch::parse(Path::new(&name), &bytes).map_err(|error| {
        let found = damage::examine(&bytes);
        // One entry: the lines belong together.
        let lines: Vec<String> = std::iter::once(error.to_string()).chain(damage::told(&found)).collect();
        vec![lines.join("\n")]
    });
    let subject = match &parsed {
        Ok(patch) => patch.subject.clone(),
        Err(_) => name.trim_end_matches(".patch").to_owned(),
    };
    Entry { name, bytes, subject, parsed }
}
