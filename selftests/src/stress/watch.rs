// SPDX-License-Identifier: GPL-2.0-only
//! The conductor's part of a stress: start it, press memory, watch, end it.
//!
//! Owns: the time, reclaim, the readahead window, the counts, and how it ended. Must
//! not: wait for the stressed process without a deadline.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;

use anyhow::Context;
use selftests::plan::Stress;
use selftests::protocol::Frame;
use selftests::tally::{StressEnd, Tally};

use super::board::{Board, VCPUS};
use crate::clock::{Deadline, millis, nap, now};
use crate::failure::Failure;
use crate::inject;
use crate::nbd::device::Counts;
use crate::rig::Rig;
use crate::rng::Rng;
use crate::roles::{Role, Stay};
use crate::shared;
use crate::swap::{self, PAGE};
use crate::tasks;
use crate::wire::{Message, Op, wait_any};

/// A vCPU without an access for so long, at hardware speed, makes no progress: a
/// hundred times the device's longest delay.
const STALL_MS: u64 = 20_000;
/// From the order to stop to the last answer.
const END_MS: u64 = 30_000;
/// Between two notes: PID 1 and the host take silence for a hang.
const NOTE_MS: u64 = 4_000;
/// Readahead windows of 1 and 8 pages, as in the cells: each takes its own path.
const CLUSTERS: [u32; 2] = [0, 3];

/// How much longer than its own time a stress may take until somebody else ends it,
/// in milliseconds.
pub(crate) const SLACK_MS: u64 = 2 * END_MS + STALL_MS;

/// Carries out `stress`; `note` takes a frame about its progress now and then.
pub(crate) fn run(
    rig: &mut Rig,
    stress: Stress,
    note: &mut dyn FnMut(Frame) -> anyhow::Result<()>,
) -> Result<StressEnd, Failure> {
    let fd = shared::create::<Board>()?;
    let board = shared::map::<Board>(&fd)?;
    let role = Role::spawn("stress", &[Stay::from(fd)])?;
    rig.kit.group.add(role.pid)?;
    rig.swap.server.delay(stress.seed)?;
    let patience = (rig.kit.patience * 1e3).round() as u64;
    role.control.send(&Message::new(Op::Go, &[stress.seed, patience]))?;
    let answer = role.control.next_until(rig.kit.deadline(END_MS)).context("the stressed process")?;
    let vcpu = match answer {
        Some(Message { op: Op::Done, args: [tid, ..], .. }) => tid,
        Some(answer) if answer.op == Op::Skip => return Err(Failure::Skip(answer.text())),
        Some(answer) => return Err(Failure::Broken(format!("the stressed process: {}", answer.text()))),
        None => return Err(Failure::Broken("the stressed process did not build its machine in time".to_owned())),
    };
    if let Ok(trace) = &mut rig.trace {
        trace.take(vcpu)?;
    }
    let async_pf = rig.trace.is_ok().then_some(0);
    let mut watch = Watch { rig, board, role, vcpu, async_pf, last: [(0, now()); VCPUS] };
    watch.watch(stress, note)
}

struct Watch<'a> {
    rig: &'a mut Rig,
    board: &'static Board,
    role: Role,
    /// Thread of the vCPU that takes async page faults.
    vcpu: u64,
    async_pf: Option<u64>,
    /// Accesses of each vCPU, and when that number last changed.
    last: [(u64, u64); VCPUS],
}

