// SPDX-License-Identifier: GPL-2.0-only
//! The items of a bisection: commits, patches, hunks, releases, Kconfig symbols.
//!
//! Owns: what they have in common, and what tells that they are no longer the same
//! ones. One file each says where they come from. Must not: build or test.

pub mod commits;
pub mod configs;
pub mod releases;
pub mod series;

use serde::{Deserialize, Serialize};

use crate::bisect::graph::Graph;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Names its content for ever: a commit's id, or the like.
    pub id: String,
    /// For people: a subject line, a version, a symbol.
    pub name: String,
}

impl Item {
    /// The id, short enough for a line.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// What kind of things the items are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Commits of a history.
    Commits,
    /// Prefixes of a series; an item is named after its last patch.
    Patches,
    /// Prefixes of the hunks of one patch.
    Hunks,
    /// Kernels that can be fetched.
    Releases,
    /// A configuration with more and more symbols of another.
    Symbols,
}

impl Kind {
    /// One of them.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Commits => "commit",
            Self::Patches => "patch",
            Self::Hunks => "hunk",
            Self::Releases => "release",
            Self::Symbols => "symbol",
        }
    }

    /// Several of them.
    #[must_use]
    pub fn nouns(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Patches => "patches",
            Self::Hunks => "hunks",
            Self::Releases => "releases",
            Self::Symbols => "symbols",
        }
    }
}

/// All items, and which of them contain which.
#[derive(Debug, Clone)]
pub struct Items {
    /// What they are.
    pub kind: Kind,
    /// By index.
    pub list: Vec<Item>,
    /// Which contain which.
    pub graph: Graph,
    /// The old ends.
    pub goods: Vec<usize>,
    /// The new ends.
    pub bads: Vec<usize>,
}

/// What of the items is kept in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// What they are.
    pub kind: Kind,
    /// By index.
    pub list: Vec<Item>,
    /// The items that each directly builds on.
    pub parents: Vec<Vec<usize>>,
    /// The old ends.
    pub goods: Vec<usize>,
    /// The new ends.
    pub bads: Vec<usize>,
}

impl Items {
    /// A row: each on top of the one before, the first the old end, the last the new one.
    #[must_use]
    pub fn row(kind: Kind, list: Vec<Item>) -> Self {
        let last = list.len().saturating_sub(1);
        Self { kind, graph: Graph::linear(list.len()), list, goods: vec![0], bads: vec![last] }
    }

    /// The item; one without name for a number that is none.
    #[must_use]
    pub fn item(&self, item: usize) -> Item {
        self.list.get(item).cloned().unwrap_or_else(|| Item { id: String::new(), name: format!("item {item}") })
    }

    /// `1a2b3c4d5e6f subject`.
    #[must_use]
    pub fn title(&self, item: usize) -> String {
        let item = self.item(item);
        match self.kind {
            Kind::Commits => format!("{} {}", item.short(), item.name),
            _ => item.name,
        }
    }

    /// For the record.
    #[must_use]
    pub fn stored(&self) -> Stored {
        Stored {
            kind: self.kind,
            list: self.list.clone(),
            parents: (0..self.list.len()).map(|item| self.graph.parents(item).to_vec()).collect(),
            goods: self.goods.clone(),
            bads: self.bads.clone(),
        }
    }

    /// How these differ from those of a record; `None` if they are the same.
    #[must_use]
    pub fn differs(&self, stored: &Stored) -> Option<String> {
        let now = self.stored();
        if now == *stored {
            return None;
        }
        let title =
            |item: Option<&Item>| item.map_or("nothing".to_owned(), |item| format!("{} {}", item.short(), item.name));
        let ends = |stored: &Stored, of: &[usize]| {
            of.iter().map(|&item| title(stored.list.get(item))).collect::<Vec<_>>().join(", ")
        };
        for (word, was, is) in [("old", &stored.goods, &now.goods), ("new", &stored.bads, &now.bads)] {
            let (was, is) = (ends(stored, was), ends(&now, is));
            if was != is {
                return Some(format!("its {word} end was {was}, and is {is} now"));
            }
        }
        if let Some(at) = (0..now.list.len().max(stored.list.len())).find(|&at| now.list.get(at) != stored.list.get(at))
        {
            let (was, is) = (title(stored.list.get(at)), title(now.list.get(at)));
            return Some(format!("where {was} was, there is {is} now"));
        }
        Some("which of them contain which has changed".to_owned())
    }
}
