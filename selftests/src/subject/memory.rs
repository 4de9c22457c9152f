// SPDX-License-Identifier: GPL-2.0-only
//! The guest memory of the probed process, as its own VMA.
//!
//! Owns: mapping, filling, paging out and comparing it. Must not: allocate after
//! its reservation. The hva never changes, so the memslot stays; the VMA is new
//! in every trial, so that its readahead state is.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::{Context, bail};
use nix::libc::c_void;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use super::guest::{PAGE, PAGES, word};

const BYTES: usize = PAGES * PAGE;
/// Inaccessible pages on each side keep the VMA from merging with another.
const GUARD: usize = 16 * PAGE;
const WORDS: usize = PAGE / 8;

pub(super) struct Memory {
    start: NonNull<c_void>,
    memfd: File,
}

fn bytes(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

impl Memory {
    /// Reserves the addresses, guards included, and a memfd.
    pub(super) fn reserve() -> anyhow::Result<Self> {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let reserved = unsafe { mmap_anonymous(None, bytes(BYTES + 2 * GUARD), ProtFlags::PROT_NONE, flags) }
            .context("mmap of the guest memory's place")?;
        // SAFETY: the reservation is longer than one guard.
        let start = unsafe { reserved.byte_add(GUARD) };
        let memfd: OwnedFd = memfd_create(c"kvm-gup-io", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        Ok(Self { start, memfd: File::from(memfd) })
    }

    pub(super) fn hva(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// New memory at the old address, filled with the pattern of `seed`.
    pub(super) fn map(&mut self, shared: bool, seed: u64) -> anyhow::Result<()> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let at = NonZeroUsize::new(self.hva());
        if shared {
            // Truncation drops the old pages and their swap slots.
            self.memfd.set_len(0).context("ftruncate(memfd, 0)")?;
            self.memfd.set_len(BYTES as u64).context("ftruncate(memfd)")?;
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
            // SAFETY: only the reservation's own addresses are replaced, and no
            // reference into them exists.
            unsafe { mmap(at, bytes(BYTES), protection, flags, self.memfd.as_fd(), 0) }
        } else {
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
            // SAFETY: as above.
            unsafe { mmap_anonymous(at, bytes(BYTES), protection, flags) }
        }
        .context("mmap of the guest memory")?;
        // Huge pages would make one read of many; without THP this is EINVAL, as wanted.
        self.advise(libc::MADV_NOHUGEPAGE);
        for (page, words) in self.words().chunks_exact_mut(WORDS).enumerate() {
            for (index, place) in words.iter_mut().enumerate() {
                *place = word(seed, page as u64, index as u64);
            }
        }
        Ok(())
    }

    fn words(&mut self) -> &mut [u64] {
        // SAFETY: `map` has mapped BYTES readable and writable bytes here; the guest
        // writes to them only while this process's main thread waits for an order.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), BYTES / 8) }
    }

    fn advise(&self, advice: libc::c_int) -> bool {
        // SAFETY: the range is ours, and none of the advices used discards content.
        unsafe { libc::madvise(self.start.as_ptr(), BYTES, advice) == 0 }
    }

    /// Starts paging everything out; false where the kernel cannot (before 5.4).
    pub(super) fn page_out(&self) -> bool {
        self.advise(libc::MADV_PAGEOUT)
    }

    /// Pages in memory, those of the swap cache included.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let mut pages = [0_u8; PAGES];
        // SAFETY: the range is mapped, and `pages` has one byte a page of it.
        let answer = unsafe { libc::mincore(self.start.as_ptr(), BYTES, pages.as_mut_ptr()) };
        nix::errno::Errno::result(answer).context("mincore of the guest memory")?;
        Ok(pages.iter().map(|page| u64::from(page & 1)).sum())
    }

    /// Compares everything with the pattern of `seed`, but for the first byte of
    /// page `written`, which is `value`; a `written` beyond the end means none.
    pub(super) fn verify(&mut self, seed: u64, written: u64, value: u64) -> anyhow::Result<()> {
        // All reads at once; one by one they would cost more than the trial.
        self.advise(libc::MADV_WILLNEED);
        for (page, words) in (0_u64..).zip(self.words().chunks_exact(WORDS)) {
            for (index, seen) in (0_u64..).zip(words) {
                let mut wanted = word(seed, page, index);
                if page == written && index == 0 {
                    wanted = wanted & !0xff | value & 0xff;
                }
                if *seen != wanted {
                    bail!("guest page {page}, word {index} is {seen:#x} and must be {wanted:#x}");
                }
            }
        }
        Ok(())
    }
}
