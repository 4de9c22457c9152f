// SPDX-License-Identifier: GPL-2.0-only
//! The conductor's part of a storm: the allowance, the start, the reader, the end.
//!
//! Owns: the time, the counts, and how it ended. Must not: wait for the process in the
//! storm without a deadline.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow, bail};
use selftests::cell::Probe;
use selftests::latency::Latency;
use selftests::protocol::Frame;
use selftests::storms::{MOST_SHOTS, MOST_VCPUS, PROBES, Series, Storm, StormBacking, StormEnd, StormTally};

use super::CORRUPT;
use super::board::{Board, Pace};
use crate::clock::{Deadline, millis, nap, now};
use crate::failure::Failure;
use crate::nbd::device::Counts;
use crate::rig::Rig;
use crate::roles::{Role, Stay};
use crate::shared;
use crate::swap::{self, PAGE};
use crate::wire::{Message, Op, wait_any};

/// To fill the guest's memory, most of which goes out again, at hardware speed.
pub(super) const START_MS: u64 = 30_000;
/// From the last shot's time to its end, and from the order to stop to the last answer.
pub(super) const END_MS: u64 = 20_000;
/// Between two notes: PID 1 and the host take silence for a hang.
const NOTE_MS: u64 = 4_000;
/// From the order to begin to the first shot: all threads run by then.
const LEAD_NS: u64 = 50_000_000;

/// Makes `storm`; `note` takes a frame about its progress now and then.
pub(crate) fn run(
    rig: &mut Rig,
    storm: Storm,
    note: &mut dyn FnMut(Frame) -> anyhow::Result<()>,
) -> Result<StormEnd, Failure> {
    if storm.shots() > MOST_SHOTS || !(1..=MOST_VCPUS).contains(&storm.vcpus) || storm.rate == 0 {
        return Err(Failure::Broken(format!("a storm like {storm:?} cannot be made")));
    }
    let fd = shared::create::<Board>()?;
    let board = shared::map::<Board>(&fd)?;
    let role = Role::spawn("storm", &[Stay::from(fd)])?;
    rig.kit.group.add(role.pid)?;
    let backing = u64::from(storm.backing == StormBacking::Shmem);
    role.control.send(&Message::new(Op::Go, &[storm.seed, storm.vcpus.into(), backing, storm.pages.into()]))?;
    let answer = role.control.next_until(rig.kit.deadline(START_MS)).context("the process in the storm")?;
    let vcpu = match answer {
        Some(Message { op: Op::Done, args: [tid, ..], .. }) => tid,
        Some(answer) if answer.op == Op::Skip => return Err(Failure::Skip(answer.text())),
        Some(answer) => return Err(Failure::Broken(format!("the process in the storm: {}", answer.text()))),
        None => return Err(Failure::Broken("the process in the storm did not build its machine in time".to_owned())),
    };
    // One page, one read.
    swap::set_page_cluster(0)?;
    rig.kit.group.allow(storm.pages as usize / 2 * PAGE)?;
    role.ask(&Message::new(Op::Map, &[]), rig.kit.deadline(START_MS))?;
    Weather { rig, board, role, vcpu, storm }.blow(note)
}

struct Weather<'a> {
    rig: &'a mut Rig,
    board: &'static Board,
    role: Role,
    /// Thread of the vCPU that takes async page faults.
    vcpu: u64,
    storm: Storm,
}

