// SPDX-License-Identifier: GPL-2.0-only
//! Memory that two processes of ours map: one leaves there what the other must see even if
//! the first can no longer answer.
//!
//! Owns: the memfd and its mapping. Must not: know what is in it.

use std::ffi::CStr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::Context;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

/// What may lie there.
///
/// # Safety
/// It is made of atomics only, for which all zero is valid.
pub(crate) unsafe trait Shared: Sync + 'static {
    /// Of its memory, in `/proc/PID/maps`.
    const NAME: &'static CStr;
}

/// All zero, for a process to inherit.
///
/// # Errors
/// The kernel has no memory, or no descriptor, for it.
pub(crate) fn create<T: Shared>() -> anyhow::Result<OwnedFd> {
    let fd: OwnedFd = memfd_create(T::NAME, MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
    let bytes = libc::off_t::try_from(size_of::<T>()).context("the size of shared memory")?;
    nix::unistd::ftruncate(&fd, bytes).context("ftruncate of shared memory")?;
    Ok(fd)
}

/// Maps what [`create`] made, for as long as the process lives.
///
/// # Errors
/// It is shorter than a `T`; the kernel maps no more.
pub(crate) fn map<T: Shared>(fd: &OwnedFd) -> anyhow::Result<&'static T> {
    let there = nix::sys::stat::fstat(fd).context("fstat of shared memory")?.st_size;
    anyhow::ensure!(usize::try_from(there)? >= size_of::<T>(), "shared memory has {there} bytes: no {:?}", T::NAME);
    let length = NonZeroUsize::new(size_of::<T>()).context("shared memory has a size")?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd.as_fd(), 0) };
    let start: NonNull<T> = start.context("mmap of shared memory")?.cast();
    // SAFETY: the mapping is page-aligned, as long as a T and never unmapped; a T is
    // atomics only, for which all zero is valid and sharing is allowed.
    Ok(unsafe { start.as_ref() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    struct Pair([AtomicU64; 2]);
    // SAFETY: atomics only.
    unsafe impl Shared for Pair {
        const NAME: &'static CStr = c"kvm-gup-io-pair";
    }

    struct Page([AtomicU64; 512]);
    // SAFETY: atomics only.
    unsafe impl Shared for Page {
        const NAME: &'static CStr = c"kvm-gup-io-page";
    }

    #[test]
    fn both_see_one_memory_that_was_zero() {
        let fd = create::<Pair>().unwrap();
        let (one, other) = (map::<Pair>(&fd).unwrap(), map::<Pair>(&fd).unwrap());
        assert_eq!(other.0[0].load(SeqCst), 0);
        one.0[1].store(7, SeqCst);
        assert_eq!(other.0[1].load(SeqCst), 7);
    }

    #[test]
    fn what_is_too_short_is_refused() {
        let error = map::<Page>(&create::<Pair>().unwrap()).map(|page| page.0.len()).unwrap_err();
        assert_eq!(error.to_string(), "shared memory has 16 bytes: no \"kvm-gup-io-page\"");
    }
}
