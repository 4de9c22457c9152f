// SPDX-License-Identifier: GPL-2.0-only
//! Replies that come late, as a slow device's do.
//!
//! Owns: how late each is, and the queue of those that wait. Must not: talk to
//! the kernel.

use super::proto::Request;
use crate::clock::Deadline;
use crate::stress::rng::Rng;

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
    waiting: Vec<(u64, Request)>,
}

impl Delays {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed, u64::MAX - 1), waiting: Vec::with_capacity(256) }
    }

    /// Keeps a request that came at `now`, in nanoseconds, or gives it back to be
    /// answered at once.
    pub(super) fn keep(&mut self, now: u64, request: Request) -> Option<Request> {
        let most = match self.rng.below(PROMPT_ONE_IN * LONG_ONE_IN) {
            0 => LONG_US,
            draw if draw % PROMPT_ONE_IN == 0 => return Some(request),
            _ => SHORT_US,
        };
        self.waiting.push((now + self.rng.below(most) * 1000, request));
        None
    }

    /// A request whose time has come.
    pub(super) fn due(&mut self, now: u64) -> Option<Request> {
        let index = self.waiting.iter().position(|(at, _)| *at <= now)?;
        Some(self.waiting.swap_remove(index).1)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.waiting.iter().map(|(at, _)| *at).min().map(Deadline::at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::Command;
    use super::*;

    #[test]
    fn every_reply_comes_and_some_late() {
        let mut delays = Delays::new(7);
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
}
