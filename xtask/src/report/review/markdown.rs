// SPDX-License-Identifier: GPL-2.0-only
//! A review as Markdown that can be put into a reply as it is.
//!
//! Owns: words and layout. It makes no trailer of its own: whoever sends the reply
//! decides what to say.

use super::super::markdown::{aligned, escaped, line};
use super::{effects, said};
use crate::report::prefixes::Row;
use crate::review::Review;

/// Lines of one problem that a mail shows; the record has all.
const MOST_LINES: usize = 12;

/// The whole text.
#[must_use]
pub fn render(review: &Review) -> String {
    let mut text = headline(review);
    text += &list(&review.passed_over.iter().map(|passed| format!("passed over: {passed}")).collect::<Vec<_>>());
    text += &format!("\n{}", aligned(&grid(&review.patches)));
    let problems =
        review.patches.iter().flat_map(|row| row.problems.iter().map(move |problem| problem_of(row, problem)));
    text += &list(&problems.collect::<Vec<_>>());
    let effects = effects(review);
    if !effects.is_empty() {
        text += "\nWhat it does to who waits for the mmap lock while a KVM fault waits for IO:\n";
        text += &list(&effects);
    }
    if let Some(why) = &review.not_booted {
        text += &format!("\nNothing was booted: {}.\n", escaped(why));
    }
    text += &list(&review.reasons);
    if !review.trailers.is_empty() {
        text += "\nSaid in replies (suggestions: none was added, nobody's identity was checked):\n";
        // Indented, they can be copied as they are, and end no block.
        text += &review.trailers.iter().map(|trailer| format!("\n    {}", said(trailer))).collect::<String>();
        text += "\n";
    }
    text
}

fn headline(review: &Review) -> String {
    let Review { title, revision, verdict, exit, target, version, .. } = review;
    let mut parts =
        vec![format!("**{verdict}** (exit {exit})"), format!("on {} (Linux {})", line(target), line(version))];
    parts.extend(review.accel.clone());
    parts.extend(review.run.as_ref().map(|run| format!("`{}`", line(run))));
    format!("kvm-gup-io review of {}, revision {revision}: {}\n", escaped(title), parts.join(" · "))
}

/// Without the command that failed and its output, which errors of ours have behind the
/// words that tell: they name folders of this machine, and the reply's readers have none
/// of them.
fn problem_of(row: &Row, problem: &str) -> String {
    let end = problem.find("\n`").unwrap_or(problem.len());
    let problem = &problem[..end];
    let mut lines: Vec<&str> = problem.lines().take(MOST_LINES).collect();
    if problem.lines().count() > MOST_LINES {
        lines.push("…");
    }
    format!("patch {}: {}", row.number, lines.join("\n"))
}

fn list(entries: &[String]) -> String {
    let lines: String = entries.iter().map(|entry| format!("* {}\n", escaped(entry))).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn grid(rows: &[Row]) -> Vec<Vec<String>> {
    let head =
        ["", "patch", "applies", "checkpatch", "warnings", "sparse", "boot", "verdict"].map(str::to_owned).to_vec();
    let row = |row: &Row| {
        let verdict = row.verdict.to_string();
        let cells = [&row.subject, &row.applies, &row.checkpatch, &row.warnings, &row.sparse, &row.boot, &verdict];
        std::iter::once(row.number.to_string()).chain(cells.iter().map(|cell| escaped(&line(cell)))).collect()
    };
    std::iter::once(head).chain(rows.iter().map(row)).collect()
}
