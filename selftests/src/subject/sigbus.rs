// SPDX-License-Identifier: GPL-2.0-only
//! The first SIGBUS of the probed process, which KVM sends for a poisoned page.
//!
//! Owns: the handler, and what it noted. Must not: let a second one pass: that one kills,
//! as an access that is repeated after a handler returned would fail for ever.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use anyhow::Context;
use nix::libc::{c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Its `si_code`; 0, which no SIGBUS of the kernel has, before it came.
static CODE: AtomicI32 = AtomicI32::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);

extern "C" fn note(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a siginfo of this signal, which has
    // an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr()) };
    ADDRESS.store(address as u64, Ordering::SeqCst);
    CODE.store(code, Ordering::SeqCst);
}

/// Forgets what there was, and notes the first SIGBUS from now on.
pub(super) fn note_first() -> anyhow::Result<()> {
    CODE.store(0, Ordering::SeqCst);
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESETHAND;
    let action = SigAction::new(SigHandler::SigAction(note), flags, SigSet::empty());
    // SAFETY: the handler stores two numbers.
    unsafe { sigaction(Signal::SIGBUS, &action) }.context("catching SIGBUS").map(drop)
}

/// Its `si_code` and `si_addr`, once it came.
pub(super) fn noted() -> Option<(i32, u64)> {
    let code = CODE.load(Ordering::SeqCst);
    (code != 0).then(|| (code, ADDRESS.load(Ordering::SeqCst)))
}
