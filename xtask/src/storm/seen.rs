// SPDX-License-Identifier: GPL-2.0-only
//! What the storm of one boot showed.
//!
//! Owns: the way from raw shots and counts to figures. Must not: judge or compare them.

use hdrhistogram::Histogram;
use selftests::cell::Probe;
use selftests::storms::StormTally;
use serde::{Deserialize, Serialize};

use super::histogram::{Quantiles, corrected, ms, quantiles, uncorrected};
use crate::stats::thousandths;

/// All waits of each probe, for a plot.
pub type Waits = Vec<(Probe, Histogram<u64>)>;

/// One boot's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Faults of the guest that read the swap device, in a second.
    pub faults_per_s: f64,
    /// Accesses of all vCPUs, each checked.
    pub accesses: u64,
    /// Read requests at the swap device.
    pub swap_reads: u64,
    /// Write requests.
    pub swap_writes: u64,
    /// How late reads were answered: the median, the 99th percentile, the longest.
    pub late_ms: [f64; 3],
    /// `kvm:kvm_try_async_get_page` events of the first vCPU.
    pub async_pf: Option<u64>,
    /// The probes.
    pub probes: Vec<ProbeReport>,
}

/// A probe of one boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Which.
    pub probe: Probe,
    /// Its shots.
    pub n: u64,
    /// Of its waits, each from the time at which the shot was to begin.
    pub wait_ms: Quantiles,
    /// Of the calls by themselves, from the time at which they began: too small where calls
    /// keep others from beginning.
    pub call_ms: Quantiles,
}

impl Seen {
    /// The figures, and all waits of each probe.
    ///
    /// # Errors
    /// A shot ended before it was to begin.
    pub fn of(tally: &StormTally) -> anyhow::Result<(Self, Waits)> {
        let (mut waits, mut probes) = (Vec::new(), Vec::new());
        for series in &tally.series {
            let histogram = corrected(series)?;
            probes.push(ProbeReport {
                probe: series.probe,
                n: histogram.len(),
                wait_ms: quantiles(&histogram),
                call_ms: quantiles(&uncorrected(series)?),
            });
            waits.push((series.probe, histogram));
        }
        let StormTally { accesses, swap_reads, swap_writes, late_us, async_pf, .. } = *tally;
        let (faults_per_s, late_ms) = (thousandths(tally.faults_per_s()), late_us.map(ms));
        Ok((Self { faults_per_s, accesses, swap_reads, swap_writes, late_ms, async_pf, probes }, waits))
    }

    /// A probe's figures.
    #[must_use]
    pub fn probe(&self, probe: Probe) -> Option<&ProbeReport> {
        self.probes.iter().find(|report| report.probe == probe)
    }
}
