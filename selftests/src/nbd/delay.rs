// SPDX-License-Identifier: GPL-2.0-only
//! Replies that come late, as a slow device's do.
//!
//! Owns: how late each is to be and was, and the queue of those that wait. Must not: talk
//! to the kernel.

use selftests::latency::Latency;

use super::proto::{Command, Request};
use crate::clock::Deadline;
use crate::rng::Rng;

/// The usual delay is below this, in microseconds: long enough for another task to
/// change the mapping under the one that waits, and short enough for many of them.
const SHORT_US: u64 = 4_000;
/// One in [`LONG_ONE_IN`] is up to this late.
const LONG_US: u64 = 25_000;
const LONG_ONE_IN: u64 = 24;
/// One in this many comes at once, in the order of the requests.
const PROMPT_ONE_IN: u64 = 3;

/// The replies that wait for their time; they may overtake each other.
pub(super) struct Delays {
    rng: Rng,
    /// Of reads; without one, the mixture of a stress, of all requests.
    latency: Option<Latency>,
    waiting: Vec<Late>,
    /// How late each reply was, in microseconds.
    served: Vec<u64>,
}

/// A reply that waits; times in nanoseconds.
struct Late {
    came: u64,
    due: u64,
    request: Request,
}

impl Delays {
    pub(super) fn new(seed: u64, latency: Option<Latency>) -> Self {
        let (waiting, served) = (Vec::with_capacity(256), Vec::with_capacity(16_384));
        Self { rng: Rng::new(seed, u64::MAX - 1), latency, waiting, served }
    }

    /// The same with other delays from now on; what waits goes on to wait.
    pub(super) fn turn(self, seed: u64, latency: Option<Latency>) -> Self {
        Self { waiting: self.waiting, ..Self::new(seed, latency) }
    }

    /// Keeps a request that came at `now`, in nanoseconds, or gives it back to be
    /// answered at once.
    pub(super) fn keep(&mut self, now: u64, request: Request) -> Option<Request> {
        if let Some(latency) = self.latency {
            return self.keep_of(latency, now, request);
        }
        let most = match self.rng.below(PROMPT_ONE_IN * LONG_ONE_IN) {
            0 => LONG_US,
            draw if draw % PROMPT_ONE_IN == 0 => return Some(request),
            _ => SHORT_US,
        };
        let due = now + self.rng.below(most) * 1000;
        self.waiting.push(Late { came: now, due, request });
        None
    }

    /// The same by a distribution: a write, and what comes without delay, is answered at once.
    fn keep_of(&mut self, latency: Latency, now: u64, request: Request) -> Option<Request> {
        if request.command != Command::Read {
            return Some(request);
        }
        let us = latency.draw(|| self.rng.unit());
        if us == 0 {
            return Some(request);
        }
        self.waiting.push(Late { came: now, due: now + us * 1000, request });
        None
    }

    /// A request whose time has come.
    pub(super) fn due(&mut self, now: u64) -> Option<Request> {
        let index = self.waiting.iter().position(|late| late.due <= now)?;
        let late = self.waiting.swap_remove(index);
        self.served.push((now - late.came) / 1000);
        Some(late.request)
    }

    /// Of those that were late: the median, the 99th percentile and the longest, in microseconds.
    pub(super) fn served(&mut self) -> [u64; 3] {
        self.served.sort_unstable();
        let last = self.served.len().saturating_sub(1);
        [last / 2, last * 99 / 100, last].map(|place| self.served.get(place).copied().unwrap_or(0))
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.waiting.iter().map(|late| late.due).min().map(Deadline::at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_comes_and_some_late() {
        let mut delays = Delays::new(7, None);
        let request = |handle| Request { command: Command::Read, handle, offset: 0, length: 4096 };
        let prompt = (0..300).filter(|handle| delays.keep(1000, request(*handle)).is_some()).count();
        assert!((50..200).contains(&prompt), "{prompt}");
        assert!(delays.next().is_some());
        let soon = std::iter::from_fn(|| delays.due(1000 + SHORT_US * 1000)).count();
        let late = std::iter::from_fn(|| delays.due(1000 + LONG_US * 1000)).count();
        assert!(late > 0, "some are much later than the usual");
        assert_eq!(prompt + soon + late, 300);
        assert!(delays.next().is_none());
    }

    #[test]
    fn a_distribution_is_of_reads_alone() {
        let mut delays = Delays::new(7, Some(Latency::Fixed(5_000)));
        let request = |command| Request { command, handle: 1, offset: 0, length: 4096 };
        assert!(delays.keep(0, request(Command::Write)).is_some());
        assert!(delays.keep(0, request(Command::Read)).is_none());
        assert!(delays.due(4_999_999).is_none());
        assert!(delays.due(6_000_000).is_some());
        assert_eq!(delays.served(), [6_000; 3], "as late as it was, not as it was to be");
        let mut prompt = Delays::new(7, Some(Latency::Fixed(0)));
        assert!(prompt.keep(0, request(Command::Read)).is_some());
    }
}
