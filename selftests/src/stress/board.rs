// SPDX-License-Identifier: GPL-2.0-only
//! What the tasks of a stress share: the ledger, the counts, the first finding.
//!
//! Owns: the memory of it, which the conductor maps, too, so that it sees how far a
//! stress has come even when nobody in the stressed process can answer. Must not:
//! decide anything.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use selftests::tally::{OPERATIONS, Tally, Wrong};

use super::ledger::{Before, Page};
use super::memory::{Backing, PAGES, PAGES_EACH};
use crate::clock::millis;
use crate::shared::Shared;

/// Virtual CPUs; the first may take async page faults, the second never does.
pub(super) const VCPUS: usize = 2;
/// `seen_by` of the VMM's own accesses, and of a forked child's.
pub(super) const HOST: u64 = VCPUS as u64;
/// See [`HOST`].
pub(super) const CHILD: u64 = HOST + 1;
/// In [`Board::report`]: no word, but EFAULT without a reason.
pub(super) const DENIED: u64 = u64::MAX;
/// Longest text of what was allowed.
const TEXT: usize = 96;

/// One vCPU's counts.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Line {
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) denied: AtomicU64,
    pub(super) longest_ns: AtomicU64,
}

/// The first finding; `state` is 0, 1 while it is written, 2 when it is there.
#[repr(C)]
struct Slot {
    state: AtomicU64,
    seen_by: AtomicU64,
    page: AtomicU64,
    word: AtomicU64,
    found: AtomicU64,
    allowed: [AtomicU64; TEXT / 8],
}

/// Everything; all zero at first.
#[repr(C)]
pub(super) struct Board {
    /// Not 0: end what you do, and then no more.
    pub(super) stop: AtomicU64,
    /// Not 0: this process, a forked child, does not end.
    pub(super) stuck: AtomicU64,
    pub(super) vcpus: [Line; VCPUS],
    /// In the order of [`OPERATIONS`].
    done: [AtomicU64; OPERATIONS.len()],
    refused: [AtomicU64; OPERATIONS.len()],
    pages: [Page; PAGES],
    slot: Slot,
}

// SAFETY: atomics only.
unsafe impl Shared for Board {
    const NAME: &'static CStr = c"kvm-gup-io-stress";
}

/// The place of an operation in [`OPERATIONS`].
fn index(name: &str) -> Option<usize> {
    OPERATIONS.iter().position(|known| *known == name)
}

impl Board {
    /// Page `page`, which is below [`PAGES`].
    pub(super) fn page(&self, page: u64) -> &Page {
        &self.pages[usize::try_from(page).unwrap_or(0) % PAGES]
    }

    /// Is it time to end?
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(SeqCst) != 0 || self.slot.state.load(SeqCst) != 0
    }

    /// Counts an operation, which this kernel may have refused to know.
    pub(super) fn did(&self, name: &str, known: bool) {
        let list = if known { &self.done } else { &self.refused };
        if let Some(count) = index(name).and_then(|index| list.get(index)) {
            count.fetch_add(1, SeqCst);
        }
    }

    /// Keeps a finding if it is the first: `found` at word `word` of a page, seen in an
    /// access that began with `before`. A forked child may call it, too: glibc makes its
    /// allocator usable there.
    pub(super) fn report(&self, seen_by: u64, page: u64, word: u64, found: u64, before: &Before) {
        if self.slot.state.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
            return;
        }
        self.slot.seen_by.store(seen_by, SeqCst);
        self.slot.page.store(page, SeqCst);
        self.slot.word.store(word, SeqCst);
        self.slot.found.store(found, SeqCst);
        let text = self.page(page).allowed(before);
        for (place, chunk) in self.slot.allowed.iter().zip(text.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            place.store(u64::from_le_bytes(bytes), SeqCst);
        }
        self.slot.state.store(2, SeqCst);
    }

    /// The first finding.
    pub(super) fn wrong(&self) -> Option<Wrong> {
        if self.slot.state.load(SeqCst) != 2 {
            return None;
        }
        let bytes: Vec<u8> = self.slot.allowed.iter().flat_map(|place| place.load(SeqCst).to_le_bytes()).collect();
        let allowed = String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
        let (page, found) = (self.slot.page.load(SeqCst), self.slot.found.load(SeqCst));
        let (expected, found) = match found {
            DENIED => ("an access".to_owned(), "EFAULT from KVM_RUN, with the page mapped and accessible,".to_owned()),
            word => (allowed, format!("{word:#010x}")),
        };
        Some(Wrong {
            seen_by: match self.slot.seen_by.load(SeqCst) {
                HOST => "host".to_owned(),
                CHILD => "child".to_owned(),
                vcpu => format!("vcpu{vcpu}"),
            },
            backing: Backing::of(page).to_string(),
            page: page % PAGES_EACH,
            word: self.slot.word.load(SeqCst),
            expected,
            found,
        })
    }

    /// The counts that are kept here; the rest is the conductor's.
    pub(super) fn tally(&self) -> Tally {
        let sum = |count: fn(&Line) -> &AtomicU64| self.vcpus.iter().map(|line| count(line).load(SeqCst)).sum();
        let longest = self.vcpus.iter().map(|line| line.longest_ns.load(SeqCst)).max().unwrap_or(0);
        let named = |list: &[AtomicU64; OPERATIONS.len()]| {
            let counts = list.iter().map(|count| count.load(SeqCst));
            OPERATIONS.iter().map(|name| (*name).to_owned()).zip(counts).collect::<Vec<_>>()
        };
        Tally {
            guest_reads: sum(|line| &line.reads),
            guest_writes: sum(|line| &line.writes),
            denied: sum(|line| &line.denied),
            longest_ms: millis(longest),
            operations: named(&self.done).into_iter().collect(),
            unsupported: named(&self.refused)
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, _)| name)
                .collect(),
            ..Tally::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::{create, map};

    #[test]
    fn two_mappings_are_one_board() {
        let _alone = super::super::ALONE.lock().unwrap();
        let fd = create::<Board>().unwrap();
        let (ours, theirs) = (map::<Board>(&fd).unwrap(), map::<Board>(&fd).unwrap());
        theirs.did("fork", true);
        theirs.did("anon.pageout", false);
        theirs.vcpus[1].reads.fetch_add(3, SeqCst);
        let tally = ours.tally();
        assert_eq!((tally.guest_reads, tally.operations["fork"]), (3, 1));
        assert!(tally.unsupported.contains("anon.pageout"));
        assert!(!ours.stopped());
    }

    #[test]
    fn the_first_finding_stays() {
        let _alone = super::super::ALONE.lock().unwrap();
        let board = map::<Board>(&create::<Board>().unwrap()).unwrap();
        assert_eq!(board.wrong(), None);
        let page = PAGES_EACH + 3;
        let writing = board.page(page).begin_write().unwrap();
        board.page(page).end_write(writing);
        let before = board.page(page).before(page);
        board.report(1, page, 17, 0xaaaa_aaaa, &before);
        board.report(HOST, 0, 0, DENIED, &before);
        let wrong = board.wrong().unwrap();
        let expected = format!("{:#010x}", writing.value(page));
        assert_eq!(
            wrong.to_string(),
            format!("vcpu1 found 0xaaaaaaaa at word 17 of shmem page 3, where {expected} must be")
        );
        assert!(board.stopped());
    }
}
