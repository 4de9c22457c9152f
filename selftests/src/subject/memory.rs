// SPDX-License-Identifier: GPL-2.0-only
//! The guest memory of the probed process, as its own VMA.
//!
//! Owns: mapping, filling, paging out and comparing it. Must not: allocate after
//! its reservation. The hva never changes, so the memslot stays; the VMA is new
//! in every trial, so that its readahead state is.

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc::c_void;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use super::guest::{PAGE, PAGES, word};
use super::pager::Pager;
use super::uffd::Uffd;
use crate::rig::FILE_OFFSET;

const BYTES: usize = PAGES * PAGE;
/// Inaccessible pages on each side keep the VMA from merging with another.
const GUARD: usize = 16 * PAGE;
const WORDS: usize = PAGE / 8;

/// What the guest memory is a mapping of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    /// Nothing: private anonymous.
    Private = 0,
    /// A memfd.
    Memfd = 1,
    /// The block device, with the kernel's read-around.
    File = 2,
    /// The block device, for random access.
    FileRandom = 3,
    /// The block device, privately.
    PrivateFile = 4,
    /// Nothing, and no page of it is there: userfaultfd asks for each.
    Missing = 5,
}

impl Kind {
    /// From a message.
    pub(super) fn from_arg(arg: u64) -> anyhow::Result<Self> {
        let all = [Self::Private, Self::Memfd, Self::File, Self::FileRandom, Self::PrivateFile, Self::Missing];
        all.into_iter().find(|kind| *kind as u64 == arg).with_context(|| format!("no kind of memory is {arg}"))
    }

    fn is_file(self) -> bool {
        matches!(self, Self::File | Self::FileRandom | Self::PrivateFile)
    }
}

pub(super) struct Memory {
    start: NonNull<c_void>,
    memfd: Option<File>,
    disk: File,
    /// Who is asked for missing pages, or why nobody can be.
    uffd: Result<Uffd, String>,
    /// What the pager fills missing pages with.
    seed: Arc<AtomicU64>,
    kind: Kind,
}

