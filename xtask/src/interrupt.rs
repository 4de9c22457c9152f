// SPDX-License-Identifier: GPL-2.0-only
//! Ctrl-C and its like, and an alarm: what every wait looks at.
//!
//! Owns: the handlers of SIGINT, SIGTERM and SIGHUP, and the time at which work that has
//! only so much of it ends as if by a signal. Must not: exit; whoever
//! waits returns [`Error::Interrupted`](crate::error::Error::Interrupted), so that
//! destructors end processes, remove half-written files and release locks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

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

static ALARM: Mutex<Option<Instant>> = Mutex::new(None);

/// Has a signal come, or has the alarm gone off?
#[must_use]
pub fn pending() -> bool {
    let alarm = || *ALARM.lock().unwrap_or_else(PoisonError::into_inner);
    signalled() || alarm().is_some_and(|at| Instant::now() >= at)
}

/// Has a signal come?
#[must_use]
pub fn signalled() -> bool {
    FLAG.load(Ordering::Relaxed)
}

/// An alarm that is set until this is dropped.
#[derive(Debug)]
pub struct Alarm(());

impl Alarm {
    /// Lets all work of this process end at that time as if by a signal; the newest alarm
    /// counts.
    #[must_use]
    pub fn at(time: Instant) -> Self {
        *ALARM.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
        Self(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        *ALARM.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// An error if a signal has come, or the alarm has gone off; for loops over long work.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check() -> Result<(), Error> {
    if pending() { Err(Error::Interrupted) } else { Ok(()) }
}