impl Watch<'_> {
    fn watch(
        &mut self,
        stress: Stress,
        note: &mut dyn FnMut(Frame) -> anyhow::Result<()>,
    ) -> Result<StressEnd, Failure> {
        let mut rng = Rng::new(stress.seed, u64::MAX);
        let end = Deadline::at(now() + u64::from(stress.seconds) * 1_000_000_000);
        let mut next_note = Deadline::after(NOTE_MS, 1.0);
        let mut stuck = None;
        while !end.passed() && !self.board.stopped() && stuck.is_none() {
            self.press(&mut rng)?;
            self.count()?;
            stuck = self.stalled();
            if next_note.passed() {
                let tally = self.tally()?;
                note(Frame::Note { text: progress(&tally) })?;
                next_note = Deadline::after(NOTE_MS, 1.0);
            }
            nap(1000 + rng.below(6000));
        }
        self.board.stop.store(1, SeqCst);
        let deadline = self.rig.kit.deadline(END_MS);
        let answer = if stuck.is_some() { None } else { self.answer(deadline)? };
        self.count()?;
        let tally = self.tally()?;
        if let Some(wrong) = self.board.wrong() {
            return Ok(StressEnd::Corrupt { wrong, tally });
        }
        if self.board.stuck.load(SeqCst) != 0 {
            let reason = format!("a forked child does not end: {}", stacks(self.board.stuck.load(SeqCst)));
            return Ok(StressEnd::Stuck { reason, tally });
        }
        match answer {
            Some(Message { op: Op::Done, .. }) => Ok(StressEnd::Complete { tally }),
            Some(answer) => Err(Failure::Broken(format!("the stressed process: {}", answer.text()))),
            None => {
                let what = stuck.unwrap_or_else(|| "the stressed process does not stop".to_owned());
                let reason = format!("{what}: {}", stacks(self.role.pid.into()));
                Ok(StressEnd::Stuck { reason, tally })
            }
        }
    }

    /// One round of memory pressure.
    fn press(&self, rng: &mut Rng) -> anyhow::Result<()> {
        if rng.below(8) == 0 {
            swap::set_page_cluster(CLUSTERS[rng.below(2) as usize])?;
            self.board.did("readahead", true);
        }
        self.rig.kit.group.reclaim((8 + rng.below(56) as usize) * PAGE)?;
        self.board.did("reclaim", true);
        if inject::in_stress("kill") && self.board.tally().guest_writes > 100 {
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).context("raise(SIGKILL)")?;
        }
        Ok(())
    }

    /// Takes the new async page faults out of the trace before it is full.
    fn count(&mut self) -> anyhow::Result<()> {
        if let (Ok(trace), Some(count)) = (&mut self.rig.trace, &mut self.async_pf) {
            *count += u64::from(trace.take(self.vcpu)?.tried);
        }
        Ok(())
    }

    /// Which vCPU makes no progress, if one does not.
    fn stalled(&mut self) -> Option<String> {
        let lines = self.board.vcpus.iter().zip(&mut self.last).enumerate();
        for (number, (line, last)) in lines {
            let count = [&line.reads, &line.writes, &line.denied].iter().map(|count| count.load(SeqCst)).sum();
            if count != last.0 {
                *last = (count, now());
            } else if millis(now().saturating_sub(last.1)) > STALL_MS as f64 * self.rig.kit.patience {
                return Some(format!("vCPU {number} has not ended an access for {STALL_MS} ms at hardware speed"));
            }
        }
        None
    }

    /// The stressed process's last word; `None` if it does not come in time.
    fn answer(&self, deadline: Deadline) -> anyhow::Result<Option<Message>> {
        while !wait_any(&[self.role.as_fd()], deadline)?[0] {
            if deadline.passed() {
                return Ok(None);
            }
        }
        self.role.control.next_until(deadline).context("the stressed process")
    }

    fn tally(&mut self) -> anyhow::Result<Tally> {
        let Counts { reads: swap_reads, writes: swap_writes, delayed, .. } = self.rig.swap.server.counts()?;
        Ok(Tally { swap_reads, swap_writes, delayed, async_pf: self.async_pf, ..self.board.tally() })
    }
}

fn progress(tally: &Tally) -> String {
    let Tally { guest_reads, guest_writes, swap_reads, swap_writes, .. } = tally;
    format!(
        "stress: {guest_reads} guest reads, {guest_writes} guest writes, {swap_reads} swap reads, {swap_writes} swap writes"
    )
}

/// Where each thread of a process is.
fn stacks(pid: u64) -> String {
    let dir = std::path::PathBuf::from(format!("/proc/{pid}/task"));
    let Ok(threads) = std::fs::read_dir(&dir) else { return "it is gone".to_owned() };
    let one = |dir: std::path::PathBuf| {
        let name = std::fs::read_to_string(dir.join("comm")).unwrap_or_default();
        let state = tasks::state(&dir).unwrap_or('?');
        format!("{} is in state {state}, stack {:?}", name.trim(), tasks::stack(&dir))
    };
    let threads: Vec<String> = threads.filter_map(|entry| Some(one(entry.ok()?.path()))).collect();
    threads.join("; ")
}
