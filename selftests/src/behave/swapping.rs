// SPDX-License-Identifier: GPL-2.0-only
//! Swapping to the device ends while a fault waits for a read from it.
//!
//! Owns: that `swapoff` waits for the read, and no longer. Must not: leave the device off:
//! the next behaviour needs it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use selftests::behaviour::BehaviourEnd;

use super::{END_MS, Ended, Held, right, wrong};
use crate::clock::nap;
use crate::failure::Failure;
use crate::hold::Suspects;
use crate::subject::{tid, value_at};
use crate::swap;

/// Of the thread that calls it: little, as all that this process has is locked in memory.
const STACK: usize = 64 << 10;

/// After `swapoff` is seen to wait it must go on to, in microseconds.
const STAYS_US: u64 = 10_000;

/// `swapoff`, then the release.
pub(super) fn off(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    let seen = while_off(held);
    let device = &held.kit.swap;
    if swap::active(device) {
        return seen;
    }
    swap::on(device).map_err(|error| Failure::Broken(format!("after swapoff(): {error:#}")))?;
    seen
}

fn while_off(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    let (task, answer) = start(held.kit.swap.clone())?;
    let waiter = Suspects { task, kworkers: false }.waiter(held.kit.deadline(1000));
    nap(STAYS_US);
    if let Ok(end) = answer.try_recv() {
        let end = end.err().unwrap_or_else(|| "it succeeds".to_owned());
        return Ok(wrong(format!("swapoff() ends before the read is answered: {end}")));
    }
    let waiter = waiter?;
    held.scene.server.release()?;
    let ended = held.end()?;
    let place = waiter.first().map_or("", String::as_str);
    let target = held.hold.target;
    let wanted = value_at(target.seed, target.page);
    if !matches!(ended, Ended::Byte(byte, _) if byte == wanted) {
        return Ok(wrong(format!("{ended} where it must load {wanted:#04x}")));
    }
    let saw = match answer.recv_timeout(held.kit.deadline(END_MS).left()) {
        Err(_) => return Err(Failure::Broken(format!("swapoff(), which waited in {place}, does not end"))),
        Ok(Err(error)) => return Ok(wrong(format!("swapoff() waits in {place}, then fails: {error}"))),
        Ok(Ok(())) => format!("swapoff() waits in {place}, ends with 0 after the release; {ended}"),
    };
    held.scene.compare(target)?;
    Ok(right(saw))
}

/// The directory of the thread that calls it, and where its end is told.
fn start(device: PathBuf) -> Result<(PathBuf, Receiver<Result<(), String>>), Failure> {
    let ((ready, started), (end, answer)) = (channel(), channel());
    let call = move || {
        // Nobody listens any more only if the conductor gave up.
        if ready.send(tid()).is_ok() {
            drop(end.send(swap::off(&device).map_err(|error| format!("{error:#}"))));
        }
    };
    let thread = std::thread::Builder::new().name("swapoff".to_owned()).stack_size(STACK).spawn(call);
    drop(thread.context("starting the thread for swapoff()")?);
    let tid = started.recv().context("the thread for swapoff() did not start")?;
    Ok((PathBuf::from(format!("/proc/self/task/{tid}")), answer))
}
