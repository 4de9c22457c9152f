// SPDX-License-Identifier: GPL-2.0-only
//! What happens while the reply is withheld: who waits, and do the probes return?
//!
//! ```text
//! waiter in D, twice the same stack ─▶ writer go ─▶ (back, or waits) ─▶ reader go
//!     ─▶ all back, or the hold is over ─▶ stacks of those not back ─▶ release
//! ```
//!
//! Owns: that sequence. Must not: live in the probed mm, page-fault, or judge.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use selftests::cell::Probe;
use selftests::lockwait::shows_lock_wait;
use selftests::protocol::ProbeSample;

use crate::clock::{Deadline, millis, nap, now};
use crate::failure::Failure;
use crate::tasks;
use crate::wire::{Channel, Message, Op, wait_any};

/// Two looks at a waiter, this far apart, must show the same wait.
const SAME_WAIT_US: u64 = 1000;

/// Who may be the task that waits for the IO.
pub(crate) struct Suspects {
    /// The task that made the access.
    pub(crate) task: PathBuf,
    /// Also look for a kworker in `async_pf_execute()`.
    pub(crate) kworkers: bool,
}

impl Suspects {
    /// The stack of the task that waits for the IO, once it really does.
    ///
    /// The first, polite pass of a KVM fault starts the IO and returns; a probe
    /// in the window before the lock is taken again would pass on any kernel.
    pub(crate) fn waiter(&self, deadline: Deadline) -> Result<Vec<String>, Failure> {
        loop {
            if let Some(stack) = self.look() {
                return Ok(stack);
            }
            if deadline.passed() {
                let state = tasks::state(&self.task).unwrap_or('?');
                let stack = tasks::stack(&self.task);
                return Err(Failure::Again(format!(
                    "no task waits for the withheld read; {} is in state {state}, stack {stack:?}",
                    self.task.display()
                )));
            }
            nap(200);
        }
    }

    fn look(&self) -> Option<Vec<String>> {
        let waits = |stack: &[String]| !stack.is_empty() && !shows_lock_wait(stack);
        if let Some(stack) = steady(&self.task, waits) {
            return Some(stack);
        }
        let serves = |stack: &[String]| waits(stack) && stack.iter().any(|symbol| symbol == "async_pf_execute");
        self.kworkers.then(|| tasks::kworkers().iter().find_map(|dir| steady(dir, serves))).flatten()
    }
}

/// The stack of a task that waits for IO and `fits`, if it stays there.
fn steady(dir: &Path, fits: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
    let waiting = || waits_for_io(tasks::state(dir)?, tasks::stack(dir)).filter(|stack| fits(stack));
    let first = waiting()?;
    nap(SAME_WAIT_US);
    waiting().filter(|second| *second == first)
}

/// The stack if it is that of a task which waits for IO: uninterruptibly, or for a page
/// from userfaultfd, where a signal may end the wait (`userfaultfd_get_blocking_state()`).
fn waits_for_io(state: char, stack: Vec<String>) -> Option<Vec<String>> {
    let asks = || stack.iter().any(|symbol| symbol == "handle_userfault");
    (state == 'D' || state == 'S' && asks()).then_some(stack)
}

/// One probe of one trial.
pub(crate) struct ProbeRun<'a> {
    probe: Probe,
    channel: &'a Channel,
    order: Message,
    task: PathBuf,
    started: bool,
    back: Option<(u64, u64)>,
    blocked_in: Vec<String>,
}

impl<'a> ProbeRun<'a> {
    /// A probe that `order` on `channel` starts in the task whose directory is `task`.
    pub(crate) fn new(probe: Probe, channel: &'a Channel, order: Message, task: PathBuf) -> Self {
        Self { probe, channel, order, task, started: false, back: None, blocked_in: Vec::new() }
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.started = true;
        self.channel.send(&self.order)
    }

    /// Is it back, or does it wait for a lock? Keeps the stack that shows it.
    fn settled(&mut self) -> bool {
        if self.back.is_some() {
            return true;
        }
        // A stack means a wait only if the task sleeps.
        self.blocked_in = match tasks::state(&self.task) {
            Some('D') => tasks::stack(&self.task),
            _ => Vec::new(),
        };
        shows_lock_wait(&self.blocked_in)
    }

    fn take(&mut self) -> Result<(), Failure> {
        match self.channel.next()? {
            Some(Message { op: Op::Done, args: [_, start, end, ..], .. }) => {
                self.back = Some((start, end));
                Ok(())
            }
            Some(answer) => Err(Failure::Again(format!("the {} probe: {}", self.probe, answer.text()))),
            None => Err(Failure::Again(format!("the {} probe is gone", self.probe))),
        }
    }

    /// What it met, if the hold ended at `release`.
    pub(crate) fn sample(self, release: u64) -> Option<ProbeSample> {
        let (start, end) = self.back?;
        let returned_during_hold = end <= release;
        let blocked_in = if returned_during_hold { Vec::new() } else { self.blocked_in };
        let wait_ms = millis(end.saturating_sub(start));
        Some(ProbeSample { probe: self.probe, wait_ms, returned_during_hold, blocked_in })
    }
}

/// Runs the probes until all are back, or `hold_ms` after the first start.
///
/// A probe that is neither back then nor waits for a lock got no CPU, which
/// proves nothing; the hold goes on until it is the one or the other, at the
/// latest until `patience`.
pub(crate) fn probe(runs: &mut [ProbeRun<'_>], hold_ms: u32, patience: Deadline) -> Result<(), Failure> {
    let end = Deadline::at(now() + u64::from(hold_ms) * 1_000_000);
    for index in 0..runs.len() {
        runs[index].start()?;
        // A reader alone shares the lock with a holder that reads, too: it waits
        // only behind a writer, so that one must be in the queue already.
        while !runs[index].settled() && !patience.passed() {
            nap(100);
            collect(runs, Deadline::at(now()))?;
        }
    }
    collect(runs, end)?;
    while let Some(late) = runs.iter_mut().position(|run| !run.settled()) {
        if patience.passed() {
            let run = &runs[late];
            return Err(Failure::Again(format!(
                "the {} probe is neither back after {hold_ms} ms nor does it wait for a lock; {} has the stack {:?}",
                run.probe,
                run.task.display(),
                tasks::stack(&run.task)
            )));
        }
        nap(500);
        collect(runs, Deadline::at(now()))?;
    }
    Ok(())
}

/// Takes answers until every started probe is back, or `deadline`.
pub(crate) fn collect(runs: &mut [ProbeRun<'_>], deadline: Deadline) -> Result<(), Failure> {
    loop {
        let waiting: Vec<usize> =
            (0..runs.len()).filter(|index| runs[*index].started && runs[*index].back.is_none()).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let fds: Vec<BorrowedFd<'_>> = waiting.iter().map(|index| runs[*index].channel.as_fd()).collect();
        let ready = wait_any(&fds, deadline)?;
        for (index, _) in waiting.iter().zip(&ready).filter(|(_, ready)| **ready) {
            runs[*index].take()?;
        }
        if deadline.passed() && !ready.contains(&true) {
            return Ok(());
        }
    }
}

/// Are all started probes back?
pub(crate) fn all_back(runs: &[ProbeRun<'_>]) -> bool {
    runs.iter().all(|run| run.back.is_some() || !run.started)
}
