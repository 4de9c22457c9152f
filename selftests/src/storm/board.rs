// SPDX-License-Identifier: GPL-2.0-only
//! What the processes of a storm share: the end, the counts, the probes' shots.
//!
//! Owns: the memory of it, which both map, so that a probe that waits has already left
//! what it saw before. Must not: decide anything.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use selftests::cell::Probe;
use selftests::storms::{MOST_SHOTS, MOST_VCPUS, PROBES};

use crate::clock::{self, nap, now};
use crate::shared::Shared;

/// A probe's shots: begin and end of each, and how many are over.
#[repr(C)]
pub(super) struct Track {
    taken: AtomicU64,
    shots: [[AtomicU64; 2]; MOST_SHOTS as usize],
}

/// One vCPU's counts.
#[repr(C)]
pub(super) struct Line {
    pub(super) accesses: AtomicU64,
    pub(super) stores: AtomicU64,
}

/// Everything; all zero at first.
#[repr(C)]
pub(super) struct Board {
    /// Not 0: the storm is over.
    pub(super) stop: AtomicU64,
    /// [`clock::now`] at which the first shot is to begin; 0 until that is known.
    pub(super) start: AtomicU64,
    pub(super) vcpus: [Line; MOST_VCPUS as usize],
    tracks: [Track; PROBES.len()],
}

// SAFETY: atomics only.
unsafe impl Shared for Board {
    const NAME: &'static CStr = c"kvm-gup-io-storm";
}

/// When a probe shoots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How many shots.
    pub(super) shots: u32,
    /// From one to the next, in nanoseconds.
    pub(super) interval: u64,
    /// From the start to the first, in nanoseconds.
    pub(super) offset: u64,
}

impl Board {
    /// Is it time to end?
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(SeqCst) != 0
    }

    fn track(&self, probe: Probe) -> &Track {
        &self.tracks[PROBES.iter().position(|known| *known == probe).unwrap_or(0)]
    }

    /// Shots of `probe` that are over.
    pub(super) fn taken(&self, probe: Probe) -> u64 {
        self.track(probe).taken.load(SeqCst)
    }

    /// Shoots at the times of `pace`, or at once what is late; a shot is never left out
    /// because the one before it took too long. Neither allocates nor maps.
    ///
    /// # Errors
    /// That of `shot`.
    pub(super) fn shoot<E>(&self, probe: Probe, pace: Pace, mut shot: impl FnMut() -> Result<(), E>) -> Result<(), E> {
        while self.start.load(SeqCst) == 0 && !self.stopped() {
            nap(100);
        }
        let (start, track) = (self.start.load(SeqCst) + pace.offset, self.track(probe));
        for (intended, places) in (0..u64::from(pace.shots)).map(|k| start + k * pace.interval).zip(&track.shots) {
            if self.stopped() {
                break;
            }
            nap(intended.saturating_sub(clock::now()) / 1000);
            let began = now();
            shot()?;
            places[0].store(began.saturating_sub(start) / 1000, SeqCst);
            places[1].store(now().saturating_sub(start) / 1000, SeqCst);
            track.taken.fetch_add(1, SeqCst);
        }
        Ok(())
    }

    /// The shots of `probe`, as [`selftests::storms::Series::shots`].
    pub(super) fn shots(&self, probe: Probe) -> Vec<[u64; 2]> {
        let track = self.track(probe);
        let taken = usize::try_from(track.taken.load(SeqCst)).unwrap_or(0);
        track.shots.iter().take(taken).map(|[began, ended]| [began.load(SeqCst), ended.load(SeqCst)]).collect()
    }

    /// Accesses and stores of all vCPUs.
    pub(super) fn accesses(&self) -> [u64; 2] {
        let sum = |count: fn(&Line) -> &AtomicU64| self.vcpus.iter().map(|line| count(line).load(SeqCst)).sum();
        [sum(|line| &line.accesses), sum(|line| &line.stores)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::{create, map};

    /// One that takes three intervals makes the two behind it late, not fewer.
    #[test]
    fn a_slow_shot_delays_the_next_ones_and_replaces_none() {
        let fd = create::<Board>().unwrap();
        let (ours, theirs) = (map::<Board>(&fd).unwrap(), map::<Board>(&fd).unwrap());
        theirs.start.store(now(), SeqCst);
        let pace = Pace { shots: 6, interval: 20_000_000, offset: 0 };
        let mut count = 0;
        let shot = || {
            count += 1;
            if count == 2 {
                nap(60_000);
            }
            Ok::<(), ()>(())
        };
        theirs.shoot(Probe::Reader, pace, shot).unwrap();
        assert_eq!((ours.taken(Probe::Reader), ours.taken(Probe::Writer)), (6, 0));
        let shots = ours.shots(Probe::Reader);
        let waits: Vec<u64> = shots.iter().zip(0..).map(|([_, ended], k)| ended - k * 20_000).collect();
        assert!(waits[1] >= 60_000 && waits[2] >= 40_000 && waits[3] >= 20_000, "{waits:?}");
        let own: Vec<u64> = shots.iter().map(|[began, ended]| ended - began).collect();
        assert!(own[2] < 20_000 && own[3] < 20_000, "{own:?}");
    }
}
