// SPDX-License-Identifier: GPL-2.0-only
//! A partly ordered set of items: which item contains which.
//!
//! Owns: parents, the topological order, ancestors and descendants. An item is
//! only a number here: a commit, a patch of a series, a Kconfig symbol, a
//! release. Must not know what is good or bad.

use fixedbitset::FixedBitSet;

/// Items `0..n`, each with the items that it directly builds on.
///
/// The indices need not be topologically ordered, but their order matters:
/// where two items would tell equally much, the lower index is tested, as
/// `git bisect` takes the older one of its list.
#[derive(Debug, Clone)]
pub struct Graph {
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    topological: Vec<usize>,
    rank: Vec<usize>,
}

/// Parents that make no order.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// A parent that is no item.
    #[error(
        "item {item} has the parent {parent}, but there are only {len} items; number the items from 0 without gaps"
    )]
    NoSuchItem {
        /// The item with that parent.
        item: usize,
        /// What it names.
        parent: usize,
        /// How many items there are.
        len: usize,
    },
    /// Items that are their own ancestors.
    #[error("item {item} is its own ancestor; only sets without a cycle can be bisected")]
    Cycle {
        /// One item of the cycle, or after it.
        item: usize,
    },
    /// A rank list of another length, or with a number twice.
    #[error("the ranks are no order of the {len} items; give each item one rank from 0 to {len} exclusive")]
    Rank {
        /// How many items there are.
        len: usize,
    },
}

impl Graph {
    /// A set from each item's parents.
    ///
    /// # Errors
    /// [`GraphError`] for a parent out of range and for a cycle.
    pub fn new(parents: Vec<Vec<usize>>) -> Result<Self, GraphError> {
        let len = parents.len();
        let mut children = vec![Vec::new(); len];
        let mut waiting = vec![0_usize; len];
        for (item, of) in parents.iter().enumerate() {
            for &parent in of {
                let Some(list) = children.get_mut(parent) else {
                    return Err(GraphError::NoSuchItem { item, parent, len });
                };
                list.push(item);
            }
            waiting[item] = of.len();
        }
        let mut topological: Vec<usize> = (0..len).filter(|&item| waiting[item] == 0).collect();
        let mut next = 0;
        while let Some(&item) = topological.get(next) {
            next += 1;
            for &child in &children[item] {
                waiting[child] -= 1;
                if waiting[child] == 0 {
                    topological.push(child);
                }
            }
        }
        if let Some(item) = waiting.iter().position(|&left| left > 0) {
            return Err(GraphError::Cycle { item });
        }
        Ok(Self { parents, children, topological, rank: (0..len).collect() })
    }

    /// `n` items, each on top of the one before: a series, or sorted releases.
    pub fn linear(n: usize) -> Self {
        let parents = (0..n).map(|item| item.checked_sub(1).into_iter().collect()).collect();
        let children = (0..n).map(|item| Some(item + 1).filter(|&next| next < n).into_iter().collect()).collect();
        Self { parents, children, topological: (0..n).collect(), rank: (0..n).collect() }
    }

    /// The same set with another order among equals for the search around
    /// items that cannot be tested; `rank[item]` is the item's place. A history
    /// gives the order of the commit ids, as `git bisect` has it.
    ///
    /// # Errors
    /// [`GraphError::Rank`] if `rank` is no permutation.
    pub fn ranked(mut self, rank: Vec<usize>) -> Result<Self, GraphError> {
        let len = self.len();
        let mut there = FixedBitSet::with_capacity(len);
        for &place in rank.iter().filter(|&&place| place < len) {
            there.insert(place);
        }
        if rank.len() != len || there.count_ones(..) != len {
            return Err(GraphError::Rank { len });
        }
        self.rank = rank;
        Ok(self)
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// No items at all.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The items that `item` directly builds on; none for a number that is no item.
    pub fn parents(&self, item: usize) -> &[usize] {
        self.parents.get(item).map_or(&[], Vec::as_slice)
    }

    /// The items that directly build on `item`; none for a number that is no item.
    pub fn children(&self, item: usize) -> &[usize] {
        self.children.get(item).map_or(&[], Vec::as_slice)
    }

    /// Every item after all of its ancestors.
    pub fn topological(&self) -> &[usize] {
        &self.topological
    }

    /// The item's place among equals; see [`Graph::ranked`].
    pub fn rank(&self, item: usize) -> usize {
        self.rank.get(item).copied().unwrap_or(item)
    }

    /// No items, in a set as large as this one.
    pub fn none(&self) -> FixedBitSet {
        FixedBitSet::with_capacity(self.len())
    }

    /// The given items and everything that they build on.
    pub fn ancestors(&self, of: &[usize]) -> FixedBitSet {
        self.reach(of, |item| self.parents(item))
    }

    /// The given items and everything that builds on them.
    pub fn descendants(&self, of: &[usize]) -> FixedBitSet {
        self.reach(of, |item| self.children(item))
    }

    /// Those of `among` that no other one of `among` builds on.
    pub fn newest(&self, among: &FixedBitSet) -> Vec<usize> {
        let below: Vec<usize> = among.ones().flat_map(|item| self.parents(item).iter().copied()).collect();
        let below = self.ancestors(&below);
        among.difference(&below).collect()
    }

    /// Those of `among` that build on no other one of `among`.
    pub fn oldest(&self, among: &FixedBitSet) -> Vec<usize> {
        let above: Vec<usize> = among.ones().flat_map(|item| self.children(item).iter().copied()).collect();
        let above = self.descendants(&above);
        among.difference(&above).collect()
    }

    /// The newest items that both build on: where two branches parted. One of
    /// them is the answer if it is an ancestor of the other.
    pub fn merge_bases(&self, one: usize, other: usize) -> Vec<usize> {
        let mut common = self.ancestors(&[one]);
        common.intersect_with(&self.ancestors(&[other]));
        self.newest(&common)
    }

    fn reach<'a>(&'a self, from: &[usize], next: impl Fn(usize) -> &'a [usize]) -> FixedBitSet {
        let mut seen = self.none();
        let mut open: Vec<usize> = from.iter().copied().filter(|&item| item < self.len()).collect();
        while let Some(item) = open.pop() {
            if !seen.put(item) {
                open.extend(next(item).iter().copied().filter(|&to| !seen.contains(to)));
            }
        }
        seen
    }
}
