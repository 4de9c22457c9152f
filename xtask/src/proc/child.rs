// SPDX-License-Identifier: GPL-2.0-only
//! A running process group.
//!
//! Owns: how a child is isolated from us and from the terminal, and that it is
//! dead when its value is dropped. Must not: decide when it has run too long.

use std::os::unix::process::CommandExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Cmd;
use super::output::Output;
use crate::manners::{self, Level};

/// A running process group; dropped alive, it is killed.
#[derive(Debug)]
pub struct Child {
    handle: duct::Handle,
    group: Pid,
    status: Option<ExitStatus>,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    pub(super) started: Instant,
    nap: Duration,
}

impl Child {
    /// Starts `cmd`. Call it on a thread that lives as long as the child may: the
    /// parent-death signal is sent when that *thread* ends (prctl(2)).
    ///
    /// # Errors
    /// The program is missing or cannot be executed, or the log cannot be opened.
    pub fn start(cmd: &Cmd) -> anyhow::Result<Self> {
        if manners::level() == Level::Verbose {
            eprintln!("$ {cmd}");
        }
        let (stdout, stderr) = match &cmd.log {
            Some(log) => (Output::append(log)?, Output::temporary()?),
            None => (Output::temporary()?, Output::temporary()?),
        };
        let mut expression = duct::cmd(&cmd.program, &cmd.args).stdin_null().stdout_file(stdout.writer()?).unchecked();
        expression = match cmd.log {
            // Not stderr_to_stdout(): duct would apply it before stdout_file(), and
            // standard error would go to our own standard output.
            Some(_) => expression.stderr_file(stdout.writer()?),
            None => expression.stderr_file(stderr.writer()?),
        };
        for (name, value) in &cmd.env {
            expression = expression.env(name, value);
        }
        if let Some(dir) = &cmd.dir {
            expression = expression.dir(dir);
        }
        let started = Instant::now();
        let handle = expression.before_spawn(isolate).start().with_context(|| format!("cannot run `{cmd}`"))?;
        let pid = handle.pids().first().copied().with_context(|| format!("`{cmd}` has no process id"))?;
        let group = Pid::from_raw(i32::try_from(pid)?);
        Ok(Self { handle, group, status: None, stdout, stderr, started, nap: Duration::from_millis(1) })
    }

    /// Its process id, which is also its process group.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.group
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// waitpid(2) failed.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.handle.try_wait().context("waitpid failed")?.map(|output| output.status);
        }
        Ok(self.status)
    }

    /// All that it has written to standard output so far; with a log, to both.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stdout(&mut self) -> anyhow::Result<Vec<u8>> {
        self.stdout.all()
    }

    /// All that it has written to standard error so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stderr(&mut self) -> anyhow::Result<Vec<u8>> {
        self.stderr.all()
    }

    /// Kills the whole group and waits for the leader.
    ///
    /// # Errors
    /// waitpid(2) failed.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        match killpg(self.group, Signal::SIGKILL) {
            // ESRCH: it has just ended by itself.
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => return Err(error).context("cannot kill a process group"),
        }
        let status = self.handle.wait().context("waitpid failed")?.status;
        self.status = Some(status);
        Ok(status)
    }

    /// Kills what an ended leader has left of its group.
    pub fn sweep(&self) {
        match killpg(self.group, Signal::SIGKILL) {
            // Mostly ESRCH: nothing is left.
            Ok(()) | Err(_) => {}
        }
    }

    /// Sleeps for a moment that grows from 1 to 50 ms: short commands are not
    /// delayed, long ones cost nothing.
    pub(super) fn nap(&mut self) {
        std::thread::sleep(self.nap);
        self.nap = (self.nap * 2).min(Duration::from_millis(50));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Nobody is left to tell; the group has got its SIGKILL in any case.
            drop(self.kill());
        }
    }
}

/// Gives the child a process group and a parent-death signal.
#[expect(clippy::unnecessary_wraps, reason = "the signature is duct's")]
fn isolate(command: &mut std::process::Command) -> std::io::Result<()> {
    command.process_group(0);
    let parent = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl
    // and getppid are system calls without any lock or allocation.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The parent may have died before the prctl.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    Ok(())
}
