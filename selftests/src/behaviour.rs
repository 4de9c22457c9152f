// SPDX-License-Identifier: GPL-2.0-only
//! Behaviours: what must come of it when something happens to a guest's memory, or to
//! its process, while a fault waits for IO.
//!
//! Owns: the vocabulary `what.backing`, the catalogue with a sentence each, and how one
//! ends. Must not: know how it is tried, or what a kernel is expected to show (that is a
//! target's `target.toml`).
//!
//! A cell asks whether a lock is held; a behaviour asks whether the right thing happens.
//! In most the vCPU thread itself waits (`sync`), for the read of a page that the guest
//! loads from, with a readahead window of one page; the sentence of the others says what they do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cell::{Backing, word};
use crate::lost::Lost;

/// What happens while the fault waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The process is killed.
    Sigkill,
    /// The guest memory is unmapped.
    Munmap,
    /// The page is given back with `MADV_DONTNEED`.
    Dontneed,
    /// Other memory is mapped at the same address.
    MapFixed,
    /// The device answers the read with an error.
    Eio,
    /// The vCPU thread gets a signal that has a handler.
    Signal,
    /// The page changes meanwhile, so that the fault must wait a second time.
    SecondPass,
    /// The process is killed in that second wait.
    SigkillSecond,
    /// All guest memory is locked by `mlock`, without a guest.
    Mlock,
    /// All guest memory is mapped again with `MAP_POPULATE`, without a guest.
    Populate,
    /// Each page of guest memory is loaded from, one after the other.
    MajorFaults,
    /// Swapping to the device is to end.
    Swapoff,
    /// Mapping and descriptor of the guest memory go, the last that held it.
    CloseLast,
    /// The memfd is truncated under a vCPU that takes async page faults.
    Truncated,
    /// The page is poisoned, and then loaded from.
    Hwpoison,
}

impl What {
    /// All of them.
    const ALL: [Self; 15] = [
        Self::Sigkill,
        Self::Munmap,
        Self::Dontneed,
        Self::MapFixed,
        Self::Eio,
        Self::Signal,
        Self::SecondPass,
        Self::SigkillSecond,
        Self::Mlock,
        Self::Populate,
        Self::MajorFaults,
        Self::Swapoff,
        Self::CloseLast,
        Self::Truncated,
        Self::Hwpoison,
    ];

    /// The memory that it can happen to. A page of a memfd that is given back comes back as
    /// it was, from its old place; a new private mapping has nothing that must be read; only
    /// a memfd can be closed or truncated. What a kernel does with a poisoned page of a memfd
    /// is not KVM's, and has changed.
    const fn backings(self) -> &'static [Backing] {
        match self {
            Self::SecondPass | Self::SigkillSecond | Self::Hwpoison => &[Backing::Anon],
            Self::Populate | Self::CloseLast | Self::Truncated => &[Backing::Shmem],
            _ => &[Backing::Anon, Backing::Shmem],
        }
    }
}

/// One of them with the memory that it happens to, e.g. `sigkill.anon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Behaviour {
    /// What happens.
    pub what: What,
    /// What the guest memory is: [`Backing::Anon`] or [`Backing::Shmem`].
    pub backing: Backing,
}

/// Every behaviour there is.
#[must_use]
pub fn behaviours() -> Vec<Behaviour> {
    let each = |what: What| what.backings().iter().map(move |&backing| Behaviour { what, backing });
    What::ALL.into_iter().flat_map(each).collect()
}

