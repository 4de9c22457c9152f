// SPDX-License-Identifier: GPL-2.0-only
//! An outcome as one HTML page that loads nothing: no script, no font, no image.
//!
//! ```text
//! verdict, what is wrong, the console's own words about it
//! kernels × cells, before → after
//! a section a target: waits, who held the lock, behaviours, stress and storm, the runs before
//! the commands that do it again
//! ```
//!
//! Readable at 320 pixels and in both colour schemes. All text goes through the
//! template's escaping, and a policy in the head forbids whatever would get past it.
//!
//! Owns: words and layout. Must not: decide anything.

mod behaviours;
mod chart;
mod history;
mod overview;
mod section;
mod storm;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{commands, excerpts};
use crate::outcome::CellState;
use crate::store::{Evidence, Stored};
use crate::verdict::Verdict;

/// The style sheet, which has neither `<` nor `&`.
const STYLE: &str = include_str!("style.css");

/// Nothing may be loaded or run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page. `history` are the runs that are stored, oldest first.
#[must_use]
pub fn render(evidence: &Evidence, history: &[Stored]) -> String {
    let outcome = &evidence.outcome;
    let title = format!("kvm-gup-io: {}", outcome.verdict);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(evidence))
                main {
                    (trouble(evidence))
                    @if let Some(night) = &evidence.night { (super::night::section(night)) }
                    (overview::render(outcome))
                    @for target in &outcome.targets { (section::render(evidence, target, history)) }
                    (again(evidence))
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn head(evidence: &Evidence) -> Markup {
    let outcome = &evidence.outcome;
    html! {
        header {
            p.brand { "kvm-gup-io" }
            h1 { "Does a KVM fault that waits for IO make others wait for the mmap lock?" }
            p.lead {
                (badge(outcome.verdict)) " "
                @for target in &outcome.targets {
                    a.jump href={ "#" (anchor(&target.target)) } { (target.target) @if target.verdict != Verdict::Pass { ": " (target.verdict) } }
                    " "
                }
            }
            p.facts { (facts(evidence)) }
        }
    }
}

fn facts(evidence: &Evidence) -> Markup {
    let outcome = &evidence.outcome;
    html! {
        @if let Some(info) = &evidence.info {
            span { (started(&info.started)) } " · "
            span { (info.plan.trials) " trials a cell" } " · "
            span { "IO withheld for up to " (info.plan.hold_ms) " ms" } " · "
            span { (outcome.accel) " on " (info.host.cpus) " × " (info.host.cpu) ", " (info.host.os) }
        } @else {
            span { "committed evidence" } " · " span { (outcome.accel) }
        }
        @if let Some(run) = &outcome.run { " · " code { (run) } }
    }
}

/// To the second.
fn started(text: &str) -> String {
    text.parse::<jiff::Timestamp>()
        .map_or_else(|_| text.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// What is wrong, and the consoles' own words.
fn trouble(evidence: &Evidence) -> Markup {
    let outcome = &evidence.outcome;
    let (failed, excerpts) = (outcome.verdict != Verdict::Pass, excerpts(evidence));
    html! {
        @if !outcome.reasons.is_empty() {
            section.trouble.failed[failed] {
                h2 { @if failed { "What is wrong" } @else { "To be known" } }
                ul { @for reason in &outcome.reasons { li { pre.words { (reason) } } } }
                @for excerpt in excerpts {
                    details open {
                        summary { "Console of " (excerpt.target) " " (excerpt.side) }
                        pre { (excerpt.lines.join("\n")) }
                    }
                }
            }
        }
    }
}

fn again(evidence: &Evidence) -> Markup {
    html! {
        section {
            h2 { "The same again" }
            pre { (commands(evidence).join("\n")) }
        }
        section.legend {
            h2 { "Words" }
            dl {
                dt { (state(Some(CellState::Held))) }
                dd { "while the page's IO was withheld, another thread of the VMM could not get the mmap lock" }
                dt { (state(Some(CellState::Released))) }
                dd { "it could, in every trial" }
                dt { "writer, reader" }
                dd { "who asked for the lock: " code { "mmap" } " and " code { "munmap" } " of something unrelated; a read of " code { "/proc/PID/maps" } }
                dt { "window" }
                dd { "pages that swap or file readahead may read at once" }
            }
        }
    }
}

fn badge(verdict: Verdict) -> Markup {
    let class = match verdict {
        Verdict::Pass => "good",
        Verdict::Inconclusive => "unsure",
        _ => "bad",
    };
    html! { strong.badge.(class) { (verdict) } }
}

/// A state as a coloured word.
fn state(state: Option<CellState>) -> Markup {
    let class = match state {
        Some(CellState::Released) => "good",
        Some(CellState::Held) => "bad",
        Some(CellState::Mixed | CellState::Broken) => "unsure",
        Some(CellState::Skipped) | None => "none",
    };
    html! { span.state.(class) { (super::told(state)) } }
}

/// What a link to a target's section names.
fn anchor(target: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    format!("target-{}", target.chars().map(letter).collect::<String>())
}
