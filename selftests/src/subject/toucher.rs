// SPDX-License-Identifier: GPL-2.0-only
//! Accesses to the guest memory that no guest makes, by a thread of the probed process.
//!
//! Owns: an ordinary load or store, a transfer with O_DIRECT between the page and another
//! disk, and the two calls that read all of it. Must not: allocate or map between an order and its answer.

use std::fs::{File, OpenOptions};
use std::os::fd::RawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::Sender;

use anyhow::{Context, bail};
use nix::errno::Errno;

use super::guest::{PAGE, PAGES, word};
use super::tid;
use crate::clock;
use crate::wire::{Channel, Message, Op};

/// How the page is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Touch {
    /// Loads its first byte.
    Load = 0,
    /// Stores its first byte.
    Store = 1,
    /// `pwrite` from it with O_DIRECT: a transfer that reads it.
    DirectFrom = 2,
    /// `pread` to it with O_DIRECT: a transfer that writes it.
    DirectTo = 3,
    /// `mlock` of all guest memory.
    Lock = 4,
    /// `mmap` of the memfd over all guest memory, with MAP_POPULATE.
    Populate = 5,
}

impl Touch {
    fn from_arg(arg: u64) -> anyhow::Result<Self> {
        let all = [Self::Load, Self::Store, Self::DirectFrom, Self::DirectTo, Self::Lock, Self::Populate];
        all.into_iter().find(|touch| *touch as u64 == arg).with_context(|| format!("no touch is {arg}"))
    }
}

/// A page of this thread's own, aligned as O_DIRECT wants it.
#[repr(align(4096))]
struct Page([u8; PAGE]);

/// The thread's memory and disk.
pub(super) struct Toucher {
    hva: usize,
    /// The number of the memfd, which the main thread owns.
    memfd: RawFd,
    disk: File,
    page: Box<Page>,
}

impl Toucher {
    /// For guest memory at `hva`; transfers go to and from the start of `disk`.
    pub(super) fn new(hva: usize, memfd: RawFd, disk: &Path) -> anyhow::Result<Self> {
        let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(disk);
        let disk = opened.with_context(|| format!("opening {} with O_DIRECT", disk.display()))?;
        Ok(Self { hva, memfd, disk, page: Box::new(Page([0; PAGE])) })
    }

    /// Obeys `Go(page, value, touch, seed)` with `Done(value, start, end)` until the
    /// conductor goes.
    pub(super) fn run(mut self, orders: &Channel, ready: &Sender<u64>) {
        // The first reading of the clock maps its page; a fault during a hold would wait.
        clock::now();
        if ready.send(tid()).is_err() {
            return;
        }
        while let Ok(Some(order)) = orders.next() {
            let [page, value, touch, seed, ..] = order.args;
            let answer = match Touch::from_arg(touch).and_then(|touch| self.touch(touch, page, value, seed)) {
                Ok((byte, start, end)) => Message::new(Op::Done, &[byte.into(), start, end]),
                Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
            };
            if orders.send(&answer).is_err() {
                return;
            }
        }
    }

    /// The byte that came of it, and the times before and after.
    fn touch(&mut self, touch: Touch, page: u64, value: u64, seed: u64) -> anyhow::Result<(u8, u64, u64)> {
        let index = usize::try_from(page).ok().filter(|page| *page < PAGES).context("no such page")?;
        let at = (self.hva + index * PAGE) as *mut u8;
        let byte = value.to_le_bytes()[0];
        if touch == Touch::DirectTo {
            self.fill(page, byte, seed);
            self.disk.write_all_at(&self.page.0, 0).context("writing what the transfer reads")?;
        }
        let start = clock::now();
        let seen = match touch {
            // SAFETY: the page is mapped, readable and writable, and no reference to it exists.
            Touch::Load => unsafe { at.read_volatile() },
            // SAFETY: as above.
            Touch::Store => unsafe {
                at.write_volatile(byte);
                byte
            },
            Touch::DirectFrom => {
                // SAFETY: as above, and one page long; the kernel reads it.
                let count = unsafe { libc::pwrite(fd(&self.disk), at.cast(), PAGE, 0) };
                whole(count).context("pwrite with O_DIRECT")?;
                0
            }
            Touch::DirectTo => {
                // SAFETY: as above; the kernel writes it.
                let count = unsafe { libc::pread(fd(&self.disk), at.cast(), PAGE, 0) };
                whole(count).context("pread with O_DIRECT")?;
                byte
            }
            Touch::Lock => {
                // SAFETY: the range is mapped; locking it changes nothing that Rust knows of.
                let locked = unsafe { libc::mlock(self.hva as *const libc::c_void, PAGES * PAGE) };
                Errno::result(locked).context("mlock")?;
                0
            }
            Touch::Populate => self.populate()?,
        };
        let end = clock::now();
        let seen = if touch == Touch::DirectFrom { self.transferred()? } else { seen };
        Ok((seen, start, end))
    }

    /// The same memory again, in one call that reads all of it.
    fn populate(&self) -> anyhow::Result<u8> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE);
        let at = self.hva as *mut libc::c_void;
        // SAFETY: only the guest memory's own addresses are replaced, by the same memory.
        let mapped = unsafe { libc::mmap(at, PAGES * PAGE, protection, flags, self.memfd, 0) };
        if mapped == libc::MAP_FAILED { Err(Errno::last()).context("mmap with MAP_POPULATE") } else { Ok(0) }
    }

    /// The pattern of guest page `page`, but for its first byte.
    fn fill(&mut self, page: u64, byte: u8, seed: u64) {
        for (index, place) in (0..).zip(self.page.0.chunks_exact_mut(8)) {
            place.copy_from_slice(&word(seed, page, index).to_ne_bytes());
        }
        self.page.0[0] = byte;
    }

    /// The first byte of what is on the disk now.
    fn transferred(&mut self) -> anyhow::Result<u8> {
        self.disk.read_exact_at(&mut self.page.0, 0).context("reading what was transferred")?;
        Ok(self.page.0[0])
    }
}

fn fd(file: &File) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_raw_fd()
}

/// Was it all of the page?
fn whole(count: isize) -> anyhow::Result<()> {
    match Errno::result(count)? {
        count if count == PAGE.cast_signed() => Ok(()),
        count => bail!("{count} of {PAGE} bytes"),
    }
}
