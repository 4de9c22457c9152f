// SPDX-License-Identifier: GPL-2.0-only
//! Ctrl-C and its like: a flag that every wait looks at.
//!
//! Owns: the handlers of SIGINT, SIGTERM and SIGHUP. Must not: exit; whoever
//! waits returns [`Error::Interrupted`](crate::error::Error::Interrupted), so that
//! destructors end processes, remove half-written files and release locks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::Error;

static FLAG: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));

/// Installs the handlers. A second signal ends the process at once, for a user
/// who does not want to wait for the first one's clean-up; children then die by
/// their parent-death signal.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn install() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&FLAG))?;
        signal_hook::flag::register(signal, Arc::clone(&FLAG))?;
    }
    Ok(())
}

/// Has a signal come?
#[must_use]
pub fn pending() -> bool {
    FLAG.load(Ordering::Relaxed)
}

/// An error if a signal has come; for loops over long work.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check() -> Result<(), Error> {
    if pending() { Err(Error::Interrupted) } else { Ok(()) }
}
