// SPDX-License-Identifier: GPL-2.0-only
//! Who held the lock: each stack once, with the cells that it was seen in.
//!
//! Owns: which stacks are told. Must not: render.

use crate::outcome::{CellState, TargetOutcome};

/// A stack that held a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder<'a> {
    /// On which side.
    pub(super) side: &'a str,
    /// Innermost symbol first.
    pub(super) stack: &'a [String],
    /// `anon.sync.read@1`, each once.
    pub(super) cells: Vec<String>,
}

/// All of a target. Not those of the controls: who holds the lock there is known.
pub(super) fn holders(target: &TargetOutcome) -> Vec<Holder<'_>> {
    let mut holders: Vec<Holder<'_>> = Vec::new();
    for side in &target.sides {
        let held = side.cells.iter().filter(|cell| matches!(cell.state, CellState::Held | CellState::Mixed));
        for cell in held.filter(|cell| !cell.is_control()) {
            let name = format!("{}@{}", cell.cell, cell.window);
            match holders.iter_mut().find(|holder| holder.side == side.side && holder.stack == cell.holder) {
                Some(holder) if holder.cells.contains(&name) => {}
                Some(holder) => holder.cells.push(name),
                None => holders.push(Holder { side: &side.side, stack: &cell.holder, cells: vec![name] }),
            }
        }
    }
    holders
}