impl Behaviour {
    /// What happens, and what must come of it, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let memory = if self.backing == Backing::Anon { "private anonymous memory" } else { "memfd memory" };
        self.sentence_of(memory).unwrap_or_else(|| {
            let told = self.told();
            format!("a guest loads from swapped-out {memory}, and while the read is withheld {told}")
        })
    }

    /// Of one in which something else happens.
    fn sentence_of(&self, memory: &str) -> Option<String> {
        let text = match self.what {
            What::Mlock => format!(
                "mlock() of swapped-out {memory} waits for the read of the first page: a writer of the mmap lock must end \
                 before the read is answered, and mlock() return 0 after it, with all pages in memory"
            ),
            What::Populate => format!(
                "mmap() of swapped-out {memory} with MAP_POPULATE waits for the read of the first page: a writer of the \
                 mmap lock must end before the read is answered, and all pages be in memory after it"
            ),
            What::MajorFaults => format!(
                "a guest loads from each page of swapped-out {memory}, and each read is withheld until the vCPU thread \
                 waits for it: these must be as many major faults of that thread as pages"
            ),
            What::Truncated => format!(
                "a guest with async page faults loads from swapped-out {memory}, which is truncated while the read is \
                 withheld: KVM_RUN must end with EFAULT, and not fault asynchronously for ever"
            ),
            What::Hwpoison => format!(
                "a guest loads from a poisoned page of {memory}: SIGBUS must come with BUS_MCEERR_AR and the page's \
                 address, in place of an error of KVM_RUN"
            ),
            _ => return None,
        };
        Some(text)
    }

    /// What happens while a guest's read is withheld, and what must come of it.
    fn told(&self) -> &'static str {
        match (self.what, self.backing) {
            (What::Sigkill, _) => "SIGKILL comes: the process must be gone before the read is answered",
            (What::Munmap, _) => {
                "it is unmapped: munmap() must end before the read is answered, and KVM_RUN with EFAULT after it"
            }
            (What::Dontneed, Backing::Anon) => {
                "MADV_DONTNEED gives the page back: it must end before the read is answered, and the guest load 0 after it"
            }
            (What::Dontneed, _) => {
                "MADV_DONTNEED zaps the page: it must end before the read is answered, and the guest load the old byte \
                 after it"
            }
            (What::MapFixed, _) => {
                "other memory is mapped over it: mmap() must end before the read is answered, and the guest load the new \
                 byte after it"
            }
            (What::Eio, _) => {
                "the device answers with an error: KVM_RUN must end with EFAULT, and the guest load nothing"
            }
            (What::Signal, _) => {
                "the vCPU thread gets a signal with a handler: the guest must load the right byte all the same"
            }
            (What::SecondPass, _) => {
                "the page is given back, written and swapped out anew; the first read is answered, and while the second \
                 is withheld a writer of the mmap lock must end, and the guest load the new byte after it"
            }
            (What::SigkillSecond, _) => {
                "the page is given back, written and swapped out anew; the first read is answered, and while the second \
                 is withheld SIGKILL comes: the process must be gone before it is answered"
            }
            (What::Swapoff, _) => {
                "swapoff() comes: it must end with 0, but only after the read is answered, and the guest load the right byte"
            }
            (What::CloseLast, _) => {
                "it is unmapped and its last descriptor closed: both must end before the read is answered, KVM_RUN with \
                 EFAULT after it, and nothing of it stay in memory"
            }
            (What::Mlock | What::Populate | What::MajorFaults | What::Truncated | What::Hwpoison, _) => "",
        }
    }
}

/// How a behaviour ended in the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum BehaviourEnd {
    /// As it must be.
    Right {
        /// What was seen.
        saw: String,
    },
    /// Not as it must be.
    Wrong {
        /// What was seen.
        saw: String,
    },
    /// Without an answer.
    #[serde(untagged)]
    Lost(Lost),
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", word(&self.what), word(&self.backing))
    }
}

impl From<Behaviour> for String {
    fn from(behaviour: Behaviour) -> Self {
        behaviour.to_string()
    }
}

/// The text is the name of no behaviour of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBehaviour(String);

impl fmt::Display for UnknownBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no behaviour is named {:?}; `selftests --list` names them all", self.0)
    }
}

impl std::error::Error for UnknownBehaviour {}

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = behaviours().into_iter().find(|behaviour| behaviour.to_string() == text);
        found.ok_or_else(|| UnknownBehaviour(text.to_owned()))
    }
}

impl TryFrom<String> for Behaviour {
    type Error = UnknownBehaviour;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_every_sentence_is_its_own() {
        let mut sentences: Vec<String> = Vec::new();
        for behaviour in behaviours() {
            assert_eq!(behaviour.to_string().parse(), Ok(behaviour));
            assert!(!sentences.contains(&behaviour.sentence()), "{behaviour}");
            assert!(!behaviour.sentence().ends_with(' '), "{behaviour} has no sentence");
            sentences.push(behaviour.sentence());
        }
        assert_eq!(behaviours()[0].to_string(), "sigkill.anon");
        for unknown in ["sigkill.file", "populate.anon", "close-last.anon", "second-pass.shmem"] {
            assert!(unknown.parse::<Behaviour>().is_err(), "{unknown}");
        }
    }
}
