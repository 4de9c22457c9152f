// SPDX-License-Identifier: GPL-2.0-only
//! A patch file made anew for another tree: its words stay, its diff is new.
//!
//! Owns: the layout of a `git format-patch` file behind the `---` line, and the
//! numbers in its subject. Must not: decide what the diff is of.

use anyhow::{Context, anyhow};
use git2::{DiffFormat, DiffOptions, DiffStatsFormat, Repository, Tree};

use crate::file;
use crate::patch::diffstat::{self, Changed};
use crate::patch::{self, Patch};

/// How a repository shows differences: a hunk of C with the function that it is in, as
/// the kernel's own .gitattributes ask for.
const ATTRIBUTES: &[u8] = b"*.c diff=cpp\n*.h diff=cpp\n";

/// Prepares our bare repository for [`with_diff`].
///
/// # Errors
/// Its attributes cannot be written.
pub(super) fn prepare(repo: &Repository) -> anyhow::Result<()> {
    let info = repo.path().join("info");
    let attributes = info.join("attributes");
    if std::fs::read(&attributes).ok().as_deref() == Some(ATTRIBUTES) {
        return Ok(());
    }
    file::make_dir(&info)?;
    file::write(&attributes, ATTRIBUTES)
}

/// `patch` with the diff from `before` to `after`.
///
/// # Errors
/// The trees cannot be compared, or the patch has no `---` line.
pub(super) fn with_diff(
    patch: &Patch,
    repo: &Repository,
    before: &Tree<'_>,
    after: &Tree<'_>,
) -> anyhow::Result<Vec<u8>> {
    let lost = || anyhow!("patch {} has no `---` line before its diffstat", patch.path.display());
    let rule = find(&patch.bytes, b"\n---\n").ok_or_else(lost)? + 5;
    let head = rule + notes(&patch.bytes[rule..]);
    let tail = find(&patch.bytes, b"\n-- \n").map_or(&b""[..], |at| &patch.bytes[at + 1..]);
    let abbreviated = patch.files.iter().find_map(|file| file.index.as_ref()).map_or(12, |(old, _)| old.len());
    let mut options = DiffOptions::new();
    options.id_abbrev(u16::try_from(abbreviated).unwrap_or(12)).indent_heuristic(true);
    let compare = || format!("cannot compare the trees of {}", patch.path.display());
    let diff = repo.diff_tree_to_tree(Some(before), Some(after), Some(&mut options)).with_context(compare)?;
    // Files that come and go; libgit2 scales the bars otherwise than git.
    let summary =
        diff.stats().and_then(|stats| stats.to_buf(DiffStatsFormat::INCLUDE_SUMMARY, 0)).with_context(compare)?;
    let mut text = Vec::new();
    let print = diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), ' ' | '+' | '-') {
            text.push(u8::try_from(line.origin()).unwrap_or(b' '));
        }
        text.extend_from_slice(line.content());
        true
    });
    print.with_context(compare)?;
    let made = patch::parse(&patch.path, &[&patch.bytes[..head], &text].concat())?;
    let files: Vec<Changed> = made.files.iter().map(Changed::of).collect();
    let stat = diffstat::render(&files);
    Ok([&patch.bytes[..head], stat.as_bytes(), &summary, b"\n", &text, tail].concat())
}

/// Bytes of what an author has to say behind the `---` line, before the diffstat.
fn notes(text: &[u8]) -> usize {
    let mut at = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let is_stat = line.starts_with(b" ") && find(line, b" | ").is_some();
        if is_stat || line.starts_with(b"diff --git ") {
            return at;
        }
        at += line.len();
    }
    0
}

/// The file with `[PATCH number/of]` in its subject, if it is counted at all.
pub(super) fn renumbered(bytes: &[u8], number: usize, of: usize) -> Vec<u8> {
    let Some(at) = find(bytes, b"\nSubject: [").map(|at| at + 1) else { return bytes.to_vec() };
    let end = bytes[at..].iter().position(|&byte| byte == b']').map_or(at, |length| at + length);
    let tags = String::from_utf8_lossy(&bytes[at..end]);
    let is_count = |word: &&str| {
        word.split_once('/').is_some_and(|(n, m)| n.parse::<usize>().is_ok() && m.parse::<usize>().is_ok())
    };
    let Some(old) = tags.split_whitespace().find(is_count) else { return bytes.to_vec() };
    let tags = tags.replacen(old, &format!("{number}/{of}"), 1);
    [&bytes[..at], tags.as_bytes(), &bytes[end..]].concat()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
