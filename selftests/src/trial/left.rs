// SPDX-License-Identifier: GPL-2.0-only
//! Faults that are left waiting, for a behaviour to go on from.
//!
//! Owns: how such a fault is made, and which read it then waits for. Must not: release it,
//! but where the fault was not made.

use super::{Early, Scene, Target};
use crate::evict::slot;
use crate::failure::Failure;
use crate::subject::Touch;
use crate::wire::{Message, Op};

/// A fault that waits for its withheld IO.
pub(crate) struct Hold {
    /// Of which page.
    pub(crate) target: Target,
    /// Stack of the task that waits, innermost first.
    pub(crate) waiter: Vec<String>,
}

impl Scene<'_> {
    /// Makes a fault that waits, and leaves it waiting: the caller releases it.
    pub(crate) fn hold(&mut self, seed: u64) -> Result<Hold, Failure> {
        let target = self.prepare(seed)?;
        self.hold_by(target, &self.access_order(target))
    }

    /// As [`Scene::hold`], by what `touch` does to all guest memory: it needs the first page first.
    pub(crate) fn hold_all(&mut self, seed: u64, touch: Touch) -> Result<Hold, Failure> {
        let target = self.prepare(seed)?;
        self.hold_by(self.at(target, 0)?, &Message::new(Op::Go, &[0, 0, touch as u64]))
    }

    /// As [`Scene::hold`], of `page` of what was [prepared](Scene::prepare).
    pub(crate) fn hold_page(&mut self, prepared: Target, page: u64) -> Result<Hold, Failure> {
        let target = self.at(prepared, page)?;
        self.hold_by(target, &self.access_order(target))
    }

    /// Answers what is withheld, and leaves the same access waiting for the page's new slot.
    pub(crate) fn hold_again(&mut self, target: Target) -> Result<Hold, Failure> {
        let target = self.at(target, target.page)?;
        self.server.answer()?;
        let waiting = self.waiting(target).map(|(waiter, _)| Hold { target, waiter });
        waiting.map_err(|(Early::Over(failure) | Early::Under(failure))| failure)
    }

    fn hold_by(&mut self, target: Target, order: &Message) -> Result<Hold, Failure> {
        self.server.arm(self.requests())?;
        match self.fault(target, order) {
            Ok((waiter, _)) => Ok(Hold { target, waiter }),
            Err(Early::Over(failure) | Early::Under(failure)) => {
                self.server.release()?;
                Err(failure)
            }
        }
    }

    /// The target, at another page.
    fn at(&self, target: Target, page: u64) -> anyhow::Result<Target> {
        let slot = target.slot.map(|_| slot(self.subject, page)).transpose()?;
        Ok(Target { page, slot, ..target })
    }

    /// Answers what is withheld; the access must end, with the right byte.
    pub(crate) fn finish(&mut self, target: Target) -> Result<(), Failure> {
        self.server.release()?;
        self.settle(target, &mut [], true).map(drop)
    }
}
