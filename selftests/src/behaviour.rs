// SPDX-License-Identifier: GPL-2.0-only
//! Behaviours: what must come of it when something happens to a guest's memory, or to
//! its process, while a fault waits for IO.
//!
//! Owns: the vocabulary `what.backing`, the catalogue with a sentence each, and how one
//! ends. Must not: know how it is tried, or what a kernel is expected to show (that is a
//! target's `target.toml`).
//!
//! A cell asks whether a lock is held; a behaviour asks whether the right thing happens.
//! In each the vCPU thread itself waits (`sync`), for the read of a page that the guest
//! loads from, with a readahead window of one page.

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
}

impl What {
    /// All of them.
    const ALL: [Self; 6] = [Self::Sigkill, Self::Munmap, Self::Dontneed, Self::MapFixed, Self::Eio, Self::Signal];
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
    let both = |what| [Backing::Anon, Backing::Shmem].map(|backing| Behaviour { what, backing });
    What::ALL.into_iter().flat_map(both).collect()
}

impl Behaviour {
    /// What happens, and what must come of it, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let memory = if self.backing == Backing::Anon { "private anonymous memory" } else { "memfd memory" };
        let told = match (self.what, self.backing) {
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
            (What::Eio, _) => "the device answers with an error: KVM_RUN must end with one, and the guest load nothing",
            (What::Signal, _) => {
                "the vCPU thread gets a signal with a handler: the guest must load the right byte all the same"
            }
        };
        format!("a guest loads from swapped-out {memory}, and while the read is withheld {told}")
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
            sentences.push(behaviour.sentence());
        }
        assert_eq!(behaviours()[0].to_string(), "sigkill.anon");
        assert!("sigkill.file".parse::<Behaviour>().is_err());
    }
}
