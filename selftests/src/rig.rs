// SPDX-License-Identifier: GPL-2.0-only
//! What all cells of a run share: the swap devices, the cgroup, tracing, helpers.
//!
//! Owns: their start, their end, and the start of a probed process. Must not:
//! measure.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cgroup::Group;
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::leftovers::{self, Record};
use crate::nbd::device::{self, Device};
use crate::roles::{self, Role, Stay};
use crate::subject::{Kind, Setup, Threads};
use crate::swap;
use crate::trace::Trace;
use crate::wire::{Channel, Message, Op};
use crate::zram::{self, Zram};

/// Bytes of the swap device: 4096 pages, many times what one trial swaps out, and
/// little enough to be locked in a guest of 512 MiB.
const SWAP_BYTES: usize = 16 << 20;
/// Bytes of the other device.
const DISK_BYTES: usize = 1 << 20;

/// Bytes of the device that zram writes back to. It frees a page there when swap frees the
/// slot, which before 6.11 may be 128 slots later on each CPU (`mm/swap_slots.c`).
const BACKING_BYTES: usize = 4 << 20;

/// The page of the swap device that no trial swaps to, for reads that are no fault.
pub(crate) const QUIET_SLOT: u64 = (SWAP_BYTES / swap::PAGE) as u64 - 1;
/// Where on the other device the file begins that guest memory maps: what is read
/// around a page of it is on the device, too.
pub(crate) const FILE_OFFSET: usize = DISK_BYTES / 2;

/// Read-around of eight pages, as far as the largest readahead of swap.
const READ_AHEAD_KB: u32 = 32;

/// The running instrument.
pub(crate) struct Rig {
    /// The block device in use for swap.
    pub(crate) swap: Device,
    /// The block device that guest memory may be a mapping of: one that is in use
    /// for swap cannot be mapped.
    pub(crate) disk: Device,
    /// The block device that [`Kit::zram`] writes back to; as that, only after the first cell
    /// that needs it.
    pub(crate) backing: Option<Device>,
    /// What must be taken back.
    record: Record,
    /// The tracepoint, or why it cannot be read.
    pub(crate) trace: Result<Trace, String>,
    /// The rest.
    pub(crate) kit: Kit,
}

/// The part of the instrument that a trial only looks at.
pub(crate) struct Kit {
    /// The cgroup of the probed process.
    pub(crate) group: Group,
    /// The reader probe.
    pub(crate) reader: Role,
    /// The process behind both controls.
    pub(crate) accessor: Role,
    /// The device nodes of [`Rig::swap`] and [`Rig::disk`].
    pub(crate) swap: PathBuf,
    /// See above.
    pub(crate) disk: PathBuf,
    /// The other swap device, which is in use during its own cells only.
    pub(crate) zram: Option<Zram>,
    /// Factor on every deadline.
    pub(crate) patience: f64,
}

/// A probed process.
pub(crate) struct Subject {
    /// Main thread: mapping, paging out, comparing.
    pub(crate) main: Role,
    /// Its threads.
    pub(crate) threads: Threads<Thread>,
    /// Where the guest memory starts in this process.
    pub(crate) hva: u64,
}

/// A thread of a probed process.
pub(crate) struct Thread {
    /// Its orders.
    pub(crate) orders: Channel,
    /// Its id; 0 for the vCPU of a process without a guest, and for the pager.
    pub(crate) tid: u64,
}

impl Rig {
    /// Starts everything.
    pub(crate) fn set_up(patience: f64) -> Result<Self, Failure> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::Skip("swapon, NBD and /proc/PID/stack need root".to_owned()));
        }
        // Nothing that decides about a release may wait for the swap device.
        roles::lock_memory_forever()?;
        let page_cluster = swap::page_cluster()?;
        let swap = Device::start(SWAP_BYTES, patience)?;
        // Recorded before the next is chosen: it must not be taken for a free one.
        let mut record = Record { devices: vec![swap.path.clone()], page_cluster, read_ahead: None, zram: None };
        leftovers::record(&record)?;
        let disk = Device::start(DISK_BYTES, patience)?;
        record.devices.push(disk.path.clone());
        record.read_ahead = Some((disk.path.clone(), device::read_ahead_kb(&disk.path)?));
        leftovers::record(&record)?;
        device::set_read_ahead_kb(&disk.path, READ_AHEAD_KB)?;
        let group = Group::create()?;
        swap::on(&swap.path)?;
        let trace = Trace::open().map_err(|error| format!("{error:#}"));
        let (reader, accessor) = (helper("reader", patience)?, helper("accessor", patience)?);
        let (swap_node, disk_node) = (swap.path.clone(), disk.path.clone());
        let kit = Kit { group, reader, accessor, swap: swap_node, disk: disk_node, zram: None, patience };
        Ok(Self { swap, disk, backing: None, record, trace, kit })
    }

    /// Makes zram the swap device of guest memory, or no longer; starts it if there is none yet.
    ///
    /// # Errors
    /// [`Failure::Skip`]: this kernel has no zram with writeback.
    pub(crate) fn swap_to_zram(&mut self, on: bool) -> Result<(), Failure> {
        if on && self.kit.zram.is_none() {
            let zram = Zram::find(Path::new("/sys/block"))?;
            let backing = Device::start(BACKING_BYTES, self.kit.patience)?;
            self.record.devices.push(backing.path.clone());
            self.record.zram = Some(zram.node.clone());
            leftovers::record(&self.record)?;
            zram.start(&backing.path)?;
            (self.kit.zram, self.backing) = (Some(zram), Some(backing));
        }
        Ok(self.kit.zram.as_mut().map_or(Ok(()), |zram| zram.turn(on, &self.swap.path))?)
    }

    /// Ends everything, in the reverse order.
    pub(crate) fn tear_down(self) -> anyhow::Result<()> {
        let Self { swap, disk, backing, mut record, trace, mut kit } = self;
        let (patience, zram) = (kit.patience, kit.zram.take());
        drop((trace, kit));
        if let Some(mut zram) = zram {
            zram.turn(false, &swap.path)?;
            zram::reset(&zram.node)?;
            record.zram = None;
            leftovers::record(&record)?;
        }
        if let Some(backing) = backing {
            backing.stop(patience)?;
        }
        swap::off(&swap.path)?;
        swap.stop(patience)?;
        disk.stop(patience)?;
        let complaints = leftovers::clean();
        anyhow::ensure!(complaints.is_empty(), "cleaning up: {}", complaints.join("; "));
        Ok(())
    }
}

