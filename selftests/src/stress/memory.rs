// SPDX-License-Identifier: GPL-2.0-only
//! The stressed guest memory: half of it private and anonymous, half of a memfd.
//!
//! Owns: its mappings, and the system calls that change them. Its addresses stay, so
//! that the memslots do. Must not: decide when, or keep the ledger.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::Context;
use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::swap::PAGE;

/// Pages of each backing: few enough that the tasks meet on one often.
pub(super) const PAGES_EACH: u64 = 64;
/// Pages of both: first the private ones.
pub(super) const PAGES: usize = 2 * PAGES_EACH as usize;
/// 4-byte words of a page.
pub(super) const WORDS: usize = PAGE / 4;
/// Inaccessible pages around each half keep VMAs from merging.
const GUARD: usize = 16 * PAGE;
const HALF: usize = PAGES_EACH as usize * PAGE;

/// What a page of guest memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backing {
    Anon,
    Shmem,
}

impl Backing {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Anon, Self::Shmem];

    /// That of page `page`.
    pub(super) fn of(page: u64) -> Self {
        if page < PAGES_EACH { Self::Anon } else { Self::Shmem }
    }

    /// Its first page.
    pub(super) fn first(self) -> u64 {
        match self {
            Self::Anon => 0,
            Self::Shmem => PAGES_EACH,
        }
    }
}

impl std::fmt::Display for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anon => "anon",
            Self::Shmem => "shmem",
        })
    }
}

/// Pages of one backing, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The first.
    pub(super) page: u64,
    /// How many.
    pub(super) count: u64,
}

impl Range {
    /// Its pages.
    pub(super) fn pages(self) -> std::ops::Range<u64> {
        self.page..self.page + self.count
    }

    fn bytes(self) -> usize {
        self.count as usize * PAGE
    }

    fn length(self) -> NonZeroUsize {
        NonZeroUsize::new(self.bytes()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// The memory.
pub(super) struct Memory {
    reserved: NonNull<c_void>,
    memfd: File,
}

impl Memory {
    /// Reserves the addresses and makes the memfd; [`Memory::populate`] maps them.
    pub(super) fn reserve() -> anyhow::Result<Self> {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        let bytes = NonZeroUsize::new(2 * HALF + 3 * GUARD).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let reserved = unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_NONE, flags) }
            .context("mmap of the guest memory's place")?;
        let memfd: OwnedFd = memfd_create(c"kvm-gup-io-stress", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        let memfd = File::from(memfd);
        memfd.set_len(HALF as u64).context("ftruncate(memfd)")?;
        Ok(Self { reserved, memfd })
    }

    /// Maps everything.
    pub(super) fn populate(&self) -> anyhow::Result<()> {
        for backing in Backing::ALL {
            self.map(Range { page: backing.first(), count: PAGES_EACH }).context("mmap of the guest memory")?;
        }
        Ok(())
    }

    /// The address of `page`.
    pub(super) fn address(&self, page: u64) -> usize {
        let within = page as usize * PAGE;
        let guards = if Backing::of(page) == Backing::Anon { GUARD } else { 2 * GUARD };
        self.reserved.as_ptr() as usize + guards + within
    }

    fn pointer(&self, range: Range) -> NonNull<c_void> {
        // SAFETY: the page is within the reservation.
        unsafe { self.reserved.byte_add(self.address(range.page) - self.reserved.as_ptr() as usize) }
    }

    /// New mappings in place of what is there; those of the memfd have its content.
    pub(super) fn map(&self, range: Range) -> nix::Result<()> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let at = NonZeroUsize::new(self.address(range.page));
        let backing = Backing::of(range.page);
        // SAFETY: only the reservation's own addresses are replaced, and no reference
        // into them exists: they are accessed by raw reads alone.
        let mapped = unsafe {
            match backing {
                Backing::Anon => {
                    mmap_anonymous(at, range.length(), protection, MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED)
                }
                Backing::Shmem => {
                    let offset = ((range.page - backing.first()) as usize * PAGE) as libc::off_t;
                    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
                    mmap(at, range.length(), protection, flags, self.memfd.as_fd(), offset)
                }
            }
        };
        mapped?;
        // One page, one swap slot; where there are no huge pages this is EINVAL, as wanted.
        self.advise(range, libc::MADV_NOHUGEPAGE).or(Ok(()))
    }

    /// Takes the mappings away. Nobody else in this process may map anything until
    /// they are back.
    pub(super) fn unmap(&self, range: Range) -> nix::Result<()> {
        // SAFETY: as in `map`.
        unsafe { munmap(self.pointer(range), range.bytes()) }
    }

    /// `madvise`.
    pub(super) fn advise(&self, range: Range, advice: libc::c_int) -> nix::Result<()> {
        // SAFETY: the range is ours, and no reference into it exists.
        let answer = unsafe { libc::madvise(self.pointer(range).as_ptr(), range.bytes(), advice) };
        Errno::result(answer).map(drop)
    }

    /// `mprotect`.
    pub(super) fn protect(&self, range: Range, protection: ProtFlags) -> nix::Result<()> {
        // SAFETY: as in `advise`.
        unsafe { nix::sys::mman::mprotect(self.pointer(range), range.bytes(), protection) }
    }

    /// Word `word` of a page that this thread knows to be mapped.
    pub(super) fn read(&self, page: u64, word: usize) -> u32 {
        let at = (self.address(page) + word * 4) as *const u32;
        // SAFETY: the page is mapped and readable, the word is within it and aligned.
        // Others write to it meanwhile, which a volatile read of one word allows.
        unsafe { at.read_volatile() }
    }

    /// Fills a page that this thread knows to be mapped and writable.
    pub(super) fn fill(&self, page: u64, value: u32) {
        for word in 0..WORDS {
            let at = (self.address(page) + word * 4) as *mut u32;
            // SAFETY: as in `read`.
            unsafe { at.write_volatile(value) };
        }
    }
}
