// SPDX-License-Identifier: GPL-2.0-only
//! The cover letter of a series: what it is for, what it changes, what was measured.
//!
//! Owns: its words and layout. What each patch closes comes from the table in the
//! target's notes, every number from the committed reference. Must not: invent
//! anybody's name; it is from whom the last patch is from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::readme;
use crate::patch::Patch;
use crate::patch::diffstat::{self, Changed};
use crate::store::Reference;
use crate::target::{SourceKind, Target};

/// Columns of the text, as changelogs of the kernel have them.
const WIDTH: usize = 72;

/// The heading in the notes behind which the table is.
const CLOSED: &str = "## What is closed";

/// What the series is for.
const PURPOSE: &str = "\
A KVM guest touches a page that is not in memory, and the fault has to wait for swap or file IO. If the mmap lock is held \
over that wait, then everybody else who needs it waits for the disk: mmap() and munmap() of any thread of the VMM, and \
behind such a writer all readers. These patches release it.";

/// The message, headers included, as a `git format-patch` file. `notes` is the text
/// of the target's NOTES.md.
#[must_use]
pub fn cover(target: &Target, patches: &[Patch], notes: &str, reference: Option<&Reference>) -> Vec<u8> {
    let count = patches.len();
    let last = patches.last();
    let header = |name: &str| last.and_then(|patch| raw_header(&patch.bytes, name)).unwrap_or_default();
    let mut text = format!(
        "From {} Mon Sep 17 00:00:00 2001\n{}{}Subject: [PATCH 0/{count}] mm, KVM: release the lock while a guest fault \
         waits for IO\n",
        "0".repeat(40),
        header("From"),
        header("Date"),
    );
    let mut body = wrapped("", PURPOSE) + "\n" + &closed(notes);
    body += &measured(target, reference);
    body += &rfc(target, patches);
    body += &base(target, reference);
    body += &shortlog(patches);
    body += &diffstat(patches);
    if !body.is_ascii() {
        text += "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n";
    }
    text += &format!("\n{body}-- \nkvm-gup-io\n\n");
    text.into_bytes()
}

/// The rows of the notes' table, one paragraph a patch: which wait, and where.
fn closed(notes: &str) -> String {
    let behind = notes.lines().skip_while(|line| *line != CLOSED).skip(1).skip_while(|line| !line.starts_with('|'));
    let rows = behind.take_while(|line| line.starts_with('|')).skip(2);
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect();
        if let [patch, wait, place] = cells.as_slice() {
            let (number, what) = patch.split_once(' ').unwrap_or(("", patch));
            text += &wrapped(&format!("{number:>2}. "), &format!("{what}: {wait} (in {place})"));
        }
    }
    if text.is_empty() { text } else { format!("The waits, patch by patch:\n\n{text}\n") }
}

/// Which of them are only to be discussed, and why.
fn rfc(target: &Target, patches: &[Patch]) -> String {
    let mut text = String::new();
    for (number, patch) in (1..).zip(patches) {
        let name = patch.path.file_name().unwrap_or_default();
        if let Some(row) = target.rfc.iter().find(|row| name == row.patch.as_str()) {
            text += &wrapped("", &format!("Patch {number} is an RFC: {}.", row.reason));
        }
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// Which tree they are for. It is no commit that others have, so its id would say
/// nothing; the blobs in the patches' index lines are those of everybody.
fn base(target: &Target, reference: Option<&Reference>) -> String {
    let version = reference.map_or(&target.source.series, |reference| &reference.version);
    let from = match target.source.kind {
        SourceKind::User => String::new(),
        SourceKind::Binary | SourceKind::Source => format!(", as in Debian's package {}", target.source.package),
    };
    let text = format!("Base: Linux {version}{from}; the blobs are named in the patches' index lines.");
    wrapped("", &text) + "\n"
}

/// Lines of at most [`WIDTH`] columns; the first begins with `label`, the others with
/// as many blanks.
fn wrapped(label: &str, text: &str) -> String {
    let indent = " ".repeat(label.chars().count());
    let (mut out, mut line, mut words) = (String::new(), label.to_owned(), 0);
    for word in text.split_whitespace() {
        if words > 0 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out += &format!("{line}\n");
            (line, words) = (indent.clone(), 0);
        }
        if words > 0 {
            line.push(' ');
        }
        line.push_str(word);
        words += 1;
    }
    format!("{out}{line}\n")
}

fn measured(target: &Target, reference: Option<&Reference>) -> String {
    let series = &target.source.series;
    let Some(reference) = reference else {
        return format!("The patches are for Linux {series}. There is no committed measurement of them.\n\n");
    };
    let (version, trials, hold) = (&reference.version, reference.trials, reference.hold_ms);
    let mut text = format!(
        "Measured on {version}: the IO is withheld for up to {hold} ms, {trials} trials a cell. \"held\"\n\
         means that a probe could not get the lock meanwhile.\n\n"
    );
    let rows = readme::plain(reference);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [cells, probes, baseline, patched] in &rows {
        let [first, second, third] = widths;
        text += format!("  {cells:first$}  {probes:second$}  {baseline:third$}  ->  {patched}").trim_end();
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Authors and subjects, as `git shortlog` lists them.
fn shortlog(patches: &[Patch]) -> String {
    let mut authors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for patch in patches {
        authors.entry(&patch.author.name).or_default().push(&patch.subject);
    }
    let mut text = String::new();
    for (author, subjects) in authors {
        // Writing to a string cannot fail.
        writeln!(text, "{author} ({}):", subjects.len()).unwrap_or_default();
        for subject in subjects {
            writeln!(text, "  {subject}").unwrap_or_default();
        }
        text.push('\n');
    }
    text
}

/// Of all patches together, which is not that of their sum where one takes back what
/// another brought.
fn diffstat(patches: &[Patch]) -> String {
    let mut files: BTreeMap<&str, Changed> = BTreeMap::new();
    for file in patches.iter().flat_map(|patch| &patch.files) {
        let one = Changed::of(file);
        let sum = files.entry(file.path()).or_insert_with(|| Changed { added: 0, removed: 0, ..one.clone() });
        (sum.added, sum.removed) = (sum.added + one.added, sum.removed + one.removed);
    }
    diffstat::render(&files.into_values().collect::<Vec<_>>()) + "\n"
}

/// A header with its continuation lines, as it stands in the file.
fn raw_header(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().skip(1).take_while(|line| !line.is_empty());
    let first = lines.by_ref().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
    let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(std::iter::once(first).chain(folded).fold(String::new(), |header, line| header + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_table_becomes_paragraphs() {
        let notes = "# x\n\n| not | this | one |\n\n## What is closed\n\n| patch | the wait | where it was |\n|---|---|---|\n\
                     | 1 KVM, gup | none: a fault that cannot be resolved made the vCPU and a kworker loop | `hva_to_pfn()` |\n\
                     | 11 shmem | a swap-in | `f()` |\n\nMore.\n";
        let text = closed(notes);
        assert_eq!(
            text,
            "The waits, patch by patch:\n\n 1. KVM, gup: none: a fault that cannot be resolved made the vCPU and a\n    \
             kworker loop (in hva_to_pfn())\n11. shmem: a swap-in (in f())\n\n"
        );
        assert_eq!(closed("no table"), "");
    }

    #[test]
    fn lines_are_wrapped() {
        let text = wrapped("", PURPOSE);
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), PURPOSE.split_whitespace().collect::<Vec<_>>());
        assert_eq!(wrapped(" 1. ", "a"), " 1. a\n");
    }
}
