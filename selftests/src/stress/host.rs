// SPDX-License-Identifier: GPL-2.0-only
//! The host thread: changes the guest memory's mappings under the running vCPUs.
//!
//! ```text
//! dontneed   MADV_DONTNEED: private memory is lost, a memfd's is not
//! pageout    MADV_PAGEOUT (since 5.4; reclaim comes from the conductor, too)
//! mprotect   read-only or inaccessible for a moment
//! remap      munmap, and mmap again, at once or after a moment
//! punch      MADV_REMOVE: the memfd's pages are lost
//! peek       reads a page by a page fault of the VMM
//! fork       a child reads pages, and overwrites its copies of the private ones
//! ```
//!
//! Owns: the choice and order of these, and their entries in the ledger. Must not:
//! write guest memory: each page has one writer, a vCPU.

use nix::errno::Errno;
use nix::sys::mman::ProtFlags;

use super::board::{Board, HOST};
use super::child::Children;
use super::memory::{Backing, Memory, PAGES_EACH, Range, WORDS};
use super::vcpu::check;
use crate::clock::nap;
use crate::inject;
use crate::rng::Rng;

/// The rhythm of the operations: up to this many microseconds between two.
const REST_US: u64 = 1_500;
/// How long memory stays inaccessible at most, in microseconds.
const DENIAL_US: u64 = 400;
/// Longest range of an operation, in pages.
const RANGE: u64 = 8;

/// What may be done, as often as it is listed.
const DRAWS: [&str; 16] = [
    "pageout", "pageout", "pageout", "pageout", "pageout", "dontneed", "dontneed", "mprotect", "mprotect", "remap",
    "remap", "peek", "peek", "peek", "punch", "fork",
];

/// Works until the board says stop, then waits for the children.
///
/// # Errors
/// A system call failed that must not fail.
pub(super) fn run(board: &Board, memory: &Memory, seed: u64, patience: f64) -> anyhow::Result<()> {
    let mut rng = Rng::new(seed, HOST);
    let mut children = Children::new(patience);
    let idle = inject::in_stress("idle");
    while !board.stopped() {
        let draw = DRAWS[rng.below(DRAWS.len() as u64) as usize];
        if draw == "fork" && !idle {
            children.fork(board, memory, &mut rng)?;
        } else if !idle {
            operate(draw, board, memory, &mut rng)?;
        }
        children.reap(board)?;
        nap(rng.below(REST_US));
    }
    children.wait(board)
}

/// What an operation does to the content and to the access of its range.
struct Marked<'a> {
    board: &'a Board,
    range: Range,
    discards: bool,
    denies: bool,
}

impl<'a> Marked<'a> {
    fn begin(board: &'a Board, range: Range, discards: bool, denies: bool) -> Self {
        for page in range.pages().map(|page| board.page(page)) {
            if denies {
                page.begin_denial();
            }
            if discards {
                page.begin_discard();
            }
        }
        Self { board, range, discards, denies }
    }

    fn end(self) {
        for page in self.range.pages().map(|page| self.board.page(page)) {
            if self.discards {
                page.end_discard();
            }
            if self.denies {
                page.end_denial();
            }
        }
    }
}

fn operate(draw: &str, board: &Board, memory: &Memory, rng: &mut Rng) -> anyhow::Result<()> {
    let backing = match draw {
        "punch" => Backing::Shmem,
        _ => Backing::ALL[rng.below(2) as usize],
    };
    let range = range(backing, rng);
    let private = backing == Backing::Anon;
    let done = match draw {
        "pageout" => memory.advise(range, libc::MADV_PAGEOUT),
        "dontneed" => marked(board, range, private, false, || memory.advise(range, libc::MADV_DONTNEED)),
        "punch" => marked(board, range, true, false, || memory.advise(range, libc::MADV_REMOVE)),
        "mprotect" => marked(board, range, false, true, || {
            let denied = [ProtFlags::PROT_READ, ProtFlags::PROT_NONE][rng.below(2) as usize];
            memory.protect(range, denied)?;
            nap(rng.below(DENIAL_US));
            memory.protect(range, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)
        }),
        "remap" => marked(board, range, private, true, || {
            if rng.below(2) == 0 {
                memory.unmap(range)?;
                nap(rng.below(DENIAL_US));
            }
            memory.map(range)
        }),
        _ => {
            peek(board, memory, range.page);
            Ok(())
        }
    };
    let name = format!("{backing}.{draw}");
    match done {
        Ok(()) => board.did(&name, true),
        Err(Errno::EINVAL) if draw == "pageout" => board.did(&name, false),
        // Nothing was done for want of memory, or because a page was busy.
        Err(Errno::EAGAIN | Errno::EBUSY) => {}
        Err(error) => anyhow::bail!("{name} of {range:?}: {error}"),
    }
    Ok(())
}

