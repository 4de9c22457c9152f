// SPDX-License-Identifier: GPL-2.0-only
//! What each page of guest memory may hold.
//!
//! Every page has one writer, a vCPU, which fills it with one 4-byte value, made of
//! the page's number and a generation that counts its writes. So at any time a word
//! of page `p` must be
//!
//! * the generation of the last completed write, unless a discard began after that
//!   write and ended before the access: then the old page must be gone;
//! * any generation of a write that has begun since, even one cut short by EFAULT;
//! * 0 if no write has ever completed, or if a discard began that had not ended
//!   before the last completed write began.
//!
//! Everything else is corruption: an older generation (a lost write, or memory that
//! came from a stale swap slot), another page's value, what the child of a fork wrote
//! to its own copy, the kernel's poison.
//!
//! *Discards* take the content away: MADV_DONTNEED and munmap of private memory, a
//! punched hole of a memfd. Mappings of a memfd may come and go without one. *Denials*
//! take the access away: munmap, and mprotect; only while one is under way may
//! KVM_RUN fail with EFAULT.
//!
//! Owns: these rules, and the numbers that they need, as atomics that all tasks
//! share. Must not: access guest memory.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Bits of a count of discards within [`Page::written`].
const DISCARD_BITS: u32 = 20;
/// Bits of a generation.
const GENERATION_BITS: u32 = 24;
const GENERATIONS: u64 = (1 << GENERATION_BITS) - 1;
const DISCARDS: u64 = (1 << DISCARD_BITS) - 1;

/// What is known of one page; all zero at first.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Page {
    /// Generation of the last write that has begun.
    started: AtomicU64,
    /// The last completed write: its generation, [`Page::discards_done`] before it and
    /// [`Page::discards_begun`] after it, packed so that they are read together.
    written: AtomicU64,
    discards_begun: AtomicU64,
    discards_done: AtomicU64,
    denials_begun: AtomicU64,
    denials_done: AtomicU64,
}

/// The state of a page before an access.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    page: u64,
    generation: u64,
    done_before_write: u64,
    begun_after_write: u64,
    discards_done: u64,
    denials_done: u64,
}

/// A write that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    generation: u64,
    discards_done: u64,
}

impl Writing {
    /// The word to fill `page` with.
    pub(super) fn value(self, page: u64) -> u32 {
        value(page, self.generation)
    }
}

/// The word that fills page `page` in generation `generation`, which is not 0.
fn value(page: u64, generation: u64) -> u32 {
    u32::try_from((page + 1) << GENERATION_BITS | generation & GENERATIONS).unwrap_or(u32::MAX)
}

/// What a forked child writes to its own copy of `page`; no value of any page.
pub(super) fn foreign(page: u64) -> u32 {
    value(0xfe, page)
}

impl Page {
    /// To be called before an access.
    pub(super) fn before(&self, page: u64) -> Before {
        // The counts of ends first: what ends after this may be still under way.
        let (discards_done, denials_done) = (self.discards_done.load(SeqCst), self.denials_done.load(SeqCst));
        let written = self.written.load(SeqCst);
        Before {
            page,
            generation: written >> (2 * DISCARD_BITS),
            done_before_write: written >> DISCARD_BITS & DISCARDS,
            begun_after_write: written & DISCARDS,
            discards_done,
            denials_done,
        }
    }

    /// To be called by the page's only writer before it stores; `None` once all
    /// generations are used.
    pub(super) fn begin_write(&self) -> Option<Writing> {
        let generation = self.started.load(SeqCst) + 1;
        let discards_done = self.discards_done.load(SeqCst);
        if generation > GENERATIONS || discards_done >= DISCARDS {
            return None;
        }
        self.started.store(generation, SeqCst);
        Some(Writing { generation, discards_done })
    }

    /// To be called when all words are stored.
    pub(super) fn end_write(&self, writing: Writing) {
        let begun = self.discards_begun.load(SeqCst).min(DISCARDS);
        let counts = writing.discards_done << DISCARD_BITS | begun;
        self.written.store(writing.generation << (2 * DISCARD_BITS) | counts, SeqCst);
    }

    /// To be called around what takes the content away.
    pub(super) fn begin_discard(&self) {
        self.discards_begun.fetch_add(1, SeqCst);
    }

    /// See [`Page::begin_discard`].
    pub(super) fn end_discard(&self) {
        self.discards_done.fetch_add(1, SeqCst);
    }

    /// To be called around what takes the access away.
    pub(super) fn begin_denial(&self) {
        self.denials_begun.fetch_add(1, SeqCst);
    }

    /// See [`Page::begin_denial`].
    pub(super) fn end_denial(&self) {
        self.denials_done.fetch_add(1, SeqCst);
    }

    /// After an access that was denied: was there a reason?
    pub(super) fn may_deny(&self, before: &Before) -> bool {
        self.denials_begun.load(SeqCst) > before.denials_done
    }

