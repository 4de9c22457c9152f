// SPDX-License-Identifier: GPL-2.0-only
//! A review, for people at a terminal, as Markdown for a reply, and for b4.
//!
//! Owns: words and layout. Must not: decide anything, or let a stranger's text be
//! anything but text.

mod b4;
mod markdown;

pub use b4::{error as b4_error, render as b4};
pub use markdown::render as markdown;

use super::place_of_wait;
use super::prefixes;
use super::table::Look;
use crate::outcome::CellState;
use crate::review::Review;
use crate::review::effect::{Effect, Kind};
use crate::series::mbox::Trailer;

/// Frames of a stack that a line shows.
const FRAMES: usize = 4;

/// The whole text, with a line end.
#[must_use]
pub fn table(review: &Review, look: Look) -> String {
    let mut text = format!("{}\n", headline(review));
    for passed in &review.passed_over {
        text += &format!("  passed over: {passed}\n");
    }
    text += &prefixes::body(&review.patches, look);
    for line in effects(review) {
        text += &format!("{line}\n");
    }
    if let Some(why) = &review.not_booted {
        text += &format!("not booted: {why}\n");
    }
    if !review.trailers.is_empty() {
        text += "said in replies; nothing was added, and nobody's identity was checked:\n";
        text += &review.trailers.iter().map(|trailer| format!("  {}\n", said(trailer))).collect::<String>();
    }
    for reason in &review.reasons {
        text += &format!("{reason}\n");
    }
    text
}

fn headline(review: &Review) -> String {
    let Review { title, revision, target, version, verdict, .. } = review;
    let count = review.patches.len();
    format!("{title} (revision {revision}, {count} patches) on {target} ({version}): {verdict}")
}

/// A trailer and what it is about.
fn said(trailer: &Trailer) -> String {
    let about = if trailer.patch == 0 { "all".to_owned() } else { format!("patch {}", trailer.patch) };
    let sender = trailer.sent_by.as_ref().map(|from| format!(" (sent by {from})")).unwrap_or_default();
    format!("{about}: {}{sender}", trailer.line)
}

/// Cells, each with the probes that met it.
type Cells<'a> = Vec<(String, Vec<&'a str>)>;

/// One line for all cells of which the same is to be said, the worst first.
fn effects(review: &Review) -> Vec<String> {
    let mut groups: Vec<(&Effect, Cells<'_>)> = Vec::new();
    for effect in &review.effects {
        let cell = effect.cell();
        let alike =
            |first: &Effect| first.kind == effect.kind && first.steps == effect.steps && first.holder == effect.holder;
        let at = groups.iter().position(|(first, _)| alike(first)).unwrap_or_else(|| {
            groups.push((effect, Vec::new()));
            groups.len() - 1
        });
        let cells = &mut groups[at].1;
        match cells.iter_mut().find(|(known, _)| *known == cell) {
            Some((_, probes)) => probes.push(&effect.probe),
            None => cells.push((cell, vec![&effect.probe])),
        }
    }
    let told = |(cell, probes): &(String, Vec<&str>)| format!("{cell} ({})", probes.join(", "));
    let line = |(effect, cells): &(&Effect, Cells<'_>)| {
        format!("{}: {}", sentence(effect), cells.iter().map(told).collect::<Vec<_>>().join(", "))
    };
    let mut lines: Vec<String> = groups.iter().map(line).collect();
    let unchanged = review.unchanged;
    if unchanged.held + unchanged.released > 0 {
        lines.push(format!("unchanged: {} held, {} released", unchanged.held, unchanged.released));
    }
    lines
}

fn sentence(effect: &Effect) -> String {
    let step = effect.steps.iter().find(|step| Some(step.patch) == effect.patch);
    let which = match (effect.patch, step.and_then(|step| step.or_since)) {
        (Some(patch), Some(since)) => format!("one of the patches {since} to {patch}"),
        (Some(patch), None) => format!("patch {patch}"),
        (None, _) => "the series".to_owned(),
    };
    let ways: Vec<String> =
        effect.steps.iter().map(|step| format!("{} → {} at {}", step.from, step.to, step.patch)).collect();
    let holder = place_of_wait(&effect.holder, FRAMES).join(" ← ");
    let holder = if holder.is_empty() { holder } else { format!(", held in {holder}") };
    match effect.kind {
        Kind::Broken => format!("RELEASED → HELD by {which}{holder} ({})", ways.join(", ")),
        Kind::Passing => format!("held for a while from {which} on ({})", ways.join(", ")),
        Kind::Unclear => {
            let which = if effect.after == CellState::Mixed { "with the series" } else { "on the tree without it" };
            format!("trials disagree {which} ({} → {})", effect.before, effect.after)
        }
        Kind::Cured => format!("held → released by {which}"),
    }
}
