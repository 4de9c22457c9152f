// SPDX-License-Identifier: GPL-2.0-only
//! The thread that has the missing pages of guest memory, as a VMM's has while its guest
//! is being moved here from another machine.
//!
//! Owns: which page is withheld and until when, in the words of [`crate::nbd::server`].
//! Must not: allocate or map after its start, nor decide about the release, which is the
//! conductor's.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::libc;

use super::guest::{PAGE, PAGES, word};
use super::tid;
use super::uffd::Uffd;
use crate::clock;
use crate::wire::{Channel, Message, Op};

/// The thread's memory.
pub(super) struct Pager {
    hva: usize,
    /// Where faults are told; nowhere if the kernel has no userfaultfd.
    uffd: Option<Uffd>,
    /// What is in the pages.
    seed: Arc<AtomicU64>,
    /// The content of one.
    page: Vec<u8>,
    armed: bool,
    /// Those that were asked for meanwhile.
    withheld: Vec<usize>,
}

impl Pager {
    /// For guest memory at `hva` with the pattern of `seed`.
    pub(super) fn new(hva: usize, uffd: Option<Uffd>, seed: Arc<AtomicU64>) -> Self {
        Self { hva, uffd, seed, page: vec![0; PAGE], armed: false, withheld: Vec::with_capacity(PAGES) }
    }

    /// Obeys `Arm` and `Release`, and gives pages in between, until the conductor goes.
    pub(super) fn run(mut self, orders: &Channel, ready: &Sender<u64>) {
        // The first reading of the clock maps its page; a fault during a hold would wait.
        clock::now();
        if ready.send(tid()).is_err() {
            return;
        }
        loop {
            match self.step(orders) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if orders.send(&Message::with_text(Op::Fail, &format!("{error:#}"))).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for one order or one fault; false when the conductor is gone.
    fn step(&mut self, orders: &Channel) -> anyhow::Result<bool> {
        use std::os::fd::AsFd;
        let uffd = self.uffd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let mut fds =
            [orders.as_fd().as_raw_fd(), uffd].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: both entries are valid for the duration of the call; a negative one is passed over.
        match Errno::result(unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) }) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(true),
            Err(error) => return Err(error).context("poll"),
        }
        // Orders first: a page that is asked for after `Arm` was sent must be withheld.
        if fds[0].revents != 0 && !self.obey(orders)? {
            return Ok(false);
        }
        if fds[1].revents != 0 {
            self.fault(orders)?;
        }
        Ok(true)
    }

    fn obey(&mut self, orders: &Channel) -> anyhow::Result<bool> {
        let Some(order) = orders.next()? else { return Ok(false) };
        match order.op {
            Op::Arm => self.armed = true,
            Op::Release => {
                self.armed = false;
                while let Some(page) = self.withheld.pop() {
                    self.give(page)?;
                }
            }
            other => bail!("the pager got the order {other:?}"),
        }
        orders.send(&Message::new(Op::Done, &[]))?;
        Ok(true)
    }

    fn fault(&mut self, orders: &Channel) -> anyhow::Result<()> {
        let Some(address) = self.uffd.as_mut().map(Uffd::next).transpose()?.flatten() else { return Ok(()) };
        let page = address.checked_sub(self.hva).map(|offset| offset / PAGE).filter(|page| *page < PAGES);
        let page = page.with_context(|| format!("a fault at {address:#x}, which is no guest memory"))?;
        if !self.armed {
            return self.give(page);
        }
        // A kworker and the vCPU thread may want the same one.
        if !self.withheld.contains(&page) {
            self.withheld.push(page);
        }
        orders.send(&Message::new(Op::Withheld, &[(page * PAGE) as u64, PAGE as u64, clock::now()]))
    }

    fn give(&mut self, page: usize) -> anyhow::Result<()> {
        let seed = self.seed.load(Ordering::Acquire);
        for (index, place) in (0..).zip(self.page.chunks_exact_mut(8)) {
            place.copy_from_slice(&word(seed, page as u64, index).to_ne_bytes());
        }
        let uffd = self.uffd.as_ref().context("no userfaultfd")?;
        uffd.give(self.hva + page * PAGE, &self.page)
    }
}
