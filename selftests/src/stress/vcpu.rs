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
use crate::clock;
use crate::inject;
use crate::rng::Rng;

/// From this access on an injected fault is there.
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
        // Half of the writes come unread, as write faults of their own; the other half
        // look first at what they overwrite, which nobody else may have seen.
        let (reads, writes) =
            if mine { [(true, false), (true, true), (false, true)][rng.below(3) as usize] } else { (true, false) };
        let mut ended = Ok(());
        if reads {
            ended = cpu.scan(page, |place, word| check(board, number as u64, page, place, word, &before));
            line.reads.fetch_add(u64::from(ended.is_ok()), SeqCst);
        }
        if writes && ended.is_ok() {
            let spoil = spoil && line.writes.load(SeqCst) >= SPOILED;
            ended = write(board, &mut cpu, page, spoil);
            line.writes.fetch_add(u64::from(ended.is_ok()), SeqCst);
        }
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
