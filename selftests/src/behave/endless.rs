// SPDX-License-Identifier: GPL-2.0-only
//! An access that can never succeed, of a vCPU that takes async page faults.
//!
//! Owns: that it ends. Must not: wait for what does not end: many async page faults of one
//! access are enough to tell.

use selftests::behaviour::BehaviourEnd;

use super::{END_MS, Held, right, wrong};
use crate::clock::{Deadline, now};
use crate::failure::Failure;
use crate::subject::Deed;

/// One access makes one, and perhaps a second if the page is gone again.
const TOO_MANY: u32 = 20;

/// The memfd is truncated while the read is withheld.
pub(super) fn truncated(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    held.subject.main.ask(&Deed::Truncate.order(0, 0, 0), held.kit.deadline(2000))?;
    held.scene.server.release()?;
    let deadline = held.kit.deadline(END_MS);
    let mut tried = 0;
    loop {
        let ended = held.end_until(Deadline::at(now() + 2_000_000))?;
        if let Ok(trace) = held.scene.trace {
            tried += trace.take(held.subject.threads.vcpu.tid)?.tried;
        }
        if let Some(ended) = ended {
            let saw = format!("{ended} after {tried} async page fault(s)");
            return Ok(if ended.is_bad_address() { right(saw) } else { wrong(saw) });
        }
        if tried >= TOO_MANY {
            return Ok(wrong(format!("KVM_RUN goes on after {tried} async page faults of one access")));
        }
        if deadline.passed() {
            return Ok(wrong(format!(
                "KVM_RUN does not end within {END_MS} ms, stretched; {tried} async page fault(s)"
            )));
        }
    }
}
