// SPDX-License-Identifier: GPL-2.0-only
//! What a storm is asked for, and what it showed.
//!
//! Owns: the order of a storm, its raw waits, its counts, and whether they amount to a
//! storm at all. Must not: know how one is made, or compare two.

use serde::{Deserialize, Serialize};

use crate::cell::Probe;
use crate::latency::Latency;
use crate::lost::Lost;

/// The most shots of a probe: what fits into one frame, and is locked memory in the guest.
pub const MOST_SHOTS: u32 = 12_000;
/// The most virtual CPUs.
pub const MOST_VCPUS: u32 = 4;

/// Who shoots in a storm, at a fixed rate. The probes that tell one lock from another are
/// for the cells, where one fault is under way at a time.
pub const PROBES: [Probe; 2] = [Probe::Writer, Probe::Reader];

/// What guest memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StormBacking {
    /// Private anonymous memory.
    Anon,
    /// A memfd.
    Shmem,
}

impl std::fmt::Display for StormBacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anon => "anon",
            Self::Shmem => "shmem",
        })
    }
}

/// A guest with too little memory on a slow swap device, and probes at a fixed rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// How long, in seconds of the guest's own time.
    pub seconds: u32,
    /// Virtual CPUs, up to [`MOST_VCPUS`].
    pub vcpus: u32,
    /// What guest memory is made of.
    pub backing: StormBacking,
    /// Guest memory, in pages; the allowance is half of it.
    pub pages: u32,
    /// How late a read of the swap device is answered. Writes are answered at once: what
    /// is measured is who waits for a read, and reclaim waits for writes.
    pub latency: Latency,
    /// Shots of each probe in a second.
    pub rate: u32,
    /// Decides the pages that are touched, and each reply's delay.
    pub seed: u64,
}

impl Storm {
    /// The usual numbers, on the backing that all kernels keep waiting.
    #[must_use]
    pub const fn usual(seconds: u32) -> Self {
        let latency = Latency::Bimodal(1_000, 50_000, 0.01);
        Self { seconds, vcpus: 2, backing: StormBacking::Shmem, pages: 2048, latency, rate: 50, seed: 1 }
    }

    /// Shots of each probe.
    #[must_use]
    pub fn shots(&self) -> u32 {
        self.seconds.saturating_mul(self.rate)
    }

    /// From one intended start to the next, in microseconds.
    #[must_use]
    pub fn interval_us(&self) -> u64 {
        1_000_000 / u64::from(self.rate.max(1))
    }
}

/// All shots of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Which probe.
    pub probe: Probe,
    /// From one intended start to the next, in microseconds.
    pub interval_us: u64,
    /// When each shot began and ended, in microseconds since the first was to begin; the
    /// one at place k was to begin at k intervals. One that comes late comes at once.
    pub shots: Vec<[u64; 2]>,
}

/// What a storm did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StormTally {
    /// From the first access to the last, in milliseconds.
    pub elapsed_ms: f64,
    /// Accesses of all vCPUs, each checked.
    pub accesses: u64,
    /// How many of them stored.
    pub stores: u64,
    /// Read requests at the swap device while the vCPUs ran: nobody else touches guest memory,
    /// and nothing is read ahead.
    pub swap_reads: u64,
    /// Write requests at it.
    pub swap_writes: u64,
    /// Reads whose reply came late.
    pub delayed: u64,
    /// How late those really came, in microseconds: the median, the 99th percentile, the longest.
    pub late_us: [u64; 3],
    /// `kvm:kvm_try_async_get_page` events of the first vCPU; `None` where the tracepoint
    /// cannot be read. A kernel that waits in the polite pass already has none to take.
    pub async_pf: Option<u64>,
    /// Pages of guest memory whose content was right at the end: all of them.
    pub verified: u64,
    /// The probes.
    pub series: Vec<Series>,
}

impl StormTally {
    /// Faults of the guest that read the swap device, in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    pub fn faults_per_s(&self) -> f64 {
        if self.elapsed_ms > 0.0 { self.swap_reads as f64 * 1000.0 / self.elapsed_ms } else { 0.0 }
    }

    /// Why these counts are no storm of that order, each reason by itself; empty if they are.
    #[must_use]
    pub fn gaps(&self, asked: &Storm) -> Vec<String> {
        let mut gaps = Vec::new();
        let counts = [
            (self.accesses, "no vCPU accessed a page"),
            (self.stores, "no vCPU stored to a page"),
            (self.swap_reads, "nothing was swapped in"),
            (self.swap_writes, "nothing was swapped out"),
        ];
        gaps.extend(counts.iter().filter(|(count, _)| *count == 0).map(|(_, gap)| (*gap).to_owned()));
        if self.delayed == 0 && asked.latency != Latency::Fixed(0) {
            gaps.push("no read of the swap device came late".to_owned());
        }
        gaps.extend(asked.latency.unlike(self.late_us[0]));
        if self.async_pf.is_none() {
            gaps.push("async page faults could not be counted".to_owned());
        }
        if self.verified != u64::from(asked.pages) {
            gaps.push(format!("{} of {} pages were checked at the end", self.verified, asked.pages));
        }
        for probe in PROBES {
            let made = self.series.iter().find(|series| series.probe == probe).map_or(0, |series| series.shots.len());
            if made != asked.shots() as usize {
                gaps.push(format!("the {probe} made {made} of {} shots: lower the rate", asked.shots()));
            }
        }
        gaps
    }
}

/// How a storm ended in the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum StormEnd {
    /// It was made to its end.
    Complete {
        /// What it did.
        tally: StormTally,
    },
    /// A page was not as it must be.
    Corrupt {
        /// Which, and what was there.
        reason: String,
    },
    /// Without an answer.
    #[serde(untagged)]
    Lost(Lost),
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORM: Storm = Storm {
        seconds: 1,
        vcpus: 2,
        backing: StormBacking::Anon,
        pages: 64,
        latency: Latency::Fixed(1000),
        rate: 2,
        seed: 1,
    };

    fn full() -> StormTally {
        let series = |probe| Series { probe, interval_us: 500_000, shots: vec![[0, 1], [500_000, 500_001]] };
        StormTally {
            elapsed_ms: 1000.0,
            accesses: 9,
            stores: 2,
            swap_reads: 3,
            swap_writes: 4,
            delayed: 3,
            late_us: [1100, 1300, 1300],
            async_pf: Some(1),
            verified: 64,
            series: PROBES.map(series).to_vec(),
        }
    }

    #[test]
    fn everything_must_have_happened() {
        assert_eq!(full().gaps(&STORM), Vec::<String>::new());
        assert_eq!(full().faults_per_s(), 3.0);
        let gap = |change: fn(&mut StormTally)| {
            let mut tally = full();
            change(&mut tally);
            let gaps = tally.gaps(&STORM);
            assert_eq!(gaps.len(), 1, "{gaps:?}");
            gaps[0].clone()
        };
        assert_eq!(gap(|tally| tally.swap_reads = 0), "nothing was swapped in");
        assert_eq!(gap(|tally| tally.async_pf = None), "async page faults could not be counted");
        assert_eq!(gap(|tally| tally.delayed = 0), "no read of the swap device came late");
        assert!(gap(|tally| tally.late_us[0] = 700).contains("0.7 ms late"));
        assert_eq!(gap(|tally| tally.verified = 63), "63 of 64 pages were checked at the end");
        assert!(gap(|tally| tally.series[0].shots.truncate(1)).contains("1 of 2 shots"));
        assert!(gap(|tally| tally.series.truncate(1)).contains("0 of 2 shots"));
    }
}
