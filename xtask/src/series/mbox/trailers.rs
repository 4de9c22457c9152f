// SPDX-License-Identifier: GPL-2.0-only
//! What people said of patches in replies: `Reviewed-by:` and its like.
//!
//! Owns: which lines count, and to which patch they belong: the message that the reply
//! answers, through other replies if need be, or what its subject says. Must not: add
//! one to a patch: anybody can write such a line.

use std::collections::BTreeMap;

use serde::Serialize;

use super::message::Part;
use super::subject::Tag;
use crate::text::plain;

/// What counts, in small letters.
const NAMES: [&str; 7] = [
    "reviewed-by",
    "acked-by",
    "tested-by",
    "nacked-by",
    "reviewed-and-tested-by",
    "reported-and-tested-by",
    "tested-and-reviewed-by",
];

/// Longer lines are none.
const LONGEST: usize = 200;

/// No mailbox has more.
const MOST: usize = 500;

/// Replies between a trailer and the patch that it is about.
const DEEPEST: usize = 100;

/// A trailer that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trailer {
    /// `Reviewed-by: Ada <ada@example.org>`.
    pub line: String,
    /// The patch's number; 0 for the cover letter, which stands for all.
    pub patch: usize,
    /// The revision that it was given to.
    pub revision: u32,
    /// Who sent the mail, if that is not the one whom the line names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_by: Option<String>,
}

/// Those of all replies, each once, in the order of the mailbox.
pub(super) fn collect(parts: &[Part]) -> Vec<Trailer> {
    let by_id: BTreeMap<&str, &Part> =
        parts.iter().filter(|part| !part.id.is_empty()).map(|part| (part.id.as_str(), part)).collect();
    let mut trailers: Vec<Trailer> = Vec::new();
    for part in parts.iter().filter(|part| part.is_reply || (part.tag.is_none() && !part.answers.is_empty())) {
        let Some(tag) = about(part, &by_id) else { continue };
        for line in lines(&part.body) {
            let sent_by = (!same_person(&line, &part.from)).then(|| part.from.clone());
            let trailer = Trailer { line, patch: tag.number, revision: tag.revision, sent_by };
            if trailers.len() < MOST && !trailers.contains(&trailer) {
                trailers.push(trailer);
            }
        }
    }
    trailers
}

/// The patch that a reply is about.
fn about(reply: &Part, by_id: &BTreeMap<&str, &Part>) -> Option<Tag> {
    let mut at = reply;
    for _ in 0..DEEPEST {
        let Some(answered) = at.answers.iter().find_map(|id| by_id.get(id.as_str())) else { break };
        if !answered.is_reply && answered.tag.is_some() {
            return answered.tag;
        }
        at = answered;
    }
    reply.tag
}

/// Its own lines, not what it quotes or what is below its signature.
fn lines(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let own = text.lines().take_while(|line| *line != "-- ").filter(|line| line.len() <= LONGEST);
    let is_trailer = |line: &&str| {
        let Some((name, person)) = line.split_once(':') else { return false };
        NAMES.contains(&name.to_ascii_lowercase().as_str()) && person.contains('@')
    };
    own.filter(is_trailer).map(plain).collect()
}

fn same_person(line: &str, from: &str) -> bool {
    let address = |text: &str| -> Option<String> {
        let word = text.split_whitespace().rev().find(|word| word.contains('@'))?;
        Some(word.trim_matches(['<', '>']).to_ascii_lowercase())
    };
    address(line).is_some_and(|known| address(from) == Some(known))
}
