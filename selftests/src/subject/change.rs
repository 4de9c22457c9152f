// SPDX-License-Identifier: GPL-2.0-only
//! What a thread of the probed process does to the guest memory's mapping.
//!
//! Owns: the system calls. Must not: allocate, or say what must come of them.

use anyhow::Context;
use nix::errno::Errno;
use nix::libc::c_void;

use super::guest::{PAGE, PAGES};
use super::sigbus;

const BYTES: usize = PAGES * PAGE;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Change {
    /// `mprotect` of the last page, which no trial accesses, and back again.
    Protect = 0,
    /// `munmap` of all of it.
    Unmap = 1,
    /// `MADV_DONTNEED` of the page.
    Discard = 2,
    /// `mmap` of other memory over all of it, and a store to the page.
    Replace = 3,
    /// `MADV_HWPOISON` of the page.
    Poison = 4,
}

impl Change {
    pub(super) fn from_arg(arg: u64) -> anyhow::Result<Self> {
        let all = [Self::Protect, Self::Unmap, Self::Discard, Self::Replace, Self::Poison];
        all.into_iter().find(|change| *change as u64 == arg).with_context(|| format!("no change is {arg}"))
    }

    /// Does it to the guest memory at `hva`; `byte` is what is stored.
    pub(super) fn make(self, hva: usize, page: u64, byte: u64) -> anyhow::Result<()> {
        let page = usize::try_from(page).ok().filter(|page| *page < PAGES).context("no such page")?;
        let (all, at) = (hva as *mut c_void, (hva + page * PAGE) as *mut c_void);
        match self {
            Self::Protect => protect(hva).context("mprotect")?,
            // SAFETY: nothing but the guest refers to the memory, and KVM notices.
            Self::Unmap => Errno::result(unsafe { libc::munmap(all, BYTES) }).map(drop).context("munmap")?,
            // SAFETY: as above.
            Self::Discard => Errno::result(unsafe { libc::madvise(at, PAGE, libc::MADV_DONTNEED) })
                .map(drop)
                .context("madvise(MADV_DONTNEED)")?,
            Self::Poison => {
                // SAFETY: as above; the kernel takes the page out of use for good.
                let answer = unsafe { libc::madvise(at, PAGE, libc::MADV_HWPOISON) };
                Errno::result(answer).context("madvise(MADV_HWPOISON)")?;
                // 6.12 and later send a SIGBUS for that alone, to whoever has the page mapped and poisons it.
                sigbus::note_first()?;
            }
            Self::Replace => {
                let protection = libc::PROT_READ | libc::PROT_WRITE;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
                // SAFETY: as above; only the guest memory's own addresses are replaced.
                if unsafe { libc::mmap(all, BYTES, protection, flags, -1, 0) } == libc::MAP_FAILED {
                    return Err(Errno::last()).context("mmap(MAP_FIXED)");
                }
                // SAFETY: the page was mapped writable just now.
                unsafe { at.cast::<u8>().write_volatile(byte.to_le_bytes()[0]) };
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Protect => "mprotect()",
            Self::Unmap => "munmap()",
            Self::Discard => "madvise(MADV_DONTNEED)",
            Self::Replace => "mmap(MAP_FIXED)",
            Self::Poison => "madvise(MADV_HWPOISON)",
        })
    }
}

fn protect(hva: usize) -> nix::Result<()> {
    let last = hva + (PAGES - 1) * PAGE;
    for protection in [libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE] {
        // SAFETY: the page stays mapped, and nobody writes to it meanwhile.
        Errno::result(unsafe { libc::mprotect(last as *mut c_void, PAGE, protection) })?;
    }
    Ok(())
}
