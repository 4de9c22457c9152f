// SPDX-License-Identifier: GPL-2.0-only
//! The guest memory's mapping changes while its fault waits.
//!
//! Owns: that the change must end before the release, and what the guest must then see.
//! Must not: make the change: a thread of the process does, as it is one of its own.

use selftests::behaviour::BehaviourEnd;
use selftests::cell::{Backing, Probe};

use super::{END_MS, Ended, Held, right, wrong};
use crate::clock::now;
use crate::failure::Failure;
use crate::hold::{self, ProbeRun};
use crate::subject::{Change, value_at};
use crate::wire::{Message, Op};

/// `change` by another thread: ends before the read is answered, and the guest goes on as
/// it must?
pub(super) fn change(held: &mut Held<'_>, backing: Backing, change: Change) -> Result<BehaviourEnd, Failure> {
    let target = held.hold.target;
    let old = value_at(target.seed, target.page);
    let new = old ^ 0xff;
    let thread = &held.subject.threads.same_vma;
    let order = Message::new(Op::Go, &[change as u64, target.page, new]);
    let mut runs = [ProbeRun::new(Probe::WriterSameVma, &thread.orders, order, held.subject.thread_dir(thread))];
    let hold_ms = held.scene.hold_ms;
    let probed = hold::probe(&mut runs, hold_ms, held.kit.deadline(u64::from(hold_ms) + 2000));
    let release = now();
    held.scene.server.release()?;
    let ended = held.end()?;
    hold::collect(&mut runs, held.kit.deadline(END_MS))?;
    probed?;
    let [run] = runs;
    let Some(sample) = run.sample(release) else {
        return Ok(wrong(format!("{change} does not end after the release either; {ended}")));
    };
    if !sample.returned_during_hold {
        let place = sample.blocked_in.first().cloned().unwrap_or_default();
        return Ok(wrong(format!("{change} waits in {place} until the read is answered")));
    }
    let wanted = match change {
        Change::Replace => Some(new),
        Change::Discard if backing == Backing::Anon => Some(0),
        Change::Discard | Change::Protect => Some(old),
        Change::Unmap => None,
    };
    let saw = format!("{change} ends in {:.1} ms, then {ended}", sample.wait_ms);
    Ok(match (wanted, ended) {
        (Some(wanted), Ended::Byte(byte, _)) if byte == wanted => right(saw),
        (Some(wanted), _) => wrong(format!("{saw} where it must load {wanted:#04x}")),
        (None, ended) if ended.is_bad_address() => right(saw),
        (None, _) => wrong(format!("{saw} where nothing is mapped")),
    })
}
