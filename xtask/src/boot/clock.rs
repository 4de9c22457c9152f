// SPDX-License-Identifier: GPL-2.0-only
//! The host's time stamp counter, which QEMU's emulated CPUs read.
//!
//! Owns: its frequency, and whether it is fit to be a guest's clock. Must not:
//! decide what the guest is told.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Two readings this far apart tell the frequency to about 50 parts in a million:
/// each is within a microsecond of its time.
const BASELINE: Duration = Duration::from_millis(20);
/// A second measurement that differs by more than this share says that a reading
/// was interrupted.
const AGREEMENT: u64 = 2000;
/// Pairs of measurements before giving up.
const ATTEMPTS: u32 = 5;

static KHZ: LazyLock<Option<u32>> = LazyLock::new(|| {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if constant(&cpuinfo) { measure() } else { None }
});

/// Its frequency in kHz; `None` if it changes with the CPU's, or cannot be read.
pub(super) fn tsc_khz() -> Option<u32> {
    *KHZ
}

/// Does every CPU say that its counter runs at one rate, asleep or awake?
fn constant(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags")).peekable();
    let has = |line: &str, flag: &str| line.split_whitespace().any(|word| word == flag);
    flags.peek().is_some() && flags.all(|line| has(line, "constant_tsc") && has(line, "nonstop_tsc"))
}

/// Two measurements in a row that agree.
fn measure() -> Option<u32> {
    (0..ATTEMPTS).find_map(|_| {
        let (first, second) = (once()?, once()?);
        (first.abs_diff(second) <= first / AGREEMENT).then(|| u32::try_from(first.midpoint(second)).ok())?
    })
}

#[cfg(target_arch = "x86_64")]
fn once() -> Option<u64> {
    // SAFETY: RDTSC reads a counter and has no other effect; every 64-bit CPU has it.
    let read = || (Instant::now(), unsafe { core::arch::x86_64::_rdtsc() });
    let (began, from) = read();
    std::thread::sleep(BASELINE);
    let (ended, to) = read();
    let microseconds = u64::try_from(ended.duration_since(began).as_micros()).ok()?;
    to.checked_sub(from)?.checked_mul(1000)?.checked_div(microseconds)
}

#[cfg(not(target_arch = "x86_64"))]
fn once() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_may_stop_is_not_fit() {
        assert!(constant("flags\t\t: fpu tsc constant_tsc nonstop_tsc\nflags\t\t: nonstop_tsc constant_tsc\n"));
        assert!(!constant("flags\t\t: fpu constant_tsc nonstop_tsc\nflags\t\t: fpu tsc\n"));
        assert!(!constant("flags\t\t: fpu constant_tsc_not nonstop_tsc\n"));
        assert!(!constant(""));
    }

    #[test]
    fn two_measurements_agree() {
        if let (Some(first), Some(second)) = (measure(), measure()) {
            assert!(first.abs_diff(second) < first / 100, "{first} kHz, {second} kHz");
        }
    }
}
