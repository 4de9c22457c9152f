// SPDX-License-Identifier: GPL-2.0-only
//! One trial: a page goes out, an access wants it back, its IO is withheld.
//!
//! ```text
//! map → evict → arm → access → read withheld → waiter waits → probes → release → compare
//! map → arm → write out → writes withheld → access → waiter waits → …      shmem-writeback
//! map → evict → zram writes back → arm → …                                 zram-writeback
//! map → arm → access → page withheld → …                                   uffd
//! ```
//!
//! Owns: that sequence and its sample. Must not: judge, or leave anything
//! withheld, whatever fails.

mod left;

use std::os::fd::AsFd;

use anyhow::Context;
use selftests::cell::{Access, Backing, Cell, Control, Path, Probe, Situation};
use selftests::protocol::{Meanwhile, Sample};

use crate::clock::{millis, now};
use crate::evict::{drop_file, evict, slot, start_writing};
use crate::failure::Failure;
use crate::hold::{self, ProbeRun, Suspects};
use crate::inject;
use crate::nbd::device::{Requests, Server, Withheld};
use crate::rig::{FILE_OFFSET, Kit, QUIET_SLOT, Subject, Thread};
use crate::subject::{Kind, PAGES, Touch, value_at};
use crate::swap::PAGE;
use crate::trace::{Events, Trace};
use crate::wire::{Channel, Message, Op, wait_any};

pub(crate) use left::Hold;

/// Pages from each end of the guest memory that are not accessed, so that the
/// largest readahead window always fits around the one that is.
const MARGIN: u64 = 4;

/// What all trials of a cell share.
pub(crate) struct Scene<'a> {
    /// Withholds and releases.
    pub(crate) server: &'a mut Server,
    /// Counts async page faults.
    pub(crate) trace: &'a mut Result<Trace, String>,
    /// Helpers and deadlines.
    pub(crate) kit: &'a Kit,
    /// The probed process.
    pub(crate) subject: &'a Subject,
    /// The cell that it is part of.
    pub(crate) cell: Cell,
    /// What is measured; for a proof or under a fault injection not the cell's own.
    pub(crate) situation: Situation,
    /// Longest hold in milliseconds.
    pub(crate) hold_ms: u32,
    /// Which probes to start; the proof of async page faults needs none.
    pub(crate) probes: &'a [Probe],
}

/// How often the guest was told of a page, and how far its other task came.
type Meant = Option<(u64, u64)>;

/// What a trial accesses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// What is in it.
    pub(crate) seed: u64,
    /// Of the guest memory, from 0.
    pub(crate) page: u64,
    /// What a storing guest stores there.
    value: u64,
    /// The page of the device that must be withheld, where it is known.
    slot: Option<u64>,
}

