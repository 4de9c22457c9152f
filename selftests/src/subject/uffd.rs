// SPDX-License-Identifier: GPL-2.0-only
//! The descriptor through which the kernel asks for missing pages (`userfaultfd(2)`).
//!
//! Owns: its ioctls (`include/uapi/linux/userfaultfd.h`) and its messages. Must not:
//! decide when a page is given.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use anyhow::{Context, bail};
use nix::errno::Errno;

/// `UFFD_API`.
const API: u64 = 0xaa;
/// `UFFDIO_REGISTER_MODE_MISSING`.
const MISSING: u64 = 1;
/// `UFFD_EVENT_PAGEFAULT`.
const PAGEFAULT: u8 = 0x12;
/// Bytes of a `struct uffd_msg`, which is packed.
const MESSAGE: usize = 32;
/// Where in it a page fault's address lies.
const ADDRESS_AT: usize = 16;

/// `struct uffdio_api`.
#[repr(C)]
pub(super) struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
pub(super) struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_copy`.
#[repr(C)]
pub(super) struct CopyPage {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copy: i64,
}

nix::ioctl_readwrite!(uffdio_api, 0xaa, 0x3f, Api);
nix::ioctl_readwrite!(uffdio_register, 0xaa, 0x00, Register);
nix::ioctl_readwrite!(uffdio_copy, 0xaa, 0x03, CopyPage);

/// The descriptor, which does not block.
pub(super) struct Uffd(File);

impl Uffd {
    /// A new one, for this process's memory.
    ///
    /// # Errors
    /// The kernel has none (before 4.3, or without `CONFIG_USERFAULTFD`), or does not allow it.
    pub(super) fn open() -> anyhow::Result<Self> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the system call takes flags only.
        let fd = Errno::result(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })
            .context("userfaultfd(2), which needs Linux 4.3 and CONFIG_USERFAULTFD")?;
        let fd = RawFd::try_from(fd).context("userfaultfd(2) gave no descriptor")?;
        // SAFETY: the kernel has just opened it, and nothing else owns it.
        let uffd = Self(unsafe { File::from_raw_fd(fd) });
        let mut api = Api { api: API, features: 0, ioctls: 0 };
        // SAFETY: `api` is what the ioctl reads and writes, for the duration of the call.
        unsafe { uffdio_api(fd, &raw mut api) }.context("ioctl(UFFDIO_API)")?;
        Ok(uffd)
    }

    /// The same for another thread.
    pub(super) fn try_clone(&self) -> anyhow::Result<Self> {
        self.0.try_clone().map(Self).context("duplicating the userfaultfd")
    }

    /// Asks here for the missing pages of this mapping from now on; one that replaces it
    /// is not asked for.
    pub(super) fn register(&self, start: usize, bytes: usize) -> anyhow::Result<()> {
        let mut register = Register { start: start as u64, len: bytes as u64, mode: MISSING, ioctls: 0 };
        // SAFETY: `register` is what the ioctl reads and writes, for the duration of the call.
        unsafe { uffdio_register(self.0.as_raw_fd(), &raw mut register) }.context("ioctl(UFFDIO_REGISTER)")?;
        Ok(())
    }

    /// The address that a fault waits for; `None` if none does (any more).
    pub(super) fn next(&mut self) -> anyhow::Result<Option<usize>> {
        let mut message = [0; MESSAGE];
        match self.0.read(&mut message) {
            Ok(MESSAGE) => {}
            Ok(count) => bail!("the userfaultfd gave {count} bytes instead of {MESSAGE}"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("reading the userfaultfd"),
        }
        if message[0] != PAGEFAULT {
            bail!("the userfaultfd told of event {:#x}, which was not asked for", message[0]);
        }
        let mut address = [0; 8];
        address.copy_from_slice(&message[ADDRESS_AT..][..8]);
        usize::try_from(u64::from_ne_bytes(address)).map(Some).context("no address")
    }

    /// Makes `page` the page at `at` and wakes who waits for it; one that is there already
    /// stays.
    pub(super) fn give(&self, at: usize, page: &[u8]) -> anyhow::Result<()> {
        let mut copy = CopyPage { dst: at as u64, src: page.as_ptr() as u64, len: page.len() as u64, mode: 0, copy: 0 };
        // SAFETY: `copy` is what the ioctl reads and writes, and `page` what it names as the
        // source, both for the duration of the call.
        match unsafe { uffdio_copy(self.0.as_raw_fd(), &raw mut copy) } {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("ioctl(UFFDIO_COPY) to {at:#x}")),
        }
    }
}

impl AsRawFd for Uffd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_long_as_the_kernels() {
        assert_eq!((size_of::<Api>(), size_of::<Register>(), size_of::<CopyPage>()), (24, 32, 40));
    }
}
