// SPDX-License-Identifier: GPL-2.0-only
//! Time as every process of a measurement sees it: CLOCK_MONOTONIC.
//!
//! Owns: reading the clock, deadlines, short naps. Must not: know what is
//! waited for. One clock for all processes, since a probe's return is compared
//! with the conductor's release.

use std::time::Duration;

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the duration of the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Nanoseconds as milliseconds, for reports.
#[expect(clippy::cast_precision_loss, reason = "a double holds 104 days of nanoseconds exactly")]
pub(crate) fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Sleeps for about `us` microseconds.
pub(crate) fn nap(us: u64) {
    std::thread::sleep(Duration::from_micros(us));
}

/// A moment after which waiting is an error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// `ms` milliseconds from now, stretched by the plan's `patience`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "deadlines are small and positive")]
    pub(crate) fn after(ms: u64, patience: f64) -> Self {
        Self(now() + (millis(ms * 1_000_000) * 1e6 * patience.max(0.0)) as u64)
    }

    /// The moment `ns` of [`now`].
    pub(crate) fn at(ns: u64) -> Self {
        Self(ns)
    }

    /// Is it over?
    pub(crate) fn passed(self) -> bool {
        now() >= self.0
    }

    /// What is left; nothing once passed.
    pub(crate) fn left(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_stretches_a_deadline() {
        assert!(Deadline::after(0, 5.0).passed());
        let deadline = Deadline::after(1000, 3.0);
        assert!(!deadline.passed());
        assert!(deadline.left() > Duration::from_millis(2900));
    }
}
