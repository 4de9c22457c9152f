// SPDX-License-Identifier: GPL-2.0-only
//! How much each item of a part of the graph contains.
//!
//! Owns: exact sums over ancestors in little memory. A set per item would need
//! gigabytes for the kernel's history; here a few hundred items at a time are
//! marked and carried upwards, and each item counts the marks that reach it.

use fixedbitset::FixedBitSet;

use crate::bisect::graph::Graph;

/// Words of marks carried at once: 512 items.
const WORDS: usize = 8;

type Marks = [u64; WORDS];

/// Sums over ancestors within `among`: for each item of the graph the sum of
/// the masses of those items of `among` that it contains, itself included; 0
/// for an item outside of `among`.
///
/// `among` must be convex (with two items, everything between them), as what is
/// left of a bisection always is. `groups` holds items of `among` of one mass
/// each; the sums are exact counts where the masses are small whole numbers.
pub fn contained(graph: &Graph, among: &FixedBitSet, groups: &[(f64, Vec<usize>)]) -> Vec<f64> {
    let order: Vec<usize> = graph.topological().iter().copied().filter(|&item| among.contains(item)).collect();
    let mut place = vec![usize::MAX; graph.len()];
    for (at, &item) in order.iter().enumerate() {
        place[item] = at;
    }
    let parents: Vec<Vec<usize>> = order
        .iter()
        .map(|&item| graph.parents(item).iter().map(|&of| place[of]).filter(|&at| at != usize::MAX).collect())
        .collect();
    let mut sums = vec![0.0; graph.len()];
    let mut marks: Vec<Marks> = vec![[0; WORDS]; order.len()];
    for (mass, items) in groups {
        for block in items.chunks(WORDS * 64) {
            carry(&mut marks, &parents, block.iter().map(|&item| place[item]));
            for (at, &item) in order.iter().enumerate() {
                let reached: u32 = marks[at].iter().map(|word| word.count_ones()).sum();
                sums[item] += mass * f64::from(reached);
            }
        }
    }
    sums
}

/// Mark each of `block` with a bit of its own and give each item its parents' marks.
fn carry(marks: &mut [Marks], parents: &[Vec<usize>], block: impl Iterator<Item = usize>) {
    marks.fill([0; WORDS]);
    for (bit, at) in block.enumerate() {
        if let Some(own) = marks.get_mut(at) {
            own[bit / 64] |= 1 << (bit % 64);
        }
    }
    for (at, of) in parents.iter().enumerate() {
        let (below, this) = marks.split_at_mut(at);
        for &parent in of {
            for (word, more) in this[0].iter_mut().zip(below[parent]) {
                *word |= more;
            }
        }
    }
}