impl Kit {
    /// A deadline of `ms` milliseconds at hardware speed.
    pub(crate) fn deadline(&self, ms: u64) -> Deadline {
        Deadline::after(ms, self.patience)
    }

    /// Starts a process to probe, in its cgroup, with a machine of this kind.
    pub(crate) fn subject(&self, setup: Setup) -> Result<Subject, Failure> {
        let mut theirs = Vec::new();
        let channels = Threads::try_new(|| {
            let (ours, other) = Channel::pair()?;
            theirs.push(Stay::from(other));
            anyhow::Ok(ours)
        })?;
        let main = Role::spawn("subject", &theirs)?;
        drop(theirs);
        self.group.add(main.pid)?;
        let mut order = Message::with_text(Op::Go, &self.disk.to_string_lossy());
        let [guest, write] = setup.to_args();
        (order.args[0], order.args[1]) = (guest, write);
        main.control.send(&order)?;
        let answer = main.control.next_until(self.deadline(20_000)).context("the probed process")?;
        match answer {
            Some(Message { op: Op::Done, args: [hva, tids @ ..], .. }) => {
                Ok(Subject { main, threads: channels.with_tids(tids), hva })
            }
            Some(answer) if answer.op == Op::Skip => Err(Failure::Skip(answer.text())),
            Some(answer) => Err(Failure::Broken(format!("the probed process: {}", answer.text()))),
            None => Err(Failure::Broken("the probed process did not build its machine in time".to_owned())),
        }
    }
}

impl Threads<Channel> {
    fn with_tids(self, [vcpu, toucher, writer, same_vma, bystander]: [u64; 5]) -> Threads<Thread> {
        let thread = |orders, tid| Thread { orders, tid };
        Threads {
            vcpu: thread(self.vcpu, vcpu),
            toucher: thread(self.toucher, toucher),
            writer: thread(self.writer, writer),
            same_vma: thread(self.same_vma, same_vma),
            bystander: thread(self.bystander, bystander),
            // Nobody looks at its stack.
            pager: thread(self.pager, 0),
        }
    }
}

impl Subject {
    /// One access without any swap: does KVM run a guest here at all?
    pub(crate) fn first_run(&self, kit: &Kit) -> Result<(), Failure> {
        self.map(kit, Kind::Private, 1)?;
        self.threads.vcpu.orders.send(&Message::new(Op::Go, &[0, 0]))?;
        match self.threads.vcpu.orders.next_until(kit.deadline(5000))? {
            Some(Message { op: Op::Done, .. }) => Ok(()),
            Some(answer) => Err(Failure::Skip(format!("KVM runs no guest here: {}", answer.text()))),
            None => Err(Failure::Skip("KVM runs no guest here: KVM_RUN did not return in time".to_owned())),
        }
    }

    /// Gives it fresh guest memory.
    ///
    /// # Errors
    /// [`Failure::Skip`]: this kernel has no such memory.
    pub(crate) fn map(&self, kit: &Kit, kind: Kind, seed: u64) -> Result<(), Failure> {
        self.main.control.send(&Message::new(Op::Map, &[kind as u64, seed]))?;
        match self.main.control.next_until(kit.deadline(10_000)).context("the probed process")? {
            Some(answer) if answer.op == Op::Done => Ok(()),
            Some(answer) if answer.op == Op::Skip => Err(Failure::Skip(answer.text())),
            Some(answer) => Err(Failure::Again(format!("the probed process: {}", answer.text()))),
            None => Err(Failure::Again("the probed process did not map its guest memory in time".to_owned())),
        }
    }

    /// The directory below `/proc` of one of its threads.
    pub(crate) fn thread_dir(&self, thread: &Thread) -> PathBuf {
        self.main.proc_dir().join(format!("task/{}", thread.tid))
    }
}

fn helper(name: &'static str, patience: f64) -> anyhow::Result<Role> {
    let role = Role::spawn(name, &[])?;
    let ready = role.control.next_until(Deadline::after(10_000, patience))?;
    ready.with_context(|| format!("the {name} process did not start in time"))?;
    Ok(role)
}
