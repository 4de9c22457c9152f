// SPDX-License-Identifier: GPL-2.0-only
//! The cover letter of a series: what it is for, what it changes, what was measured.
//!
//! Owns: its words and layout. Every number in it comes from the committed
//! reference. Must not: invent anybody's name; it is from whom the last patch is from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::readme;
use crate::patch::{LineKind, Patch};
use crate::store::Reference;
use crate::target::Target;

/// The message, headers included, as a `git format-patch` file.
#[must_use]
pub fn cover(target: &Target, patches: &[Patch], reference: Option<&Reference>) -> Vec<u8> {
    let count = patches.len();
    let last = patches.last();
    let header = |name: &str| last.and_then(|patch| raw_header(&patch.bytes, name)).unwrap_or_default();
    let mut text = format!(
        "From {} Mon Sep 17 00:00:00 2001\n{}{}Subject: [PATCH 0/{count}] mm, KVM: release the lock while a guest fault \
         waits for IO\n\n",
        "0".repeat(40),
        header("From"),
        header("Date"),
    );
    text += "A KVM guest touches a page that is not in memory, and the fault has to wait for\n\
             swap or file IO. If the mmap lock is held over that wait, then everybody else who\n\
             needs it waits for the disk: mmap() and munmap() of any thread of the VMM, and\n\
             behind such a writer all readers. These patches release it.\n\n";
    text += &measured(target, reference);
    text += &shortlog(patches);
    text += &diffstat(patches);
    text += "-- \nkvm-gup-io\n\n";
    text.into_bytes()
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

fn diffstat(patches: &[Patch]) -> String {
    let mut files: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for file in patches.iter().flat_map(|patch| &patch.files) {
        let counts = files.entry(file.path()).or_default();
        for line in file.hunks.iter().flat_map(|hunk| &hunk.lines) {
            match line.kind {
                LineKind::Added => counts[0] += 1,
                LineKind::Removed => counts[1] += 1,
                LineKind::Context => {}
            }
        }
    }
    let width = files.keys().map(|path| path.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (path, [added, removed]) in &files {
        writeln!(text, " {path:width$} | {:3} (+{added} -{removed})", added + removed).unwrap_or_default();
    }
    let sum = |index: usize| files.values().map(|counts| counts[index]).sum::<usize>();
    writeln!(text, " {} files changed, {} insertions(+), {} deletions(-)\n", files.len(), sum(0), sum(1))
        .unwrap_or_default();
    text
}

/// A header with its continuation lines, as it stands in the file.
fn raw_header(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().skip(1).take_while(|line| !line.is_empty());
    let first = lines.by_ref().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
    let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(std::iter::once(first).chain(folded).fold(String::new(), |header, line| header + line + "\n"))
}
