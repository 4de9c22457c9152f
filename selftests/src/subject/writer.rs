// SPDX-License-Identifier: GPL-2.0-only
//! The probes that want the mmap lock for writing, each a thread of the probed process.
//!
//! Owns: their system calls and the time of these. Must not: allocate, or map anything
//! that could merge with guest memory (it is read-only, guest memory is not).

use std::sync::mpsc::Sender;

use nix::errno::Errno;

use super::change::Change;
use super::guest::PAGE;
use super::tid;
use crate::clock;
use crate::wire::{Channel, Message, Op};

/// What a writer writes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writer {
    /// A VMA of its own, which has nothing to do with the guest: `mmap` and `munmap`.
    Elsewhere,
    /// The VMA of the guest memory at this address: a [`Change`].
    GuestVma(usize),
}

/// Obeys `Go`, or `Go(change, page, byte)`, with `Done(0, start, end)` until the conductor goes.
pub(super) fn run(writer: Writer, orders: &Channel, ready: &Sender<u64>) {
    // The first reading of the clock maps its page; a fault during a hold would wait.
    clock::now();
    if ready.send(tid()).is_err() {
        return;
    }
    while let Ok(Some(order)) = orders.next() {
        let start = clock::now();
        let written = match writer {
            Writer::Elsewhere => map_and_unmap().map_err(anyhow::Error::from),
            Writer::GuestVma(hva) => {
                let [change, page, byte, ..] = order.args;
                Change::from_arg(change).and_then(|change| change.make(hva, page, byte))
            }
        };
        let answer = match written {
            Ok(()) => Message::new(Op::Done, &[0, start, clock::now()]),
            Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
        };
        if orders.send(&answer).is_err() {
            return;
        }
    }
}

pub(crate) fn map_and_unmap() -> nix::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the page was mapped above, and nothing refers to it.
    Errno::result(unsafe { libc::munmap(page, PAGE) })?;
    Ok(())
}
