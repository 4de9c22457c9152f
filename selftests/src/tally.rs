// SPDX-License-Identifier: GPL-2.0-only
//! What a stress of guest memory did, and what it found.
//!
//! Owns: the counts, whether they amount to a stress at all, and how one ends.
//! Must not: know how it is done, or give a verdict on a kernel.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::lost::Lost;

/// Paging out by `madvise`, which a kernel before 5.4 does not know.
const PAGEOUT: &str = "pageout";

/// All that is done to the guest's memory beside its own accesses, as
/// `BACKING.OPERATION`; each must have run for a stress to count.
pub const OPERATIONS: [&str; 14] = [
    "anon.dontneed",
    "shmem.dontneed",
    "anon.pageout",
    "shmem.pageout",
    "anon.mprotect",
    "shmem.mprotect",
    "anon.remap",
    "shmem.remap",
    "anon.peek",
    "shmem.peek",
    "shmem.punch",
    "fork",
    "readahead",
    "reclaim",
];

/// Counts of one stress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Pages that a vCPU read and compared as a whole.
    pub guest_reads: u64,
    /// Pages that a vCPU wrote as a whole.
    pub guest_writes: u64,
    /// Accesses that ended with EFAULT from `KVM_RUN`, while the page was not mapped
    /// or might not be written.
    pub denied: u64,
    /// Read requests at the swap device.
    pub swap_reads: u64,
    /// Write requests at the swap device.
    pub swap_writes: u64,
    /// Requests of both kinds whose reply was held back for a while.
    pub delayed: u64,
    /// `kvm:kvm_try_async_get_page` events; `None` where the tracepoint cannot be read.
    pub async_pf: Option<u64>,
    /// The longest access of a vCPU, in milliseconds.
    pub longest_ms: f64,
    /// How often each of [`OPERATIONS`] was done.
    pub operations: BTreeMap<String, u64>,
    /// Those that this kernel does not know.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsupported: BTreeSet<String>,
}

impl Tally {
    /// Why these counts prove nothing, each reason by itself; empty if they do.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        let counts = [
            (self.guest_reads, "no vCPU read a page"),
            (self.guest_writes, "no vCPU wrote a page"),
            (self.swap_reads, "nothing was swapped in"),
            (self.swap_writes, "nothing was swapped out"),
            (self.delayed, "no reply of the swap device was held back"),
        ];
        gaps.extend(counts.iter().filter(|(count, _)| *count == 0).map(|(_, gap)| (*gap).to_owned()));
        match self.async_pf {
            Some(0) => gaps.push("no async page fault was taken".to_owned()),
            None => gaps.push("async page faults could not be counted".to_owned()),
            Some(_) => {}
        }
        for name in OPERATIONS {
            let done = self.operations.get(name).is_some_and(|count| *count > 0);
            let excused = self.unsupported.contains(name) && name.ends_with(PAGEOUT);
            if !done && !excused {
                gaps.push(format!("{name} was never done"));
            }
        }
        gaps
    }
}

/// Guest memory, or an access to it, that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// Who saw it: `vcpu0`, `vcpu1`, `host` (the VMM's own access), `child` (of a fork).
    pub seen_by: String,
    /// `anon` or `shmem`.
    pub backing: String,
    /// Page of the guest memory, from 0.
    pub page: u64,
    /// 4-byte word of the page, from 0.
    pub word: u64,
    /// What would have been right.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seen_by, backing, page, word, expected, found } = self;
        write!(f, "{seen_by} found {found} at word {word} of {backing} page {page}, where {expected} must be")
    }
}

/// How a stress ended in the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum StressEnd {
    /// It went on for its whole time, and all memory was right at its end.
    Complete {
        /// What was done. [`Tally::gaps`] says whether that is enough.
        tally: Tally,
    },
    /// Memory was not as it must be: the kernel corrupted it.
    Corrupt {
        /// The first that was seen.
        wrong: Wrong,
        /// What was done until then.
        tally: Tally,
    },
    /// A task made no progress any more.
    Stuck {
        /// Which, and where it waits.
        reason: String,
        /// What was done until then.
        tally: Tally,
    },
    /// Without an answer.
    #[serde(untagged)]
    Lost(Lost),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Tally {
        let operations = OPERATIONS.iter().map(|name| ((*name).to_owned(), 1)).collect();
        Tally {
            guest_reads: 1,
            guest_writes: 1,
            denied: 0,
            swap_reads: 1,
            swap_writes: 1,
            delayed: 1,
            async_pf: Some(1),
            longest_ms: 1.0,
            operations,
            unsupported: BTreeSet::new(),
        }
    }

    #[test]
    fn everything_must_have_happened() {
        assert!(full().gaps().is_empty());
        assert_eq!(Tally::default().gaps().len(), 6 + OPERATIONS.len());
        for name in OPERATIONS {
            let mut tally = full();
            tally.operations.insert(name.to_owned(), 0);
            assert_eq!(tally.gaps(), [format!("{name} was never done")]);
        }
        assert_eq!(Tally { swap_reads: 0, ..full() }.gaps(), ["nothing was swapped in"]);
        assert_eq!(Tally { async_pf: Some(0), ..full() }.gaps(), ["no async page fault was taken"]);
    }

    #[test]
    fn only_an_old_kernels_lack_of_pageout_is_excused() {
        let without = |name: &str| {
            let mut tally = full();
            tally.operations.remove(name);
            tally.unsupported.insert(name.to_owned());
            tally.gaps()
        };
        assert!(without("anon.pageout").is_empty());
        assert_eq!(without("shmem.punch").len(), 1);
    }
}
