// SPDX-License-Identifier: GPL-2.0-only
//! Forked children of the VMM: each reads some guest memory and exits.
//!
//! Owns: their life. Must not: let one outlive the stress unnoticed.

use std::sync::atomic::Ordering::SeqCst;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::board::{Board, CHILD};
use super::host::read;
use super::ledger::{Before, foreign};
use super::memory::{Backing, Memory, PAGES};
use super::vcpu::check;
use crate::clock::{Deadline, nap};
use crate::rng::Rng;

/// At most this many live at once.
const MOST: usize = 2;
/// Pages that one looks at.
const LOOKS: usize = 10;
const STRIDE: u64 = 13;
/// A child has to read a few pages from a slow device; this many milliseconds later
/// it is stuck.
const LIFE_MS: u64 = 15_000;

/// The living ones.
pub(super) struct Children {
    living: Vec<(Pid, Deadline)>,
    patience: f64,
}

impl Children {
    pub(super) fn new(patience: f64) -> Self {
        Self { living: Vec::with_capacity(MOST), patience }
    }

    /// Starts one, unless enough live.
    ///
    /// # Errors
    /// fork fails.
    pub(super) fn fork(&mut self, board: &Board, memory: &Memory, rng: &mut Rng) -> anyhow::Result<()> {
        if self.living.len() >= MOST {
            return Ok(());
        }
        let start = rng.below(PAGES as u64);
        // An odd stride through a power of two meets no page twice. What the child sees
        // of private memory is at least as new as what is noted here.
        let looks = std::array::from_fn::<_, LOOKS, _>(|look| {
            let page = (start + look as u64 * STRIDE) % PAGES as u64;
            (page, board.page(page).before(page))
        });
        // SAFETY: the child reads memory, writes to its own copy, and exits; it takes
        // no lock that another thread may hold, glibc's allocator included.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(Errno::last()).context("fork"),
            0 => {
                look(board, memory, &looks);
                // SAFETY: ends this process without running anything of its parent's.
                unsafe { libc::_exit(0) }
            }
            pid => {
                self.living.push((Pid::from_raw(pid), Deadline::after(LIFE_MS, self.patience)));
                board.did("fork", true);
                Ok(())
            }
        }
    }

    /// Collects those that have ended.
    ///
    /// # Errors
    /// One was killed, or does not end.
    pub(super) fn reap(&mut self, board: &Board) -> anyhow::Result<()> {
        let mut index = 0;
        while let Some((pid, deadline)) = self.living.get(index).copied() {
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)).context("waitpid of a forked child")? {
                WaitStatus::StillAlive if deadline.passed() => {
                    board.stuck.store(pid.as_raw().unsigned_abs().into(), SeqCst);
                    bail!("the forked child {pid} does not end");
                }
                WaitStatus::StillAlive => index += 1,
                WaitStatus::Exited(_, 0) => drop(self.living.swap_remove(index)),
                end => bail!("a forked child ended with {end:?}"),
            }
        }
        Ok(())
    }

    /// Waits for all.
    ///
    /// # Errors
    /// As [`Children::reap`].
    pub(super) fn wait(mut self, board: &Board) -> anyhow::Result<()> {
        while !self.living.is_empty() {
            self.reap(board)?;
            nap(1000);
        }
        Ok(())
    }
}

fn look(board: &Board, memory: &Memory, looks: &[(u64, Before)]) {
    for (page, before) in looks {
        read(memory, *page, |place, word| check(board, CHILD, *page, place, word, before));
        // The parent and its guest must never see this.
        if Backing::of(*page) == Backing::Anon {
            memory.fill(*page, foreign(*page));
        }
    }
}