impl Weather<'_> {
    fn blow(mut self, note: &mut dyn FnMut(Frame) -> anyhow::Result<()>) -> Result<StormEnd, Failure> {
        let Storm { seed, latency, .. } = self.storm;
        let mut async_pf = self.async_faults()?.map(|_| 0);
        self.rig.swap.server.delay_reads(seed, latency)?;
        let reader = self.start_reader()?;
        let interval = self.storm.interval_us() * 1000;
        self.role.control.send(&Message::new(Op::Go, &[interval, self.storm.shots().into()]))?;
        let begun = now();
        self.board.start.store(begun + LEAD_NS, SeqCst);
        let end = Deadline::at(begun + LEAD_NS + u64::from(self.storm.seconds) * 1_000_000_000);
        let mut late = None;
        let mut next_note = Deadline::after(NOTE_MS, 1.0);
        while !(self.board.stopped() || end.passed() && self.all_shot()) {
            if end.passed() && late.get_or_insert_with(|| self.rig.kit.deadline(END_MS)).passed() {
                break;
            }
            if let (Some(count), Some(new)) = (&mut async_pf, self.async_faults()?) {
                *count += new;
            }
            if next_note.passed() {
                note(Frame::Note { text: self.progress() })?;
                next_note = Deadline::after(NOTE_MS, 1.0);
            }
            nap(20_000);
        }
        let Counts { reads: swap_reads, writes: swap_writes, delayed, late_us } = self.rig.swap.server.counts()?;
        let elapsed_ms = millis(now() - begun);
        let [accesses, stores] = self.board.accesses();
        if let (Some(count), Some(new)) = (&mut async_pf, self.async_faults()?) {
            *count += new;
        }
        self.board.stop.store(1, SeqCst);
        // The last look need not be slow.
        self.rig.swap.server.delay_reads(seed, Latency::Fixed(0))?;
        let verified = match self.last_word()? {
            Ok(verified) => verified,
            Err(text) => {
                return match text.split_once(CORRUPT) {
                    Some((_, reason)) => Ok(StormEnd::Corrupt { reason: reason.to_owned() }),
                    None => Err(Failure::Broken(format!("the process in the storm: {text}"))),
                };
            }
        };
        self.end_of_reader(reader)?;
        let series = |probe| Series { probe, interval_us: self.storm.interval_us(), shots: self.board.shots(probe) };
        let series = PROBES.map(series).to_vec();
        let counts =
            StormTally { elapsed_ms, accesses, stores, swap_reads, swap_writes, delayed, ..Default::default() };
        Ok(StormEnd::Complete { tally: StormTally { late_us, async_pf, verified, series, ..counts } })
    }

    fn all_shot(&self) -> bool {
        PROBES.into_iter().all(|probe| self.board.taken(probe) >= self.storm.shots().into())
    }

    /// Async page faults of the first vCPU since the last call.
    fn async_faults(&mut self) -> anyhow::Result<Option<u64>> {
        match &mut self.rig.trace {
            Ok(trace) => Ok(Some(trace.take(self.vcpu)?.tried.into())),
            Err(_) => Ok(None),
        }
    }

    /// Reads the other process's maps, half an interval behind the writer, so that it does
    /// not always stand behind it. A thread: it has not the probed lock.
    fn start_reader(&self) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
        let (board, pid, interval) = (self.board, self.role.pid, self.storm.interval_us() * 1000);
        let pace = Pace { shots: self.storm.shots(), interval, offset: interval / 2 };
        let path = format!("/proc/{pid}/maps");
        let read = move || {
            let mut page = [0; 4096];
            board.shoot(Probe::Reader, pace, || {
                let maps = File::open(&path).with_context(|| format!("opening {path}"))?;
                if maps.read_at(&mut page, 0).with_context(|| format!("reading {path}"))? == 0 {
                    bail!("{path} is empty: the process is gone");
                }
                Ok(())
            })
        };
        std::thread::Builder::new().name("reader".to_owned()).spawn(read).context("starting the reader's thread")
    }

    fn end_of_reader(&self, reader: JoinHandle<anyhow::Result<()>>) -> Result<(), Failure> {
        let deadline = self.rig.kit.deadline(END_MS);
        while !reader.is_finished() {
            if deadline.passed() {
                return Err(Failure::Broken("the reader does not end".to_owned()));
            }
            nap(1000);
        }
        reader
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the reader panicked")))
            .map_err(|error| Failure::Broken(format!("{error:#}")))
    }

    /// How many pages were right, or what the process says instead.
    fn last_word(&self) -> Result<Result<u64, String>, Failure> {
        // It may already have ended its work, and said so.
        drop(self.role.control.send(&Message::new(Op::Verify, &[])));
        let deadline = self.rig.kit.deadline(END_MS);
        while !wait_any(&[self.role.as_fd()], deadline)?[0] {
            if deadline.passed() {
                return Err(Failure::Broken("the process in the storm does not stop".to_owned()));
            }
        }
        match self.role.control.next_until(deadline).context("the process in the storm")? {
            Some(Message { op: Op::Done, args: [verified, ..], .. }) => Ok(Ok(verified)),
            Some(answer) => Ok(Err(answer.text())),
            None => Err(Failure::Broken("the process in the storm does not answer".to_owned())),
        }
    }

    fn progress(&self) -> String {
        let ([accesses, _], [writer, reader]) = (self.board.accesses(), PROBES.map(|probe| self.board.taken(probe)));
        format!("storm: {accesses} accesses, {writer} and {reader} shots")
    }
}