    /// After an access that found `word`: may it be there?
    pub(super) fn may_hold(&self, before: &Before, word: u32) -> bool {
        if word == 0 {
            return self.may_be_zero(before);
        }
        let generation = u64::from(word) & GENERATIONS;
        if word != value(before.page, generation) || generation == 0 {
            return false;
        }
        if generation == before.generation {
            return !before.gone();
        }
        (before.generation + 1..=self.started.load(SeqCst)).contains(&generation)
    }

    fn may_be_zero(&self, before: &Before) -> bool {
        before.generation == 0 || self.discards_begun.load(SeqCst) > before.done_before_write
    }

    /// In words, what may be there after an access that began with `before`.
    pub(super) fn allowed(&self, before: &Before) -> String {
        let (last, started) = (before.generation, self.started.load(SeqCst));
        let first = if before.gone() { last + 1 } else { last.max(1) };
        let mut allowed = Vec::new();
        if first == started {
            allowed.push(format!("{:#010x}", value(before.page, first)));
        } else if first < started {
            allowed.push(format!("{:#010x} to {:#010x}", value(before.page, first), value(before.page, started)));
        }
        if self.may_be_zero(before) {
            allowed.push("0".to_owned());
        }
        allowed.join(" or ")
    }
}

impl Before {
    /// Has a discard taken the last completed write away for sure?
    fn gone(&self) -> bool {
        self.generation > 0 && self.discards_done > self.begun_after_write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: u64 = 5;

    fn write(page: &Page) -> u32 {
        let writing = page.begin_write().unwrap();
        page.end_write(writing);
        writing.value(NUMBER)
    }

    fn discard(page: &Page) {
        page.begin_discard();
        page.end_discard();
    }

    fn holds(page: &Page, word: u32) -> bool {
        page.may_hold(&page.before(NUMBER), word)
    }

    #[test]
    fn a_fresh_page_is_zero() {
        let page = Page::default();
        assert!(holds(&page, 0));
        assert!(!holds(&page, value(NUMBER, 1)));
        assert!(!holds(&page, value(NUMBER, 0)));
    }

    #[test]
    fn only_the_last_write_of_this_page_is_right() {
        let page = Page::default();
        let (old, new) = (write(&page), write(&page));
        assert!(holds(&page, new));
        for wrong in [old, 0, 0xaaaa_aaaa, foreign(NUMBER), value(NUMBER + 1, 2), value(NUMBER, 3), u32::MAX] {
            assert!(!holds(&page, wrong), "{wrong:#x}");
        }
    }

    #[test]
    fn a_completed_discard_takes_the_content_away() {
        let page = Page::default();
        let old = write(&page);
        discard(&page);
        assert!(holds(&page, 0));
        assert!(!holds(&page, old), "the discarded page is still there");
        let new = write(&page);
        assert!(holds(&page, new));
        assert!(!holds(&page, 0), "the discard was before the write");
    }

    #[test]
    fn a_discard_under_way_allows_both() {
        let page = Page::default();
        let word = write(&page);
        let before = page.before(NUMBER);
        page.begin_discard();
        assert!(page.may_hold(&before, word) && page.may_hold(&before, 0));
        let before = page.before(NUMBER);
        page.end_discard();
        assert!(page.may_hold(&before, word), "the access began before the end");
        assert!(!holds(&page, word));
    }

    #[test]
    fn a_write_that_overlaps_a_discard_may_be_lost_or_not() {
        let page = Page::default();
        page.begin_discard();
        let word = write(&page);
        page.end_discard();
        assert!(holds(&page, word) && holds(&page, 0));
        let again = write(&page);
        assert!(holds(&page, again) && !holds(&page, 0));
    }

    #[test]
    fn a_write_under_way_or_cut_short_allows_both() {
        let page = Page::default();
        let old = write(&page);
        let before = page.before(NUMBER);
        let new = page.begin_write().unwrap().value(NUMBER);
        assert!(page.may_hold(&before, old) && page.may_hold(&before, new));
        let next = write(&page);
        assert!(page.may_hold(&before, next), "a write since the access began");
        assert!(!holds(&page, old) && !holds(&page, new));
    }

    #[test]
    fn access_is_denied_only_while_it_is_taken_away() {
        let page = Page::default();
        assert!(!page.may_deny(&page.before(NUMBER)));
        let before = page.before(NUMBER);
        page.begin_denial();
        assert!(page.may_deny(&before));
        let before = page.before(NUMBER);
        page.end_denial();
        assert!(page.may_deny(&before));
        assert!(!page.may_deny(&page.before(NUMBER)));
    }

    #[test]
    fn what_is_allowed_is_said() {
        let page = Page::default();
        assert_eq!(page.allowed(&page.before(NUMBER)), "0");
        write(&page);
        assert_eq!(page.allowed(&page.before(NUMBER)), "0x06000001");
        page.begin_write().unwrap();
        assert_eq!(page.allowed(&page.before(NUMBER)), "0x06000001 to 0x06000002");
        discard(&page);
        assert_eq!(page.allowed(&page.before(NUMBER)), "0x06000002 or 0");
    }
}
