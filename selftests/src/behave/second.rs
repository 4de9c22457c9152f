// SPDX-License-Identifier: GPL-2.0-only
//! The page changes while its fault waits, so that the same fault must wait again.
//!
//! ```text
//! R1 withheld → page given back, written, swapped out (new slot) → R1 answered → R2 withheld
//! ```
//!
//! Owns: how that is brought about, and that a writer must end in the second wait, too. Must
//! not: leave it to reclaim to do it in the right moment.

use selftests::behaviour::BehaviourEnd;

use super::{Ended, Held, blocked, right, wrong};
use crate::evict::evict;
use crate::failure::Failure;
use crate::subject::{Deed, value_at};
use crate::wire::{Message, Op};

/// Leaves the fault in its second wait; the byte that the guest must load after it.
pub(super) fn wait(held: &mut Held<'_>) -> Result<u64, Failure> {
    let target = held.hold.target;
    let byte = value_at(target.seed, target.page) ^ 0xff;
    held.subject.main.ask(&Deed::Renew.order(target.seed, target.page, byte), held.kit.deadline(5000))?;
    evict(held.kit, held.subject)?;
    held.hold = held.scene.hold_again(target)?;
    Ok(byte)
}

/// A writer in the second wait.
pub(super) fn pass(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    let byte = wait(held)?;
    let target = held.hold.target;
    let ([sample], ended) = held.probe([held.writer()])?;
    if !matches!(ended, Ended::Byte(seen, _) if seen == byte) {
        return Ok(wrong(format!("{ended} where it must load {byte:#04x}")));
    }
    if let Some(reason) = blocked("a writer", sample.as_ref()) {
        return Ok(wrong(format!("in the second wait {reason}")));
    }
    let verify = Message::new(Op::Verify, &[target.seed, target.page, byte]);
    let compared = held.subject.main.ask(&verify, held.kit.deadline(20_000));
    compared.map_err(|error| Failure::Broken(format!("wrong guest content: {error:#}")))?;
    Ok(right(format!("a writer ends while the second read is withheld, then {ended}")))
}
