// SPDX-License-Identifier: GPL-2.0-only
//! A process group that has the terminal: a guest's shell.
//!
//! Owns: giving the terminal away and taking it back as it was, whatever happens
//! meanwhile. Must not: know what runs.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcsetpgrp};

use super::Cmd;
use crate::error::Error;
use crate::interrupt;

/// Between two looks: nobody waits for it but a person who typed `exit`.
const POLL: Duration = Duration::from_millis(30);

impl Cmd {
    /// Runs it on our terminal, whose Ctrl-C is its own. Deadline and log are not heeded.
    ///
    /// # Errors
    /// It cannot be started; we are interrupted, and its whole group is dead then.
    pub fn foreground(&self) -> Result<ExitStatus, Error> {
        let terminal = Terminal::lend()?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value))).process_group(0);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        // SAFETY: only async-signal-safe system calls, on values of this process.
        unsafe { command.pre_exec(take_terminal) };
        let mut child = command.spawn().with_context(|| format!("cannot run `{self}`"))?;
        let group = Pid::from_raw(i32::try_from(child.id()).context("a process id is no number")?);
        let result = loop {
            if let Some(status) = child.try_wait().context("waitpid failed")? {
                break Ok(status);
            }
            if interrupt::pending() {
                break Err(Error::Interrupted);
            }
            std::thread::sleep(POLL);
        };
        // Also after a good end: what is left of the group works for nobody.
        match killpg(group, Signal::SIGKILL) {
            Ok(()) | Err(_) => {}
        }
        child.wait().context("waitpid failed")?;
        drop(terminal);
        result
    }
}

/// Between fork and exec, in a new process group.
fn take_terminal() -> std::io::Result<()> {
    // SAFETY: plain system calls without any lock or allocation.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // Who takes the terminal from the background is stopped, unless it ignores that.
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        if libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpid()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        libc::signal(libc::SIGTTOU, libc::SIG_DFL);
    }
    Ok(())
}

/// The terminal as it was, given back when this is dropped.
struct Terminal {
    modes: Termios,
    before: SigAction,
}

impl Terminal {
    fn lend() -> anyhow::Result<Self> {
        let modes = tcgetattr(std::io::stdin()).context("standard input is no terminal")?;
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler is installed, the signal is ignored.
        let before = unsafe { sigaction(Signal::SIGTTOU, &ignore) }.context("cannot ignore SIGTTOU")?;
        Ok(Self { modes, before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let modes = || tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.modes);
        match tcsetpgrp(std::io::stdin(), getpgrp()).and_then(|()| modes()) {
            Ok(()) | Err(_) => {}
        }
        // SAFETY: what was there before is put back.
        match unsafe { sigaction(Signal::SIGTTOU, &self.before) } {
            Ok(_) | Err(_) => {}
        }
    }
}
