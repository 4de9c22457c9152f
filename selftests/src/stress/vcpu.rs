// SPDX-License-Identifier: GPL-2.0-only
//! A virtual CPU's thread: random pages, filled and read, each checked.
//!
//! Owns: the choice of accesses, and the look into the ledger around each. Must not:
//! allocate or map while the stress goes on.

use std::sync::atomic::Ordering::SeqCst;

use super::board::{Board, DENIED, VCPUS};
use super::ledger::Before;
use super::machine::{Cpu, Ended};
use super::memory::PAGES;
use super::rng::Rng;
use crate::clock;
use crate::inject;

/// The write that an injected fault spoils.
const SPOILED: u64 = 200;

/// Accesses memory until the board says stop.
///
/// # Errors
/// An access ended as none may end.
pub(super) fn run(board: &Board, number: usize, mut cpu: Cpu, seed: u64) -> anyhow::Result<()> {
    let mut rng = Rng::new(seed, number as u64);
    let line = &board.vcpus[number];
    let spoil = number == 0 && inject::in_stress("pattern");
    let stall = number == 1 && inject::in_stress("stall");
    while !board.stopped() {
        while stall && line.reads.load(SeqCst) > SPOILED {
            clock::nap(1_000_000);
        }
        let page = rng.below(PAGES as u64);
        let mine = page as usize % VCPUS == number;
        let start = clock::now();
        let before = board.page(page).before(page);
        let ended = if mine && rng.below(2) == 0 {
            let spoil = spoil && line.writes.load(SeqCst) == SPOILED;
            write(board, &mut cpu, page, spoil).inspect(|()| {
                line.writes.fetch_add(1, SeqCst);
            })
        } else {
            let check = |place, word| check(board, number as u64, page, place, word, &before);
            cpu.scan(page, check).inspect(|()| {
                line.reads.fetch_add(1, SeqCst);
            })
        };
        line.longest_ns.fetch_max(clock::now().saturating_sub(start), SeqCst);
        match ended {
            Ok(()) => {}
            Err(Ended::Denied) => {
                line.denied.fetch_add(1, SeqCst);
                if !board.page(page).may_deny(&before) {
                    board.report(number as u64, page, 0, DENIED, &before);
                }
            }
            Err(Ended::Failed(error)) => {
                board.stop.store(1, SeqCst);
                return Err(error.context(format!("vCPU {number} at page {page}")));
            }
        }
    }
    Ok(())
}

fn write(board: &Board, cpu: &mut Cpu, page: u64, spoil: bool) -> Result<(), Ended> {
    let Some(writing) = board.page(page).begin_write() else {
        return Err(Ended::Failed(anyhow::anyhow!("all generations of page {page} are used: shorten the stress")));
    };
    // The value of another page, as if this one had been mapped there.
    let of = if spoil { page ^ 1 } else { page };
    cpu.fill(page, writing.value(of))?;
    board.page(page).end_write(writing);
    Ok(())
}

/// Keeps a word that must not be there as a finding; false if it is one.
pub(super) fn check(board: &Board, seen_by: u64, page: u64, place: u64, word: u32, before: &Before) -> bool {
    let right = board.page(page).may_hold(before, word);
    if !right {
        board.report(seen_by, page, place, word.into(), before);
    }
    right
}
