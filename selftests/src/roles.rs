// SPDX-License-Identifier: GPL-2.0-only
//! The processes of a measurement: this program again, each with one role.
//!
//! Owns: how they are started, what they inherit, how they end. Must not: know
//! what they do. Each is a process of its own because it must not share the
//! mmap lock of the probed one.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::clock::{Deadline, nap};
use crate::wire::{Channel, Message, Op};

/// A descriptor that a role inherits.
pub(crate) struct Stay(OwnedFd);

impl From<OwnedFd> for Stay {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for Stay {
    fn from(channel: Channel) -> Self {
        Self(channel.into())
    }
}

/// A running process with a role; killed when dropped.
pub(crate) struct Role {
    /// The channel that every role has.
    pub(crate) control: Channel,
    /// Its process id.
    pub(crate) pid: u32,
    name: &'static str,
    child: Child,
}

impl Role {
    /// Starts `role NAME`, which inherits a new control channel and then `extra`.
    pub(crate) fn spawn(name: &'static str, extra: &[Stay]) -> anyhow::Result<Self> {
        let (control, theirs) = Channel::pair()?;
        let theirs = Stay::from(theirs);
        let mut command = Command::new("/proc/self/exe");
        command.args(["role", name]).stdin(Stdio::null()).stdout(Stdio::null());
        for fd in std::iter::once(&theirs).chain(extra) {
            fcntl(&fd.0, FcntlArg::F_SETFD(FdFlag::empty())).context("fcntl(F_SETFD)")?;
            command.arg(fd.0.as_raw_fd().to_string());
        }
        let child = command.spawn().with_context(|| format!("starting {command:?}"));
        for fd in std::iter::once(&theirs).chain(extra) {
            fcntl(&fd.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).context("fcntl(F_SETFD)")?;
        }
        let child = child?;
        Ok(Self { control, pid: child.id(), name, child })
    }

    /// Its directory below `/proc`.
    pub(crate) fn proc_dir(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }

    /// Has all of it ended, whoever collects it?
    pub(crate) fn has_ended(&self) -> anyhow::Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let seen = waitid(Id::Pid(Pid::from_raw(self.pid.cast_signed())), flags);
        Ok(seen.with_context(|| format!("waitid of the {} process", self.name))? != WaitStatus::StillAlive)
    }

    /// Sends an order and waits for its answer, which must be `Done`.
    pub(crate) fn ask(&self, order: &Message, deadline: Deadline) -> anyhow::Result<Message> {
        self.control.send(order).with_context(|| format!("the {} process", self.name))?;
        let answer = self.control.next_until(deadline).with_context(|| format!("the {} process", self.name))?;
        match answer {
            Some(answer) if answer.op == Op::Done => Ok(answer),
            Some(answer) => bail!("the {} process: {}", self.name, answer.text()),
            None => bail!("the {} process did not answer {:?} in time", self.name, order.op),
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill() {
            eprintln!("selftests: killing the {} process: {error}", self.name);
        }
        // A task in an uninterruptible wait dies later; the supervisor collects it.
        let deadline = Deadline::after(2000, 1.0);
        while matches!(self.child.try_wait(), Ok(None)) && !deadline.passed() {
            nap(200);
        }
    }
}

/// The descriptors that a role was started with, in the order of `spawn`.
pub(crate) fn inherited(args: &[RawFd], count: usize) -> anyhow::Result<Vec<OwnedFd>> {
    use std::os::fd::FromRawFd;
    if args.len() != count || args.iter().any(|fd| *fd < 3) {
        bail!("this role takes {count} inherited descriptors, not {args:?}; it is no command for users");
    }
    // SAFETY: the parent opened these for us, and nothing in this process owns them yet.
    Ok(args.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }).collect())
}

/// Asks the kernel to kill this process when its parent dies.
pub(crate) fn die_with_parent() -> anyhow::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG)")
}

/// Keeps everything that this process has and will ever have in memory.
pub(crate) fn lock_memory_forever() -> anyhow::Result<()> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).context("mlockall(MCL_CURRENT | MCL_FUTURE)")
}

/// Keeps what this process has now in memory, but not what it maps later.
pub(crate) fn lock_memory_of_now() -> anyhow::Result<()> {
    mlockall(MlockAllFlags::MCL_CURRENT).context("mlockall(MCL_CURRENT)")
}

impl AsFd for Role {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.control.as_fd()
    }
}
