// SPDX-License-Identifier: GPL-2.0-only
//! Running a command to its end: deadline, log file, tail, process group.
//!
//! Owns: how every child process of ours is started and ended. A child gets a
//! process group of its own (the terminal's Ctrl-C reaches us, and we end the
//! group) and a parent-death signal (nothing outlives a killed xtask). Output
//! goes to a file first, so that it is complete whatever ends the child.
//! Must not: know what is run.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

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
            if interrupt::pending() {
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

/// A running process group; dropped alive, it is killed.
#[derive(Debug)]
pub struct Child {
    handle: duct::Handle,
    group: Pid,
    status: Option<ExitStatus>,
    stdout: Output,
    stderr: Output,
    started: Instant,
    nap: Duration,
}

impl Child {
    /// Starts `cmd`. Call it on a thread that lives as long as the child may: the
    /// parent-death signal is sent when that *thread* ends (prctl(2)).
    ///
    /// # Errors
    /// The program is missing or cannot be executed, or the log cannot be opened.
    pub fn start(cmd: &Cmd) -> anyhow::Result<Self> {
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

    /// Sleeps for a moment that grows from 1 to 50 ms: short commands are not
    /// delayed, long ones cost nothing.
    fn nap(&mut self) {
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

/// A file that a child writes and we read as it grows.
#[derive(Debug)]
struct Output {
    file: File,
    begin: u64,
    read_to: u64,
    line: Vec<u8>,
}

impl Output {
    fn temporary() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self { file, begin: 0, read_to: 0, line: Vec::new() })
    }

    fn append(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot open the log {}", path.display()))?;
        let begin = file.metadata().with_context(|| format!("cannot stat the log {}", path.display()))?.len();
        Ok(Self { file, begin, read_to: begin, line: Vec::new() })
    }

    fn writer(&self) -> anyhow::Result<File> {
        self.file.try_clone().context("cannot duplicate a file descriptor")
    }

    /// A descriptor of its own position: the child's writes must not move ours.
    fn read_from(&self, offset: u64) -> anyhow::Result<Vec<u8>> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let mut file = File::open(path).context("cannot read a child's output back")?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context("cannot read a child's output back")?;
        Ok(bytes)
    }

    fn all(&self) -> anyhow::Result<Vec<u8>> {
        self.read_from(self.begin)
    }

    fn feed(&mut self, on_line: &mut impl FnMut(&str)) -> anyhow::Result<()> {
        let bytes = self.read_from(self.read_to)?;
        self.read_to += bytes.len() as u64;
        for byte in bytes {
            if byte == b'\n' {
                on_line(&String::from_utf8_lossy(&self.line));
                self.line.clear();
            } else {
                self.line.push(byte);
            }
        }
        Ok(())
    }

    fn flush(&mut self, on_line: &mut impl FnMut(&str)) {
        if !self.line.is_empty() {
            on_line(&String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
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