fn bytes(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

impl Memory {
    /// Reserves the addresses, guards included, and opens what can be mapped there.
    pub(super) fn reserve(disk: &Path) -> anyhow::Result<Self> {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let reserved = unsafe { mmap_anonymous(None, bytes(BYTES + 2 * GUARD), ProtFlags::PROT_NONE, flags) }
            .context("mmap of the guest memory's place")?;
        // SAFETY: the reservation is longer than one guard.
        let start = unsafe { reserved.byte_add(GUARD) };
        let memfd: OwnedFd = memfd_create(c"kvm-gup-io", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        let opened = OpenOptions::new().read(true).write(true).open(disk);
        let disk = opened.with_context(|| format!("opening {}", disk.display()))?;
        let uffd = Uffd::open().map_err(|error| format!("{error:#}"));
        let seed = Arc::new(AtomicU64::new(0));
        Ok(Self { start, memfd: Some(File::from(memfd)), disk, uffd, seed, kind: Kind::Private })
    }

    /// The thread that is to answer for missing pages, not started yet.
    pub(super) fn pager(&self) -> anyhow::Result<Pager> {
        let uffd = self.uffd.as_ref().ok().map(Uffd::try_clone).transpose()?;
        Ok(Pager::new(self.hva(), uffd, Arc::clone(&self.seed)))
    }

    /// Why the guest memory cannot be of this kind here, if it cannot.
    pub(super) fn cannot_map(&self, kind: Kind) -> Option<&str> {
        self.uffd.as_ref().err().filter(|_| kind == Kind::Missing).map(String::as_str)
    }

    pub(super) fn hva(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// New memory at the old address, filled with the pattern of `seed`.
    pub(super) fn map(&mut self, kind: Kind, seed: u64) -> anyhow::Result<()> {
        self.kind = kind;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let at = NonZeroUsize::new(self.hva());
        let of_file = |file: &File, offset, sharing| {
            let flags = sharing | MapFlags::MAP_FIXED;
            // SAFETY: only the reservation's own addresses are replaced, and no
            // reference into them exists.
            unsafe { mmap(at, bytes(BYTES), protection, flags, file.as_fd(), offset) }
        };
        let disk_offset = FILE_OFFSET as libc::off_t;
        match kind {
            Kind::Private | Kind::Missing => {
                let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
                // SAFETY: as above.
                unsafe { mmap_anonymous(at, bytes(BYTES), protection, flags) }
            }
            Kind::Memfd => {
                // Truncation drops the old pages and their swap slots.
                self.truncate()?;
                let memfd = self.memfd.as_ref().context("the memfd is closed")?;
                memfd.set_len(BYTES as u64).context("ftruncate(memfd)")?;
                of_file(memfd, 0, MapFlags::MAP_SHARED)
            }
            Kind::File | Kind::FileRandom => of_file(&self.disk, disk_offset, MapFlags::MAP_SHARED),
            Kind::PrivateFile => of_file(&self.disk, disk_offset, MapFlags::MAP_PRIVATE),
        }
        .context("mmap of the guest memory")?;
        // Huge pages would make one read of many; without THP this is EINVAL, as wanted.
        self.advise(libc::MADV_NOHUGEPAGE);
        if kind == Kind::FileRandom && !self.advise(libc::MADV_RANDOM) {
            bail!("madvise(MADV_RANDOM): {}", std::io::Error::last_os_error());
        }
        if kind != Kind::Missing {
            return self.fill(seed);
        }
        self.seed.store(seed, Ordering::Release);
        match &self.uffd {
            Ok(uffd) => uffd.register(self.hva(), BYTES),
            Err(reason) => bail!("{reason}"),
        }
    }

    /// The number of the memfd's descriptor; -1 once it is closed.
    pub(super) fn memfd_number(&self) -> RawFd {
        self.memfd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Drops all that is in the memfd.
    pub(super) fn truncate(&self) -> anyhow::Result<()> {
        let memfd = self.memfd.as_ref().context("the memfd is closed")?;
        memfd.set_len(0).context("ftruncate(memfd, 0)")
    }

    /// Closes the only descriptor of the memfd.
    pub(super) fn close(&mut self) {
        self.memfd = None;
    }

    /// Gives private page `page` back, and writes the pattern of `seed` to it with `byte` as the first.
    pub(super) fn renew(&mut self, seed: u64, page: u64, byte: u64) -> anyhow::Result<()> {
        let index = usize::try_from(page).ok().filter(|page| *page < PAGES).context("no such page")?;
        // SAFETY: the page is ours; what is in it is to be lost.
        let answer = unsafe { libc::madvise(self.start.as_ptr().byte_add(index * PAGE), PAGE, libc::MADV_DONTNEED) };
        nix::errno::Errno::result(answer).context("madvise(MADV_DONTNEED)")?;
        for (place, at) in self.words()[index * WORDS..][..WORDS].iter_mut().zip(0..) {
            *place = word(seed, page, at);
            if at == 0 {
                *place = *place & !0xff | byte & 0xff;
            }
        }
        Ok(())
    }

    /// Writes the pattern: of a file past the mapping, so that nothing is mapped when
    /// the guest comes, and nothing read before it is overwritten.
    fn fill(&mut self, seed: u64) -> anyhow::Result<()> {
        let mut page_of_file = [0; PAGE];
        for page in 0..PAGES {
            let pattern = (0..WORDS).map(|index| word(seed, page as u64, index as u64));
            if self.kind.is_file() {
                for (place, word) in page_of_file.chunks_exact_mut(8).zip(pattern) {
                    place.copy_from_slice(&word.to_ne_bytes());
                }
                let at = (FILE_OFFSET + page * PAGE) as u64;
                self.disk.write_all_at(&page_of_file, at).context("writing the file behind the guest memory")?;
            } else {
                let words = &mut self.words()[page * WORDS..][..WORDS];
                for (place, word) in words.iter_mut().zip(pattern) {
                    *place = word;
                }
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
        // SAFETY: the range is ours, and none of the advices used discards content
        // (MADV_DONTNEED comes only to a file of which nothing private was made yet).
        unsafe { libc::madvise(self.start.as_ptr(), BYTES, advice) == 0 }
    }

    /// Starts to get everything out of memory; false where the kernel cannot (swap
    /// before 5.4).
    pub(super) fn page_out(&self) -> anyhow::Result<bool> {
        if !self.kind.is_file() {
            return Ok(self.advise(libc::MADV_PAGEOUT));
        }
        self.disk.sync_data().context("fdatasync of the file behind the guest memory")?;
        // A page that is mapped would stay.
        self.advise(libc::MADV_DONTNEED);
        let (at, advice) = (FILE_OFFSET as libc::off_t, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        posix_fadvise(&self.disk, at, BYTES as libc::off_t, advice).context("posix_fadvise(POSIX_FADV_DONTNEED)")?;
        Ok(true)
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