impl Scene<'_> {
    /// Makes one trial; `seed` chooses page and content.
    pub(crate) fn trial(&mut self, trial: u32, seed: u64) -> Result<Sample, Failure> {
        let target = self.prepare(seed)?;
        self.async_faults()?;
        self.server.arm(self.requests())?;
        let mut runs = probe_runs(self.probes, self.kit, self.subject);
        let mut reclaiming = false;
        let begun = self.begin_writes(&mut reclaiming);
        let seen = begun.and_then(|()| self.while_withheld(target, &mut runs));
        let release = now();
        self.server.release()?;
        let settled = self.settle(target, &mut runs, !matches!(seen, Err(Early::Over(_))));
        if reclaiming {
            self.end_of_reclaim()?;
        }
        let (waiter, since) = seen.map_err(|(Early::Over(failure) | Early::Under(failure))| failure)?;
        let meanwhile = settled?;
        self.compare(target)?;
        let events = self.async_faults()?;
        Ok(Sample {
            trial,
            hold_ms: millis(release.saturating_sub(since)),
            withheld_bytes: self.withheld_bytes(),
            async_pf: events.map(|events| events.tried),
            meanwhile: meanwhile.map(|(told, progress)| {
                let injected = events.map(|events| events.page_faults);
                Meanwhile { told, injected, progress }
            }),
            probes: runs.into_iter().filter_map(|run| run.sample(release)).collect(),
            waiter,
        })
    }

    /// What the situation waits for.
    fn requests(&self) -> Requests {
        match self.situation {
            Situation::Fault(Backing::ShmemWriteback, ..) => Requests::Writes,
            _ => Requests::Reads,
        }
    }

    fn withheld_bytes(&self) -> u64 {
        self.server.withheld.iter().map(|request| request.length).sum()
    }

    /// Fresh guest memory, out of memory where the situation needs it.
    pub(crate) fn prepare(&self, seed: u64) -> Result<Target, Failure> {
        let kind = kind(self.situation);
        self.subject.map(self.kit, kind, seed)?;
        let page = MARGIN + (seed >> 20) % (PAGES as u64 - 2 * MARGIN);
        let slot = match self.situation {
            Situation::Control(Control::Released) => Some(QUIET_SLOT),
            Situation::Fault(Backing::Uffd, ..) => Some(page),
            Situation::Fault(Backing::ZramWriteback, ..) => {
                evict(self.kit, self.subject)?;
                self.kit.zram.as_ref().context("no zram device was started")?.write_back()?;
                // Where zram puts what it writes back is not told either.
                None
            }
            // Where a page of a memfd goes is not told.
            Situation::Fault(Backing::ShmemWriteback, ..) => None,
            Situation::Fault(Backing::Shmem, ..) => {
                evict(self.kit, self.subject)?;
                None
            }
            Situation::Fault(Backing::File | Backing::FileRandom | Backing::PrivateFile, ..) => {
                drop_file(self.kit, self.subject)?;
                Some((FILE_OFFSET / PAGE) as u64 + page)
            }
            Situation::Fault(Backing::Anon, ..) | Situation::Control(Control::Held) => {
                evict(self.kit, self.subject)?;
                Some(slot(self.subject, page)?)
            }
        };
        Ok(Target { seed, page, value: seed >> 8 & 0xff, slot })
    }

    /// Where writes are withheld, all guest memory must be on its way before the
    /// access. Sets `reclaiming` if the accessor is busy until they are let go.
    fn begin_writes(&mut self, reclaiming: &mut bool) -> Result<(), Early> {
        if self.requests() == Requests::Reads {
            return Ok(());
        }
        *reclaiming = start_writing(self.kit, self.subject).map_err(Early::Over)?;
        let deadline = self.kit.deadline(3000);
        while self.withheld_bytes() < (PAGES * PAGE) as u64 {
            if wait_any(&[self.server.as_fd()], deadline).map_err(|error| Early::Over(error.into()))?[0] {
                self.server.take_report().map_err(|error| Early::Over(error.into()))?;
            } else if deadline.passed() {
                let seen = &self.server.withheld;
                let reason = format!("not all guest memory is being written; withheld are {seen:?}");
                return Err(Early::Over(Failure::Again(reason)));
            }
        }
        Ok(())
    }

    /// The channel on which the access is ordered and answered.
    pub(crate) fn accessing(&self) -> &Channel {
        let threads = &self.subject.threads;
        match self.situation {
            Situation::Fault(_, path, _) if path.has_guest() => &threads.vcpu.orders,
            Situation::Fault(_, Path::User | Path::Odirect, _) => &threads.toucher.orders,
            Situation::Fault(..) | Situation::Control(_) => &self.kit.accessor.control,
        }
    }

    fn access_order(&self, target: Target) -> Message {
        let at = self.subject.hva + target.page * PAGE as u64;
        match self.situation {
            Situation::Fault(_, path, _) if path.has_guest() => Message::new(Op::Go, &[target.page, target.value]),
            Situation::Fault(_, Path::ProcessVm, access) => {
                let write = u64::from(access == Access::Write);
                Message::new(Op::Transfer, &[self.subject.main.pid.into(), at, write, target.value])
            }
            Situation::Fault(_, path, access) => {
                let touch = match (path, access) {
                    (Path::Odirect, Access::Read) => Touch::DirectFrom,
                    (Path::Odirect, Access::Write) => Touch::DirectTo,
                    (_, Access::Read) => Touch::Load,
                    (_, Access::Write) => Touch::Store,
                };
                Message::new(Op::Go, &[target.page, target.value, touch as u64, target.seed])
            }
            Situation::Control(Control::Held) => Message::new(Op::Go, &[self.subject.main.pid.into(), at]),
            Situation::Control(Control::Released) => {
                let mut order = Message::with_text(Op::Go, &self.kit.swap.to_string_lossy());
                order.args[1] = QUIET_SLOT * PAGE as u64;
                order
            }
        }
    }

    fn suspects(&self) -> Suspects {
        match self.situation {
            Situation::Fault(_, path, _) if path.has_guest() => {
                let task = self.subject.thread_dir(&self.subject.threads.vcpu);
                Suspects { task, kworkers: path.is_async() }
            }
            Situation::Fault(_, Path::User | Path::Odirect, _) => {
                Suspects { task: self.subject.thread_dir(&self.subject.threads.toucher), kworkers: false }
            }
            Situation::Fault(..) | Situation::Control(_) => {
                Suspects { task: self.kit.accessor.proc_dir(), kworkers: false }
            }
        }
    }

    /// From the access to the end of the probes: who waited, and since when.
    fn while_withheld(&mut self, target: Target, runs: &mut [ProbeRun<'_>]) -> Result<(Vec<String>, u64), Early> {
        let waiting = self.fault(target, &self.access_order(target))?;
        hold::probe(runs, self.hold_ms, self.kit.deadline(u64::from(self.hold_ms) + 2000))?;
        inject::while_withheld(&self.cell.to_string());
        Ok(waiting)
    }

    /// From the access to the task that waits: its stack, and since when.
    fn fault(&mut self, target: Target, order: &Message) -> Result<(Vec<String>, u64), Early> {
        let begun = self.accessing().send(order);
        begun.map_err(|error| Early::Over(error.into()))?;
        self.waiting(target)
    }

    fn waiting(&mut self, target: Target) -> Result<(Vec<String>, u64), Early> {
        let start = now();
        let since = match self.requests() {
            Requests::Reads => self.wait_withheld(target)?.at,
            Requests::Writes => start,
        };
        Ok((self.suspects().waiter(self.kit.deadline(2000))?, since))
    }

    fn wait_withheld(&mut self, target: Target) -> Result<Withheld, Early> {
        let deadline = self.kit.deadline(3000);
        loop {
            let wanted = |read: &&Withheld| target.slot.is_none_or(|slot| read.covers(slot));
            if let Some(read) = self.server.withheld.iter().find(wanted) {
                return Ok(*read);
            }
            let ready = wait_any(&[self.server.as_fd(), self.accessing().as_fd()], deadline)?;
            if ready[0] {
                self.server.take_report()?;
            } else if ready[1] {
                let failure = self.end_of_access(target).err();
                let over = || Failure::Again("the access was over and no read was withheld".to_owned());
                return Err(Early::Over(failure.unwrap_or_else(over)));
            } else if deadline.passed() {
                let seen = &self.server.withheld;
                let reason = format!("the read of slot {:?} did not arrive; withheld are {seen:?}", target.slot);
                return Err(Early::Under(Failure::Again(reason)));
            }
        }
    }

    /// After the release everything must end, and the access with the right byte.
    /// Gives what the guest did meanwhile, where it was free to.
    fn settle(&self, target: Target, runs: &mut [ProbeRun<'_>], access_under_way: bool) -> Result<Meant, Failure> {
        let deadline = self.kit.deadline(10_000);
        let mut meanwhile = None;
        if access_under_way {
            if !wait_any(&[self.accessing().as_fd()], deadline)?[0] {
                return Err(Failure::Broken("the access did not end after the release".to_owned()));
            }
            meanwhile = self.end_of_access(target)?;
        }
        hold::collect(runs, deadline)?;
        if hold::all_back(runs) {
            return Ok(meanwhile);
        }
        Err(Failure::Broken("a probe did not end after the release".to_owned()))
    }

    /// The accessor must have done with reclaim before it can be used again.
    fn end_of_reclaim(&self) -> Result<(), Failure> {
        match self.kit.accessor.control.next_until(self.kit.deadline(10_000))? {
            Some(_) => Ok(()),
            None => Err(Failure::Broken("reclaim did not end after the release".to_owned())),
        }
    }

    /// Takes the answer to the access, which is there, and checks its byte; what the guest
    /// did meanwhile.
    fn end_of_access(&self, target: Target) -> Result<Meant, Failure> {
        let answer = self.accessing().next()?.context("the accessing process is gone")?;
        if answer.op != Op::Done {
            return Err(Failure::Broken(format!("the access failed: {}", answer.text())));
        }
        let wanted = match self.situation {
            Situation::Fault(_, _, Access::Write) => target.value,
            Situation::Control(Control::Released) => return Ok(None),
            _ => value_at(target.seed, target.page),
        };
        let [seen, _, _, told, progress, ..] = answer.args;
        if seen == wanted {
            let free = matches!(self.situation, Situation::Fault(_, Path::ApfGuest, _));
            return Ok(free.then_some((told, progress)));
        }
        Err(Failure::Broken(format!("the access of page {} gave {seen:#x} and must give {wanted:#x}", target.page)))
    }

    /// All guest memory must be as written.
    pub(crate) fn compare(&self, target: Target) -> Result<(), Failure> {
        let write = matches!(self.situation, Situation::Fault(_, _, Access::Write));
        let written = if write { target.page } else { u64::MAX };
        let order = Message::new(Op::Verify, &[target.seed, written, target.value]);
        let compared = self.subject.main.ask(&order, self.kit.deadline(20_000));
        compared.map(drop).map_err(|error| Failure::Broken(format!("wrong guest content: {error:#}")))
    }

    /// What KVM did for the vCPU since the last call; `None` if they cannot be seen.
    fn async_faults(&mut self) -> Result<Option<Events>, Failure> {
        match self.trace {
            Ok(trace) => Ok(Some(trace.take(self.subject.threads.vcpu.tid)?)),
            Err(_) => Ok(None),
        }
    }
}

/// What the situation's guest memory is a mapping of; a control's is private.
fn kind(situation: Situation) -> Kind {
    match situation {
        Situation::Fault(Backing::Shmem | Backing::ShmemWriteback, ..) => Kind::Memfd,
        Situation::Fault(Backing::File, ..) => Kind::File,
        Situation::Fault(Backing::FileRandom, ..) => Kind::FileRandom,
        Situation::Fault(Backing::PrivateFile, ..) => Kind::PrivateFile,
        Situation::Fault(Backing::Uffd, ..) => Kind::Missing,
        Situation::Fault(Backing::Anon | Backing::ZramWriteback, ..) | Situation::Control(_) => Kind::Private,
    }
}

/// The probes of a trial, not started yet.
fn probe_runs<'a>(probes: &[Probe], kit: &'a Kit, subject: &'a Subject) -> Vec<ProbeRun<'a>> {
    let inside = |probe, thread: &'a Thread| {
        ProbeRun::new(probe, &thread.orders, Message::new(Op::Go, &[]), subject.thread_dir(thread))
    };
    let run = |probe: &Probe| match probe {
        Probe::Writer => inside(*probe, &subject.threads.writer),
        Probe::WriterSameVma => inside(*probe, &subject.threads.same_vma),
        Probe::Bystander => inside(*probe, &subject.threads.bystander),
        Probe::Reader => {
            let order = Message::new(Op::Go, &[subject.main.pid.into()]);
            ProbeRun::new(*probe, &kit.reader.control, order, kit.reader.proc_dir())
        }
    };
    probes.iter().map(run).collect()
}

/// Why a hold ended early: with the access over (or never begun), or under way.
enum Early {
    Over(Failure),
    Under(Failure),
}

impl From<Failure> for Early {
    fn from(failure: Failure) -> Self {
        Self::Under(failure)
    }
}

impl From<anyhow::Error> for Early {
    fn from(error: anyhow::Error) -> Self {
        Self::Under(error.into())
    }
}
