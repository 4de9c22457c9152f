// SPDX-License-Identifier: GPL-2.0-only
//! The writer probe: `mmap` and `munmap` of a VMA that has nothing to do with the guest.
//!
//! Owns: those two calls and their time. Must not: allocate, or map anything that
//! could merge with guest memory (it is read-only, guest memory is not).

use std::sync::mpsc::Sender;

use super::guest::PAGE;
use super::tid;
use crate::clock;
use crate::wire::{Channel, Message, Op};

/// Obeys `Go` with `Done(0, start, end)` until the conductor goes.
pub(super) fn run(orders: &Channel, ready: &Sender<u64>) {
    // The first reading of the clock maps its page; a fault during a hold would wait.
    clock::now();
    if ready.send(tid()).is_err() {
        return;
    }
    while let Ok(Some(_)) = orders.next() {
        let start = clock::now();
        let answer = match map_and_unmap() {
            Ok(()) => Message::new(Op::Done, &[0, start, clock::now()]),
            Err(error) => Message::with_text(Op::Fail, error.desc()),
        };
        if orders.send(&answer).is_err() {
            return;
        }
    }
}

fn map_and_unmap() -> nix::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(nix::errno::Errno::last());
    }
    // SAFETY: the page was mapped above, and nothing refers to it.
    nix::errno::Errno::result(unsafe { libc::munmap(page, PAGE) })?;
    Ok(())
}
