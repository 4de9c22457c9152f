// SPDX-License-Identifier: GPL-2.0-only
//! Where a hunk fits in a file.
//!
//! Lines are compared as bytes. The rules for the file's ends are git's: a hunk
//! that starts at line 1 fits at the beginning only, one without trailing context
//! at the end only, because there the context proves nothing else.

use super::{Hunk, LineKind};
use crate::text::shown;

/// Conflicts in one file for which the place is searched where most text agrees. It
/// takes the file's length times the hunk's.
const MOST_COMPARED: usize = 16;
/// Lines of a hunk that are compared for that.
const MOST_LINES: usize = 64;

/// How a hunk meets a file. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HunkFit {
    /// At the line that its header says.
    Exact {
        /// First line of the old text.
        line: usize,
    },
    /// With its whole context, elsewhere.
    Offset {
        /// First line of the old text.
        line: usize,
        /// Lines further down (or up) than the header says.
        by: isize,
    },
    /// Only if the outermost lines of context are left out of account.
    Fuzz {
        /// First line of what is left of the old text.
        line: usize,
        /// Lines of context left out at each end, 1 or 2.
        by: usize,
    },
    /// Its result is there with its whole context: it could be taken out again.
    Reverses {
        /// First line of the new text.
        line: usize,
    },
    /// Its result is there, but the code around it has changed.
    AlreadyIn {
        /// First line of what is left of the new text.
        line: usize,
    },
    /// Not at all. Compared at the place where the most text agrees.
    Conflict {
        /// The first line of the file that differs.
        line: usize,
        /// What the hunk wants there.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl HunkFit {
    /// May it be applied as it is?
    #[must_use]
    pub fn applies(&self) -> bool {
        matches!(self, Self::Exact { .. } | Self::Offset { .. })
    }

    /// Is its result there already?
    #[must_use]
    pub fn is_in(&self) -> bool {
        matches!(self, Self::Reverses { .. } | Self::AlreadyIn { .. })
    }
}

/// How one hunk, taken alone, meets a file.
#[must_use]
pub fn fit(hunk: &Hunk, file: &[u8]) -> HunkFit {
    fit_one(hunk, &split(file), 0, 0, true)
}

/// How the hunks of one file meet it: each behind the one before it, first looked
/// for where that one's offset leads.
#[must_use]
pub fn fit_all(hunks: &[Hunk], file: &[u8]) -> Vec<HunkFit> {
    let lines = split(file);
    let (mut from, mut drift, mut conflicts) = (0, 0, 0);
    let mut fits = Vec::with_capacity(hunks.len());
    for hunk in hunks {
        let fit = fit_one(hunk, &lines, from, drift, conflicts < MOST_COMPARED);
        conflicts += usize::from(matches!(fit, HunkFit::Conflict { .. }));
        match fit {
            HunkFit::Exact { line } => (from, drift) = (line - 1 + hunk.before().len(), 0),
            HunkFit::Offset { line, by } => (from, drift) = (line - 1 + hunk.before().len(), by),
            HunkFit::Reverses { line } => from = line - 1 + hunk.after().len(),
            HunkFit::Fuzz { .. } | HunkFit::AlreadyIn { .. } | HunkFit::Conflict { .. } => {}
        }
        fits.push(fit);
    }
    fits
}

/// The lines of a file, each with its newline.
pub(super) fn split(file: &[u8]) -> Vec<&[u8]> {
    file.split_inclusive(|&byte| byte == b'\n').collect()
}

fn fit_one(hunk: &Hunk, file: &[&[u8]], from: usize, drift: isize, search: bool) -> HunkFit {
    let before = Text::before(hunk);
    let after = Text::after(hunk);
    for fuzz in 0..=2 {
        let (Some(old), Some(new)) = (before.trimmed(fuzz, hunk), after.trimmed(fuzz, hunk)) else { break };
        let old_at = old.find(file, from, drift);
        let new_at = new.find(file, from, drift);
        let distance = |text: &Text<'_>, at: usize| text.offset(at, drift).unsigned_abs();
        // A hunk of a repetitive file may fit elsewhere although it is in already: the nearer one counts.
        let is_in = match (old_at, new_at) {
            (None, None) => continue,
            (old_at, Some(new_at)) => old_at.is_none_or(|old_at| distance(&new, new_at) < distance(&old, old_at)),
            (Some(_), None) => false,
        };
        return match (is_in, fuzz, old_at.unwrap_or_default(), new_at.unwrap_or_default()) {
            (true, 0, _, at) => HunkFit::Reverses { line: at + 1 },
            (true, _, _, at) => HunkFit::AlreadyIn { line: at + 1 },
            (false, 0, at, _) if old.offset(at, 0) == 0 => HunkFit::Exact { line: at + 1 },
            (false, 0, at, _) => HunkFit::Offset { line: at + 1, by: old.offset(at, 0) },
            (false, by, at, _) => HunkFit::Fuzz { line: at + 1, by },
        };
    }
    before.conflict(file, from, drift, search)
}

