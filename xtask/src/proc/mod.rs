// SPDX-License-Identifier: GPL-2.0-only
//! Running a command to its end: deadline, log file, tail, process group.
//!
//! Owns: how every child process of ours is started and ended. A child gets a
//! process group of its own (the terminal's Ctrl-C reaches us, and we end the
//! group) and a parent-death signal (nothing outlives a killed xtask). Output
//! goes to a file first, so that it is complete whatever ends the child.
//! Must not: know what is run.

mod child;
mod foreground;
mod leave;
mod output;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::anyhow;
use nix::sys::signal::Signal;

pub use child::Child;
pub(crate) use leave::in_this_path;
pub use leave::{in_path, leave};

use crate::error::Error;
use crate::interrupt;

/// Lines of output that an error shows.
const TAIL_LINES: usize = 40;

/// A command, described before it is run so that an error can name it whole.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    deadline: Duration,
    log: Option<PathBuf>,
    unbroken: bool,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended; `Exited` and `Signaled` stay distinguishable.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error; empty if a log file took both.
    pub stderr: Vec<u8>,
    /// Start to end.
    pub elapsed: Duration,
}

impl Cmd {
    /// A command without arguments and with a deadline of ten minutes.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            deadline: Duration::from_secs(600),
            log: None,
            unbroken: false,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the time after which the whole process group is killed.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Appends standard output and standard error, interleaved, to this file.
    #[must_use]
    pub fn log(mut self, log: impl AsRef<Path>) -> Self {
        self.log = Some(log.as_ref().to_owned());
        self
    }

    /// Lets it end by itself when we are interrupted: a package manager that is
    /// killed leaves a host half installed. Its deadline still holds.
    #[must_use]
    pub fn unbroken(mut self) -> Self {
        self.unbroken = true;
        self
    }

    /// Runs it, whatever its exit status.
    ///
    /// # Errors
    /// It cannot be started, passes its deadline, or we are interrupted.
    pub fn output(&self) -> Result<Finished, Error> {
        self.stream(|_| ())
    }

    /// Runs it and demands success.
    ///
    /// # Errors
    /// As [`Cmd::output`]; a failure's message has the command, its status and the
    /// last 40 lines that it wrote.
    pub fn run(&self) -> Result<Finished, Error> {
        let finished = self.output()?;
        self.demand_success(&finished)?;
        Ok(finished)
    }

    /// Runs it and shows each line of its output as it comes (standard output, or
    /// both streams if there is a log file).
    ///
    /// # Errors
    /// As [`Cmd::output`].
    pub fn stream(&self, mut on_line: impl FnMut(&str)) -> Result<Finished, Error> {
        let mut child = Child::start(self)?;
        let status = loop {
            child.stdout.feed(&mut on_line)?;
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupt::pending() && !self.unbroken {
                return Err(Error::Interrupted);
            }
            if child.started.elapsed() > self.deadline {
                return Err(self.timed_out(&mut child).into());
            }
            child.nap();
        };
        child.stdout.feed(&mut on_line)?;
        child.stdout.flush(&mut on_line);
        Ok(Finished {
            status,
            stdout: child.stdout.all()?,
            stderr: if self.log.is_some() { Vec::new() } else { child.stderr.all()? },
            elapsed: child.started.elapsed(),
        })
    }

    /// An error unless `finished` is a success.
    ///
    /// # Errors
    /// The command, its status, and the last 40 lines that it wrote.
    pub fn demand_success(&self, finished: &Finished) -> anyhow::Result<()> {
        if finished.status.success() {
            return Ok(());
        }
        let mut text = finished.stdout.clone();
        text.extend(&finished.stderr);
        Err(anyhow!("`{self}` {}{}{}", describe(finished.status), tail(&text), self.log_hint()))
    }

    fn timed_out(&self, child: &mut Child) -> anyhow::Error {
        let mut text = child.stdout.all().unwrap_or_default();
        if self.log.is_none() {
            text.extend(child.stderr.all().unwrap_or_default());
        }
        anyhow!(
            "`{self}` had not ended after {} s and was killed{}{}",
            self.deadline.as_secs(),
            tail(&text),
            self.log_hint()
        )
    }

    fn log_hint(&self) -> String {
        self.log.as_ref().map(|log| format!("\nthe full log is {}", log.display())).unwrap_or_default()
    }
}

impl std::fmt::Display for Cmd {
    /// As one would type it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(dir) = &self.dir {
            write!(f, "cd {} && ", shell_words::quote(&dir.to_string_lossy()))?;
        }
        for (name, value) in &self.env {
            write!(f, "{}={} ", name.to_string_lossy(), shell_words::quote(&value.to_string_lossy()))?;
        }
        f.write_str(&shell_words::quote(&self.program.to_string_lossy()))?;
        for arg in &self.args {
            write!(f, " {}", shell_words::quote(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// In words: how a process ended.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("was killed by {signal}"),
            Err(_) => format!("was killed by signal {signal}"),
        },
        (None, None) => format!("ended strangely ({status:?})"),
    }
}

/// The last lines of `text` for an error message, indented; empty for none.
#[must_use]
pub fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    lines[skipped..].iter().fold(String::new(), |tail, line| tail + "\n    " + line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Cmd {
        Cmd::new("sh").args(["-c", script])
    }

    #[test]
    fn streams_are_kept_apart() {
        let finished = sh("echo out; echo err >&2; exit 3").output().unwrap();
        assert_eq!((finished.stdout.as_slice(), finished.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn a_failure_names_the_command_its_status_and_its_last_words() {
        let error = sh("for i in $(seq 100); do echo line $i; done; exit 7").run().unwrap_err().to_string();
        assert!(error.contains("sh -c 'for i in"), "{error}");
        assert!(error.contains("exited with status 7"), "{error}");
        assert!(error.contains("line 100") && error.contains("line 61") && !error.contains("line 60\n"), "{error}");
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        let error = sh("kill -SEGV $$").run().unwrap_err().to_string();
        assert!(error.contains("was killed by SIGSEGV"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Cmd::new("no-such-program").arg("x").run().unwrap_err().to_string();
        assert!(error.contains("cannot run `no-such-program x`"), "{error}");
    }

    #[test]
    fn the_deadline_ends_grandchildren_too() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("sleep 60 & echo $! > {}; wait", dir.path().join("pid").display());
        let error = sh(&script).deadline(Duration::from_millis(300)).run().unwrap_err().to_string();
        assert!(error.contains("had not ended after"), "{error}");
        let pid: i32 = std::fs::read_to_string(dir.path().join("pid")).unwrap().trim().parse().unwrap();
        let gone = || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        for _ in 0..100 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("grandchild {pid} is still alive");
    }

    #[test]
    fn a_log_takes_both_streams_and_keeps_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "before\n").unwrap();
        let mut lines = Vec::new();
        let finished = sh("echo a; echo b >&2").log(&log).stream(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(finished.stdout, b"a\nb\n");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "before\na\nb\n");
    }
}
