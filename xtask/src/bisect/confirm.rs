// SPDX-License-Identifier: GPL-2.0-only
//! What must be true of a culprit beside the search: it alone makes the difference.
//!
//! Owns: which tests are needed (the culprit from a clean build, its parents, the
//! newest item without it), and what their answers are worth. A culprit that is the
//! same compiled code as its parent is refused: it cannot have done it. Pure but for
//! reading the journal. Must not: build.

use serde::{Deserialize, Serialize};

use crate::bisect::evidence::{Direction, Seen};
use crate::bisect::items::{Items, Kind};
use crate::bisect::journal::{Journal, Test};
use crate::bisect::oracle::{Unjudged, What};

/// How much a culprit is confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Everything agrees; that it can be taken back is not asked of what others rest on.
    Confirmed,
    /// Something disagrees, or could not be told.
    Unconfirmed,
    /// It compiles to the same as its parent.
    Refused,
    /// Nobody asked.
    #[default]
    Unasked,
}

/// One of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// E.g. `the culprit from a clean build`.
    pub what: String,
    /// Does it speak for the culprit? `None` if it could not be told.
    pub agrees: Option<bool>,
    /// What was seen.
    pub why: String,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// What it comes to.
    pub standing: Standing,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

/// The words for the journal.
#[must_use]
pub fn word(what: What) -> &'static str {
    match what {
        What::Item { .. } => "parent of the culprit",
        What::Clean { .. } => "the culprit from a clean build",
        What::Reverted { .. } => "the newest without the culprit",
    }
}

/// The tests that confirm `culprit`. The parents come first: if one of them is the
/// same compiled code, the rest need not be made.
#[must_use]
pub fn needed(items: &Items, culprit: usize) -> Vec<What> {
    let parents = items.graph.parents(culprit).iter().map(|&item| What::Item { item });
    let mut all: Vec<What> = parents.collect();
    all.push(What::Clean { item: culprit });
    // A release cannot be taken back, and hunks are taken back in the search itself.
    if let Some(&tip) = items.bads.first()
        && !matches!(items.kind, Kind::Releases | Kind::Hunks)
        && tip != culprit
    {
        all.push(What::Reverted { tip, culprit });
    }
    all
}

/// The parent of `culprit` that is the same compiled code, as far as that is known.
#[must_use]
pub fn refused(items: &Items, journal: &Journal, culprit: usize) -> Option<usize> {
    let sections = |item: usize| {
        let of = journal.tests().filter(|test| test.what.item() == Some(item));
        of.filter_map(|test| test.answer.kernel.as_ref()?.sections.clone()).last()
    };
    let own = sections(culprit)?;
    items.graph.parents(culprit).iter().copied().find(|&parent| sections(parent).as_ref() == Some(&own))
}

/// What the tests made so far are worth.
#[must_use]
pub fn weigh(items: &Items, journal: &Journal, culprit: usize) -> Confirmation {
    if let Some(parent) = refused(items, journal, culprit) {
        let why = format!("{} and {} are the same compiled code", items.title(culprit), items.title(parent));
        let check = Check { what: "compiled code".to_owned(), agrees: Some(false), why };
        return Confirmation { standing: Standing::Refused, checks: vec![check] };
    }
    let fix = journal.header.direction() == Direction::Fix;
    let mut checks = Vec::new();
    let (mut sound, mut parents, mut old_parents) = (true, 0, 0);
    for what in needed(items, culprit) {
        let test = journal.confirmation(what);
        let agrees = test.and_then(|test| agrees(test, what));
        match what {
            What::Item { .. } => {
                parents += 1;
                old_parents += usize::from(agrees == Some(true));
            }
            What::Clean { .. } => sound &= agrees == Some(true),
            What::Reverted { .. } => sound &= agrees.unwrap_or(test.is_some_and(cannot_be_taken_back)),
        }
        let name = match what {
            What::Item { item } => format!("its parent {}", items.title(item)),
            What::Clean { .. } => "itself, from a clean build".to_owned(),
            What::Reverted { tip, .. } => format!("{} without it", items.title(tip)),
        };
        let why = test.map_or_else(|| "not tested".to_owned(), |test| test.answer.why.clone());
        checks.push(Check { what: name, agrees, why });
    }
    // A branch that left before the effect came lacks it, too, and still brings no fix.
    sound &= if fix { old_parents > 0 } else { old_parents == parents };
    let standing = if sound { Standing::Confirmed } else { Standing::Unconfirmed };
    Confirmation { standing, checks }
}

/// Does a later change rest on the culprit? Then there is nothing to test; a boot that
/// crashed or proves nothing is no such excuse.
fn cannot_be_taken_back(test: &Test) -> bool {
    matches!(test.answer.unjudged, Some(Unjudged::Source | Unjudged::Build))
}

/// Does a test speak for the culprit?
fn agrees(test: &Test, what: What) -> Option<bool> {
    let wanted = match what {
        What::Clean { .. } => Seen::Bad,
        What::Item { .. } | What::Reverted { .. } => Seen::Good,
    };
    (test.seen != Seen::Skip).then_some(test.seen == wanted)
}
