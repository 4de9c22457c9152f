// SPDX-License-Identifier: GPL-2.0-only
//! The guest memory's mapping changes while its fault waits.
//!
//! Owns: that the change must end before the release, and what the guest must then see.
//! Must not: make the change: a thread of the process does, as it is one of its own.

use anyhow::Context;
use selftests::behaviour::BehaviourEnd;
use selftests::cell::{Backing, Probe};
use selftests::protocol::ProbeSample;

use super::{Ended, Held, blocked, right, wrong};
use crate::clock::nap;
use crate::failure::Failure;
use crate::hold::ProbeRun;
use crate::rig::Subject;
use crate::subject::{Change, Deed, value_at};
use crate::swap;
use crate::wire::{Message, Op};

/// From the end of KVM_RUN until nothing of a memfd is left, at hardware speed: its inode
/// goes with the last reference, whoever has that.
const GONE_MS: u64 = 1000;

/// `change` by another thread: ends before the read is answered, and the guest goes on as
/// it must?
pub(super) fn change(held: &mut Held<'_>, backing: Backing, change: Change) -> Result<BehaviourEnd, Failure> {
    let target = held.hold.target;
    let old = value_at(target.seed, target.page);
    let new = old ^ 0xff;
    let ([sample], ended) = held.probe([changer(held.subject, change, target.page, new)])?;
    if let Some(reason) = blocked(&change.to_string(), sample.as_ref()) {
        return Ok(wrong(format!("{reason}; {ended}")));
    }
    let wanted = match change {
        Change::Replace => Some(new),
        Change::Discard if backing == Backing::Anon => Some(0),
        Change::Discard | Change::Protect => Some(old),
        Change::Unmap | Change::Poison => None,
    };
    let saw = format!("{change} ends in {:.1} ms, then {ended}", wait_ms(sample.as_ref()));
    Ok(match (wanted, ended) {
        (Some(wanted), Ended::Byte(byte, _)) if byte == wanted => right(saw),
        (Some(wanted), _) => wrong(format!("{saw} where it must load {wanted:#04x}")),
        (None, ended) if ended.is_bad_address() => right(saw),
        (None, _) => wrong(format!("{saw} where nothing is mapped")),
    })
}

/// The thread of the process that makes `change`.
fn changer(subject: &Subject, change: Change, page: u64, byte: u64) -> ProbeRun<'_> {
    let thread = &subject.threads.same_vma;
    let order = Message::new(Op::Go, &[change as u64, page, byte]);
    ProbeRun::new(Probe::WriterSameVma, &thread.orders, order, subject.thread_dir(thread))
}

fn wait_ms(sample: Option<&ProbeSample>) -> f64 {
    sample.map_or(0.0, |sample| sample.wait_ms)
}

/// The memfd loses its mapping and its descriptor: both end before the read is answered, and
/// is all of it gone in the end?
pub(super) fn close_last(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    let before = shmem_kb()?;
    let subject = held.subject;
    let close = Deed::Close.order(0, 0, 0);
    let close = ProbeRun::new(Probe::Writer, &subject.main.control, close, subject.main.proc_dir());
    let ([unmapped, closed], ended) = held.probe([changer(subject, Change::Unmap, 0, 0), close])?;
    let calls = [("munmap()", &unmapped), ("close()", &closed)];
    if let Some(reason) = calls.into_iter().find_map(|(call, sample)| blocked(call, sample.as_ref())) {
        return Ok(wrong(format!("{reason}; {ended}")));
    }
    let took = calls.map(|(call, sample)| format!("{call} ends in {:.1} ms", wait_ms(sample.as_ref())));
    let saw = format!("{}, then {ended}", took.join(", "));
    if !ended.is_bad_address() {
        return Ok(wrong(format!("{saw} where nothing is mapped")));
    }
    // Its other pages are in swap, if they are anywhere: what still has them must show it.
    let device = &held.kit.swap;
    swap::off(device)?;
    swap::on(device).map_err(|error| Failure::Broken(format!("after swapoff(): {error:#}")))?;
    let deadline = held.kit.deadline(GONE_MS);
    loop {
        match (before, shmem_kb()?) {
            (Some(before), Some(after)) if after > before && !deadline.passed() => nap(1000),
            (Some(before), Some(after)) if after > before => {
                return Ok(wrong(format!("{saw}; but Shmem is {after} kB, and was {before} kB without it")));
            }
            (Some(_), Some(after)) => return Ok(right(format!("{saw}; Shmem is {after} kB, as before"))),
            _ => return Ok(right(format!("{saw}; what stays of it cannot be counted before 4.7"))),
        }
    }
}

/// `Shmem` of `/proc/meminfo`, exact; `None` before 4.7, where each CPU keeps a few pages to
/// itself.
fn shmem_kb() -> anyhow::Result<Option<u64>> {
    // Any write does it; root may read, too (vmstat_refresh() of mm/vmstat.c).
    if std::fs::read("/proc/sys/vm/stat_refresh").is_err() {
        return Ok(None);
    }
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let field = |line: &str| line.strip_prefix("Shmem:")?.split_whitespace().next()?.parse().ok();
    meminfo.lines().find_map(field).map(Some).context("/proc/meminfo has no Shmem")
}