fn marked<T>(board: &Board, range: Range, discards: bool, denies: bool, act: impl FnOnce() -> T) -> T {
    let marked = Marked::begin(board, range, discards, denies);
    let result = act();
    marked.end();
    result
}

fn range(backing: Backing, rng: &mut Rng) -> Range {
    let page = backing.first() + rng.below(PAGES_EACH);
    let most = RANGE.min(backing.first() + PAGES_EACH - page);
    Range { page, count: 1 + rng.below(most) }
}

/// Reads a page through the VMM's own mapping.
fn peek(board: &Board, memory: &Memory, page: u64) {
    let before = board.page(page).before(page);
    read(memory, page, |place, word| check(board, HOST, page, place, word, &before));
}

/// Reads all words of a mapped page: calls `check` with each that differs from the
/// one before it, until that is false.
pub(super) fn read(memory: &Memory, page: u64, mut check: impl FnMut(u64, u32) -> bool) {
    let mut last = None;
    for place in 0..WORDS {
        let word = memory.read(page, place);
        if last != Some(word) && !check(place as u64, word) {
            return;
        }
        last = Some(word);
    }
}

/// Reads everything once nothing else goes on.
pub(super) fn read_all(board: &Board, memory: &Memory) {
    for backing in Backing::ALL {
        for page in (Range { page: backing.first(), count: PAGES_EACH }).pages() {
            peek(board, memory, page);
        }
    }
}

#[cfg(test)]
mod tests {
    use selftests::tally::OPERATIONS;

    use super::*;
    use crate::shared;

    #[test]
    fn every_operation_of_the_list_is_drawn() {
        let conductors = ["readahead", "reclaim"];
        for name in OPERATIONS.iter().filter(|name| !conductors.contains(name)) {
            let draw = name.rsplit('.').next().unwrap();
            assert!(DRAWS.contains(&draw), "{name}");
        }
        for draw in DRAWS {
            assert!(OPERATIONS.iter().any(|name| name.rsplit('.').next() == Some(draw)), "{draw}");
        }
    }

    #[test]
    fn ranges_stay_in_their_half() {
        let mut rng = Rng::new(3, 0);
        for backing in Backing::ALL {
            for _ in 0..500 {
                let range = range(backing, &mut rng);
                assert!(range.count >= 1 && range.count <= RANGE);
                assert!(range.pages().all(|page| Backing::of(page) == backing && page < 2 * PAGES_EACH), "{range:?}");
            }
        }
    }

    #[test]
    fn memory_without_a_machine_stays_right_under_all_operations() {
        let _alone = super::super::ALONE.lock().unwrap();
        let board = shared::map::<Board>(&shared::create::<Board>().unwrap()).unwrap();
        // In a process of its own: while a range is unmapped, what another thread of
        // the tests maps may land there, and is overwritten.
        // SAFETY: the child is alone with memory made after the fork.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                let right = std::panic::catch_unwind(|| operate_at_random(board)).is_ok();
                // SAFETY: ends the child without running anything of the tests.
                unsafe { libc::_exit(i32::from(!right)) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                let ended = nix::sys::wait::waitpid(child, None).unwrap();
                assert_eq!(ended, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
        }
        assert_eq!(board.wrong(), None);
        let tally = board.tally();
        assert!(tally.operations["shmem.punch"] > 0 && tally.operations["anon.remap"] > 0, "{tally:?}");
    }

    fn operate_at_random(board: &'static Board) {
        let memory = Memory::reserve().unwrap();
        memory.populate().unwrap();
        let (mut rng, mut children) = (Rng::new(11, 0), Children::new(1.0));
        for round in 0..400 {
            let page = rng.below(2 * PAGES_EACH);
            let writing = board.page(page).begin_write().unwrap();
            memory.fill(page, writing.value(page));
            board.page(page).end_write(writing);
            match DRAWS[round % DRAWS.len()] {
                "fork" if round % 64 == 15 => children.fork(board, &memory, &mut rng).unwrap(),
                "fork" => {}
                draw => operate(draw, board, &memory, &mut rng).unwrap(),
            }
        }
        children.wait(board).unwrap();
        read_all(board, &memory);
    }

    #[test]
    fn a_planted_word_is_found() {
        let _alone = super::super::ALONE.lock().unwrap();
        let board = shared::map::<Board>(&shared::create::<Board>().unwrap()).unwrap();
        let memory = Memory::reserve().unwrap();
        memory.populate().unwrap();
        memory.fill(70, 0x4700_0001);
        read_all(board, &memory);
        let wrong = board.wrong().unwrap();
        assert_eq!((wrong.seen_by.as_str(), wrong.backing.as_str(), wrong.page), ("host", "shmem", 6));
        assert_eq!((wrong.expected.as_str(), wrong.found.as_str()), ("0", "0x47000001"));
    }
}
