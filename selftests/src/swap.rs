// SPDX-License-Identifier: GPL-2.0-only
//! The swap area on the device.
//!
//! Owns: its header, `swapon`, `swapoff`, the readahead setting, and where
//! `/proc/swaps` and pagemap say a page went. Must not: know who serves the device.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::Context;
use nix::errno::Errno;

/// Bytes of a page; the only size x86 swaps guest memory in.
pub(crate) const PAGE: usize = 4096;

const PAGE_CLUSTER: &str = "/proc/sys/vm/page-cluster";
/// `SWAP_FLAG_PREFER` with the highest priority: on a host that has swap of its
/// own, the subject's pages must come here all the same.
const PREFER_FIRST: libc::c_int = 0x8000 | 0x7fff;

/// The first page of a swap area of `pages` pages, as `mkswap` writes it.
pub(crate) fn header(pages: usize) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let last = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    page[1024..1028].copy_from_slice(&1_u32.to_le_bytes());
    page[1028..1032].copy_from_slice(&last.to_le_bytes());
    page[1052..1060].copy_from_slice(b"kvmgupio");
    page[PAGE - 10..].copy_from_slice(b"SWAPSPACE2");
    page
}

/// Starts swapping to `device` before any other.
pub(crate) fn on(device: &Path) -> anyhow::Result<()> {
    let path = c_path(device)?;
    // SAFETY: `path` is a NUL-terminated string that lives across the call.
    Errno::result(unsafe { libc::swapon(path.as_ptr(), PREFER_FIRST) })
        .with_context(|| format!("swapon({})", device.display()))?;
    Ok(())
}

/// Stops swapping to `device`.
pub(crate) fn off(device: &Path) -> anyhow::Result<()> {
    let path = c_path(device)?;
    // SAFETY: `path` is a NUL-terminated string that lives across the call.
    Errno::result(unsafe { libc::swapoff(path.as_ptr()) }).with_context(|| format!("swapoff({})", device.display()))?;
    Ok(())
}

fn c_path(path: &Path) -> anyhow::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).with_context(|| format!("{} has a NUL byte", path.display()))
}

/// Does `swaps`, the text of `/proc/swaps`, list `device`?
pub(crate) fn lists(swaps: &str, device: &Path) -> bool {
    swaps.lines().any(|line| line.split_whitespace().next() == device.to_str())
}

/// Is `device` in use for swap now?
pub(crate) fn active(device: &Path) -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|swaps| lists(&swaps, device))
}

/// `vm.page-cluster`, the base 2 logarithm of the readahead window.
pub(crate) fn page_cluster() -> anyhow::Result<u32> {
    let text = fs::read_to_string(PAGE_CLUSTER).context(PAGE_CLUSTER)?;
    text.trim().parse().with_context(|| format!("{PAGE_CLUSTER} says {text:?}"))
}

/// Sets `vm.page-cluster`.
pub(crate) fn set_page_cluster(value: u32) -> anyhow::Result<()> {
    fs::write(PAGE_CLUSTER, value.to_string()).with_context(|| format!("writing {value} to {PAGE_CLUSTER}"))
}

/// Where a pagemap entry says its page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory.
    Memory,
    /// In this page of a swap area.
    Slot(u64),
    /// Nowhere that this entry knows: never touched, or of a file.
    Nowhere,
}

/// What a pagemap entry (`Documentation/admin-guide/mm/pagemap.rst`) says.
pub(crate) fn place(entry: u64) -> Place {
    if entry >> 63 & 1 == 1 {
        Place::Memory
    } else if entry >> 62 & 1 == 1 {
        Place::Slot(entry >> 5 & ((1 << 50) - 1))
    } else {
        Place::Nowhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_the_kernel_reads() {
        let page = header(4096);
        assert_eq!(&page[4086..], b"SWAPSPACE2");
        assert_eq!(page[1024..1032], [1, 0, 0, 0, 0xff, 0x0f, 0, 0]);
        assert!(page[..1024].iter().all(|byte| *byte == 0), "the boot block stays empty");
    }

    #[test]
    fn a_device_is_found_in_proc_swaps() {
        let swaps = "Filename\tType\tSize\tUsed\tPriority\n/dev/nbd0    partition\t16380\t0\t32767\n";
        assert!(lists(swaps, Path::new("/dev/nbd0")));
        assert!(!lists(swaps, Path::new("/dev/nbd")));
    }

    #[test]
    fn pagemap_entries_are_told_apart() {
        assert_eq!(place(1 << 63 | 0x1234), Place::Memory);
        assert_eq!(place(1 << 62 | 77 << 5 | 3), Place::Slot(77));
        assert_eq!(place(0), Place::Nowhere);
    }
}
