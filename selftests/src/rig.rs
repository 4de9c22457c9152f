// SPDX-License-Identifier: GPL-2.0-only
//! What all cells of a run share: the swap device, the cgroup, tracing, helpers.
//!
//! Owns: their start, their end, and the start of a probed process. Must not:
//! measure.

use std::path::PathBuf;

use anyhow::Context;

use crate::cgroup::Group;
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::leftovers::{self, Record};
use crate::nbd::device::Device;
use crate::roles::{self, Role, Stay};
use crate::subject::Setup;
use crate::swap;
use crate::trace::Trace;
use crate::wire::{Channel, Message, Op};

/// The page of the device that no trial swaps to, for reads that are no fault.
pub(crate) const QUIET_SLOT: u64 = (crate::nbd::server::DEVICE_BYTES / swap::PAGE) as u64 - 1;

/// The running instrument.
pub(crate) struct Rig {
    /// The block device, in use for swap.
    pub(crate) device: Device,
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
    /// The device node.
    pub(crate) disk: PathBuf,
    /// Factor on every deadline.
    pub(crate) patience: f64,
}

/// A probed process.
pub(crate) struct Subject {
    /// Main thread: mapping, paging out, comparing.
    pub(crate) main: Role,
    /// Orders for the vCPU thread.
    pub(crate) vcpu: Channel,
    /// Orders for the writer probe.
    pub(crate) writer: Channel,
    /// Thread id of the vCPU.
    pub(crate) vcpu_tid: u64,
    /// Thread id of the writer.
    pub(crate) writer_tid: u64,
    /// Where the guest memory starts in this process.
    pub(crate) hva: u64,
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
        let device = Device::start(patience)?;
        leftovers::record(&Record { device: device.path.clone(), page_cluster })?;
        let group = Group::create()?;
        swap::on(&device.path)?;
        let trace = Trace::open().map_err(|error| format!("{error:#}"));
        let (reader, accessor) = (helper("reader", patience)?, helper("accessor", patience)?);
        let disk = device.path.clone();
        Ok(Self { device, trace, kit: Kit { group, reader, accessor, disk, patience } })
    }

    /// Ends everything, in the reverse order.
    pub(crate) fn tear_down(self) -> anyhow::Result<()> {
        let Self { device, trace, kit } = self;
        let patience = kit.patience;
        drop((trace, kit));
        swap::off(&device.path)?;
        device.stop(patience)?;
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
        let (vcpu, vcpu_theirs) = Channel::pair()?;
        let (writer, writer_theirs) = Channel::pair()?;
        let main = Role::spawn("subject", &[Stay::from(vcpu_theirs), Stay::from(writer_theirs)])?;
        self.group.add(main.pid)?;
        main.control.send(&Message::new(Op::Go, &setup.to_args()))?;
        let answer = main.control.next_until(self.deadline(20_000)).context("the probed process")?;
        match answer {
            Some(Message { op: Op::Done, args: [vcpu_tid, writer_tid, hva, ..], .. }) => {
                Ok(Subject { main, vcpu, writer, vcpu_tid, writer_tid, hva })
            }
            Some(answer) if answer.op == Op::Skip => Err(Failure::Skip(answer.text())),
            Some(answer) => Err(Failure::Broken(format!("the probed process: {}", answer.text()))),
            None => Err(Failure::Broken("the probed process did not build its machine in time".to_owned())),
        }
    }
}

impl Subject {
    /// The directory below `/proc` of one of its threads.
    pub(crate) fn thread_dir(&self, tid: u64) -> PathBuf {
        self.main.proc_dir().join(format!("task/{tid}"))
    }
}

fn helper(name: &'static str, patience: f64) -> anyhow::Result<Role> {
    let role = Role::spawn(name, &[])?;
    let ready = role.control.next_until(Deadline::after(10_000, patience))?;
    ready.with_context(|| format!("the {name} process did not start in time"))?;
    Ok(role)
}
