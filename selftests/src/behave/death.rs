// SPDX-License-Identifier: GPL-2.0-only
//! The process is killed while its fault waits.
//!
//! Owns: whether it is gone before the release. Must not: take a process that got no CPU
//! for one that cannot be killed: the vCPU thread must be seen in the very wait that it
//! was in before.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use selftests::behaviour::BehaviourEnd;

use super::{END_MS, Held, right, wrong};
use crate::clock::{Deadline, millis, nap, now};
use crate::failure::Failure;
use crate::tasks;

/// SIGKILL: gone before the read is answered?
pub(super) fn sigkill(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    let start = now();
    let pid = Pid::from_raw(held.subject.main.pid.cast_signed());
    kill(pid, Signal::SIGKILL).map_err(anyhow::Error::from)?;
    let vcpu = held.subject.thread_dir(&held.subject.threads.vcpu);
    let unmoved = || tasks::state(&vcpu) == Some('D') && tasks::stack(&vcpu) == held.hold.waiter;
    let end = Deadline::at(start + u64::from(held.scene.hold_ms) * 1_000_000);
    let patience = held.kit.deadline(u64::from(held.scene.hold_ms) + 2000);
    while !held.subject.main.has_ended()? {
        if end.passed() && unmoved() {
            let place = held.hold.waiter.first().cloned().unwrap_or_default();
            return still_there(held, &place, start);
        }
        if patience.passed() {
            let text = format!("neither gone nor waiting as before: {:?}", tasks::stack(&vcpu));
            return Err(Failure::Again(text));
        }
        nap(200);
    }
    Ok(right(format!("gone {:.1} ms after SIGKILL, with the read still withheld", millis(now() - start))))
}

/// It waits on; and after the release?
fn still_there(held: &mut Held<'_>, place: &str, start: u64) -> Result<BehaviourEnd, Failure> {
    let waited = millis(now() - start);
    held.scene.server.release()?;
    let deadline = held.kit.deadline(END_MS);
    while !held.subject.main.has_ended()? {
        if deadline.passed() {
            return Ok(wrong(format!("waits in {place} after SIGKILL, and does not go after the release either")));
        }
        nap(200);
    }
    Ok(wrong(format!("still waits in {place} {waited:.0} ms after SIGKILL, and goes only after the release")))
}