/// One side of a hunk, and where it may be.
struct Text<'a> {
    lines: Vec<&'a [u8]>,
    /// Index in the file that the header states.
    stated: usize,
    at_begin: bool,
    at_end: bool,
}

impl<'a> Text<'a> {
    fn before(hunk: &'a Hunk) -> Self {
        Self::new(hunk.before(), hunk.old_start, hunk)
    }

    fn after(hunk: &'a Hunk) -> Self {
        Self::new(hunk.after(), hunk.new_start, hunk)
    }

    fn new(lines: Vec<&'a [u8]>, start: usize, hunk: &Hunk) -> Self {
        // For an empty side the header names the line before it.
        let stated = if lines.is_empty() { start } else { start.saturating_sub(1) };
        Self { lines, stated, at_begin: start <= 1, at_end: trailing(hunk) == 0 }
    }

    /// Without the `fuzz` outermost lines of context at each end; they no longer
    /// prove anything about the file's ends either. `None` if nothing is gained.
    fn trimmed(&self, fuzz: usize, hunk: &Hunk) -> Option<Self> {
        let (head, tail) = (leading(hunk).min(fuzz), trailing(hunk).min(fuzz));
        if fuzz == 0 {
            let Self { stated, at_begin, at_end, .. } = *self;
            return Some(Self { lines: self.lines.clone(), stated, at_begin, at_end });
        }
        let lines = self.lines.get(head..self.lines.len().saturating_sub(tail))?.to_vec();
        Some(Self { lines, stated: self.stated + head, at_begin: false, at_end: false })
    }

    /// The index nearest to the stated one where all lines are, not before `from`.
    fn find(&self, file: &[&[u8]], from: usize, drift: isize) -> Option<usize> {
        let last = file.len().checked_sub(self.lines.len())?;
        // Nothing to look for proves nothing, except that an empty file is empty.
        if self.lines.is_empty() && !(file.is_empty() && self.at_begin) {
            return None;
        }
        let fits = |at: &usize| {
            (!self.at_begin || *at == 0)
                && (!self.at_end || *at == last)
                && file[*at..*at + self.lines.len()] == self.lines[..]
        };
        (from..=last).filter(fits).min_by_key(|&at| self.offset(at, drift).unsigned_abs())
    }

    /// Lines from where it is expected to `at`.
    fn offset(&self, at: usize, drift: isize) -> isize {
        at.cast_signed() - self.stated.cast_signed() - drift
    }

    /// The place where most text agrees (without a search: where it should be), and the first one there that does not.
    fn conflict(&self, file: &[&[u8]], from: usize, drift: isize, search: bool) -> HunkFit {
        // Lines weigh by their text: empty lines and lone braces agree everywhere.
        let agreeing = |at: usize| -> usize {
            let pairs = self.lines.iter().take(MOST_LINES).zip(file.get(at..).unwrap_or_default());
            pairs.filter(|(want, have)| want == have).map(|(want, _)| want.trim_ascii().len()).sum()
        };
        let here = (self.stated.cast_signed() + drift).clamp(0, file.len().cast_signed()).cast_unsigned();
        let candidates = if search { from..file.len() } else { 0..0 };
        let best = candidates
            .map(|at| (agreeing(at), at))
            .max_by_key(|&(agree, at)| (agree, std::cmp::Reverse(self.offset(at, drift).unsigned_abs())));
        let at = best.filter(|(agree, _)| *agree > 0).map_or(here, |(_, at)| at);
        let differs = (0..self.lines.len()).find(|&index| file.get(at + index) != self.lines.get(index));
        let index = differs.unwrap_or(self.lines.len());
        let show = |line: Option<&&[u8]>, none: &str| match line {
            Some(line) => format!("`{}`", shown(String::from_utf8_lossy(line).trim_end_matches('\n'))),
            None => none.to_owned(),
        };
        // All lines agree, yet not at the end of the file where they must be.
        let none = if differs.is_some() { "the end of the file" } else { "more of the file" };
        HunkFit::Conflict {
            line: at + index + 1,
            expected: show(self.lines.get(index), "the end of the file"),
            found: match file.get(at + index) {
                Some(line) if differs.is_some() || self.at_end => show(Some(line), none),
                _ => none.to_owned(),
            },
        }
    }
}

fn leading(hunk: &Hunk) -> usize {
    hunk.lines.iter().take_while(|line| line.kind == LineKind::Context).count()
}

fn trailing(hunk: &Hunk) -> usize {
    hunk.lines.iter().rev().take_while(|line| line.kind == LineKind::Context).count()
}
