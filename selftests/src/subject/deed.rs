// SPDX-License-Identifier: GPL-2.0-only
//! What the main thread of the probed process does in the middle of a behaviour.
//!
//! Owns: which deeds there are, and when each began and ended. Must not: say what must come
//! of them. Changes that need no more than the memory's address are in `change`, and made by
//! another thread.

use anyhow::Context;

use super::memory::Memory;
use crate::clock;
use crate::wire::{Message, Op};

/// One deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Deed {
    /// The page is given back, and written anew.
    Renew = 0,
    /// The memfd is truncated to nothing.
    Truncate = 1,
    /// The last descriptor of the memfd is closed.
    Close = 2,
}

impl Deed {
    /// The order to do it; `seed`, `page` and `byte`, the page's new first one, are [`Deed::Renew`]'s.
    pub(crate) fn order(self, seed: u64, page: u64, byte: u64) -> Message {
        Message::new(Op::Go, &[self as u64, seed, page, byte])
    }
}

/// Does what `order` says; answers `Done(0, start, end)`.
pub(super) fn obey(memory: &mut Memory, order: &Message) -> anyhow::Result<Message> {
    let [deed, seed, page, byte, ..] = order.args;
    let all = [Deed::Renew, Deed::Truncate, Deed::Close];
    let deed = all.into_iter().find(|known| *known as u64 == deed).with_context(|| format!("no deed is {deed}"))?;
    let start = clock::now();
    match deed {
        Deed::Renew => memory.renew(seed, page, byte)?,
        Deed::Truncate => memory.truncate()?,
        Deed::Close => memory.close(),
    }
    Ok(Message::new(Op::Done, &[0, start, clock::now()]))
}
