// SPDX-License-Identifier: GPL-2.0-only
//! Booting a kernel under supervision, from QEMU's start to its end.
//!
//! Owns: one virtual machine's life: its deadlines, its end on every path, and
//! the record of it. Must not: interpret what the guest measured.
//!
//! ```text
//! qemu-start → first-printk → hello → frame* → bye → power-off
//!      │            │           │       │               │
//!      └────────────┴───────────┴───────┴───────────────┴── overdue: registers, NMI, kill
//! ```
//!
//! A fatal line on the console stops the clock of the phase: what is left of the
//! trace is read for [`Deadlines::drain`], then the machine is killed. After `bye`
//! the console is read to its end, since a kernel may oops on its way out.

mod clock;
mod qmp;
mod record;
mod tail;

use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use libc::SIGKILL;
use selftests::plan::Plan;
use selftests::protocol::{Envelope, Frame};

use crate::accel::Accel;
use crate::error::Error;
use crate::proc::{Child, describe};
use crate::progress::{Phase, Progress};
use crate::transcript::{Ending, Transcript};
use crate::{interrupt, qemu};
use record::Record;
use tail::Streams;

/// How long the loop sleeps between two looks: small beside the 2.5 s of a boot,
/// and large enough to cost the guest's host nothing.
const POLL: Duration = Duration::from_millis(3);

/// A machine and how long each phase of its life may take.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Program and arguments, as from [`qemu::argv`].
    pub argv: Vec<String>,
    /// Folder of the record, and QEMU's working folder; it exists.
    pub dir: PathBuf,
    /// The deadlines.
    pub deadlines: Deadlines,
}

/// How long each phase may take. The base is many times what hardware needs, so
/// that a busy host is no hung kernel; patience (1 to 4, the measured slowdown)
/// multiplies what the guest's speed decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// An end within this time is QEMU's own: no kernel gets that far.
    pub stillborn: Duration,
    /// From QEMU's start until it has opened the console's file.
    pub qemu_start: Duration,
    /// From QEMU's start to the first byte on the console.
    pub first_printk: Duration,
    /// From QEMU's start to the first frame.
    pub hello: Duration,
    /// From one frame to the next.
    pub frame: Duration,
    /// From `bye` to QEMU's end.
    pub power_off: Duration,
    /// From QEMU's start to its end.
    pub total: Duration,
    /// From a fatal line on the console, or an NMI, to the kill.
    pub drain: Duration,
}

impl Deadlines {
    /// For a guest that carries out `plan` on a CPU that is `patience` times
    /// slower than the host.
    #[must_use]
    pub fn new(patience: f64, plan: &Plan) -> Self {
        let patience = if patience.is_finite() { patience.max(1.0) } else { 1.0 };
        let scaled = |seconds: f64| Duration::from_secs_f64(seconds * patience);
        let stress = plan.stress.map_or(0.0, |stress| f64::from(stress.seconds) + 90.0)
            + plan.storm.map_or(0.0, |storm| f64::from(storm.seconds) + 90.0);
        let cell = f64::from(plan.trials) * (f64::from(plan.hold_ms) / 1e3 + 0.4)
            + 10.0 * f64::from(plan.repeat.saturating_sub(1));
        Self {
            stillborn: Duration::from_millis(300),
            // The host's work alone: a guest's CPU has no part in it.
            qemu_start: Duration::from_secs(10),
            // Hardware: 0.1 s. Firmware and decompression are the guest's first work.
            first_printk: scaled(4.0),
            // Hardware: 0.5 s.
            hello: scaled(8.0),
            // Whoever is nearer to the cause must speak first: the kernel (its limits
            // are in qemu.rs), and PID 1, which gives a cell 10 s and 0.4 s a trial
            // beside its hold, and the clean-up of a hung one 10 s.
            frame: scaled(35.0 + cell),
            power_off: scaled(5.0),
            // A backstop against a guest that sends frames for ever. A stress sends a note
            // every few seconds, and its own end may take a minute.
            total: scaled(
                60.0 + plan.cells.len() as f64 * (10.0 + cell) + plan.behaviours.len() as f64 * 25.0 + stress,
            ),
            drain: Duration::from_secs(3),
        }
    }
}

/// What is to be booted, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// A `vmlinux` with a PVH entry, or a bzImage.
    pub kernel: &'a Path,
    /// The archive with PID 1 and the plan.
    pub initramfs: &'a Path,
    /// What runs the machine.
    pub accel: &'a Accel,
    /// The machine's memory.
    pub memory_mib: u32,
    /// What the guest carries out.
    pub plan: &'a Plan,
    /// Further kernel parameters.
    pub append: &'a [String],
}

impl Order<'_> {
    /// What the machine is made of.
    pub(crate) fn with_boot<T>(&self, make: impl FnOnce(&qemu::Boot<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let &Order { kernel, initramfs, accel, memory_mib, plan, append: extra } = self;
        let version = kernel_version(kernel)?;
        let (stress, patience) = (plan.stress.is_some() || plan.storm.is_some(), self.patience());
        let tsc_khz = clock::tsc_khz();
        make(&qemu::Boot { accel, kernel, version, tsc_khz, memory_mib, stress, patience, initramfs, extra })
    }

    /// How long its phases may take.
    pub(crate) fn deadlines(&self) -> Deadlines {
        Deadlines::new(self.patience(), self.plan)
    }

    /// The boot into this folder, for people; it takes as long as others that measure as much.
    pub(crate) fn phase(&self, dir: &Path, progress: &Progress) -> Phase {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stress = self.plan.stress.map_or(0, |stress| stress.seconds);
        let kind = format!("boot {} cells, {} trials, {stress} s", self.plan.cells.len(), self.plan.trials);
        progress.phase_like(kind, format!("booting {name}"))
    }

    /// The plan's patience knows the kernel, the accelerator's only the CPU.
    fn patience(&self) -> f64 {
        self.accel.patience().max(self.plan.patience)
    }
}

/// Boots a kernel and supervises it to its end. `dir` exists and gets the record:
/// `argv.json` and `replay.sh` before the start, then `console.raw`, `frames.bin`,
/// `frames.jsonl`, `qemu.stderr`, and after a time-out `registers.txt`.
///
/// # Errors
/// The record cannot be written, QEMU is not there, or we are interrupted; QEMU is
/// dead then. Whatever happens in the machine is a transcript, not an error.
pub fn boot(order: &Order<'_>, dir: &Path, progress: &Progress) -> Result<Transcript, Error> {
    let argv = order.with_boot(qemu::argv)?;
    let machine = Machine { argv, dir: dir.to_owned(), deadlines: order.deadlines() };
    supervise(&machine, order.plan.cells.len(), order.phase(dir, progress))
}

/// The image's version, or `None` if it is no kernel, which is QEMU's to refuse.
fn kernel_version(kernel: &Path) -> anyhow::Result<Option<(u32, u32)>> {
    let mut image = Vec::new();
    let mut file = File::open(kernel).with_context(|| format!("cannot open the kernel {}", kernel.display()))?;
    let failed = || format!("cannot read {}", kernel.display());
    (&mut file).take(qemu::HEAD).read_to_end(&mut image).with_context(failed)?;
    if qemu::is_elf(&image) {
        file.read_to_end(&mut image).with_context(failed)?;
    }
    Ok(qemu::kernel_version(&image))
}

/// Starts and supervises any machine; `cells` is the length of the bar of this phase.
///
/// # Errors
/// As [`boot`].
pub fn supervise(machine: &Machine, cells: usize, phase: Phase) -> Result<Transcript, Error> {
    let record = Record::create(&machine.dir, &machine.argv)?;
    let streams = Streams::new(&machine.dir)?;
    phase.length(cells as u64);
    let child = Child::start(&record.cmd())?;
    let mut life = Life {
        machine,
        record,
        streams,
        child,
        phase,
        started: Instant::now(),
        frames: Vec::new(),
        seen: Seen::default(),
    };
    let ending = life.live()?;
    life.into_transcript(ending)
}

/// When things happened.
#[derive(Debug, Default)]
struct Seen {
    first_frame: Option<Instant>,
    last_frame: Option<Instant>,
    bye: bool,
    results: u64,
    /// A fatal line, or a broken frame stream: nothing more will count.
    hopeless: Option<Instant>,
    /// Findings from here on answer our own NMI.
    nmi_at: Option<usize>,
}

struct Life<'a> {
    machine: &'a Machine,
    record: Record,
    streams: Streams,
    child: Child,
    phase: Phase,
    started: Instant,
    frames: Vec<Envelope>,
    seen: Seen,
}

impl Life<'_> {
    /// Looks, decides, sleeps, until there is an ending.
    fn live(&mut self) -> Result<Ending, Error> {
        loop {
            interrupt::check()?;
            // In this order: what a machine wrote before its end is then read.
            let status = self.child.try_wait()?;
            self.read()?;
            if let Some(status) = status {
                // A wrapper may end before the QEMU that it has started.
                self.child.sweep();
                return self.ended(status);
            }
            if let Some(since) = self.seen.hopeless {
                if since.elapsed() >= self.machine.deadlines.drain {
                    self.child.kill()?;
                    self.read()?;
                    return Ok(Ending::KilledAfterCrash);
                }
            } else if let Some((phase, deadline)) = self.overdue() {
                return self.time_out(phase, deadline);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Takes in what the machine has written since the last time.
    fn read(&mut self) -> Result<(), Error> {
        for frame in self.streams.read()? {
            self.record.frame(&frame)?;
            let now = Instant::now();
            self.seen.first_frame.get_or_insert(now);
            self.seen.last_frame = Some(now);
            self.watch(&frame.frame);
            self.frames.push(frame);
        }
        if self.streams.hopeless() {
            self.seen.hopeless.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn watch(&mut self, frame: &Frame) {
        match frame {
            Frame::Hello { kernel, .. } => self.phase.detail(format!("Linux {kernel}")),
            Frame::Start { cell } => self.phase.detail(cell.to_string()),
            Frame::BehaviourStart { behaviour } => self.phase.detail(behaviour.to_string()),
            Frame::StormStart { storm } => self.phase.detail(format!("storm of {} s", storm.seconds)),
            Frame::StressStart { stress } => self.phase.detail(format!("stress of {} s", stress.seconds)),
            Frame::Result { .. } => {
                self.seen.results += 1;
                self.phase.position(self.seen.results);
            }
            Frame::Bye { .. } => self.seen.bye = true,
            _ => {}
        }
    }

    /// The phase that has passed its deadline, if one has.
    fn overdue(&self) -> Option<(&'static str, Duration)> {
        let deadlines = &self.machine.deadlines;
        let (phase, since, deadline) = match self.seen.last_frame {
            Some(last) if self.seen.bye => ("power-off", last, deadlines.power_off),
            Some(last) => ("frame", last, deadlines.frame),
            None if self.streams.console_bytes() > 0 => ("hello", self.started, deadlines.hello),
            None if self.streams.console_is_open() => ("first-printk", self.started, deadlines.first_printk),
            None => ("qemu-start", self.started, deadlines.qemu_start),
        };
        if since.elapsed() > deadline {
            return Some((phase, deadline));
        }
        (self.started.elapsed() > deadlines.total).then_some(("total", deadlines.total))
    }

    /// Asks the silent machine where it is, then kills it. What the kernel says to
    /// the NMI is for people, not against the kernel.
    fn time_out(&mut self, phase: &str, deadline: Duration) -> Result<Ending, Error> {
        self.seen.nmi_at = Some(self.streams.findings());
        if qmp::backtrace(&self.machine.dir).is_ok() {
            let asked = Instant::now();
            while asked.elapsed() < self.machine.deadlines.drain && self.child.try_wait()?.is_none() {
                interrupt::check()?;
                self.read()?;
                std::thread::sleep(POLL);
            }
        }
        self.child.kill()?;
        self.read()?;
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        Ok(Ending::TimedOut { phase: phase.to_owned(), deadline_ms })
    }

    /// QEMU has ended without our help.
    fn ended(&self, status: ExitStatus) -> Result<Ending, Error> {
        let stderr = self.record.stderr()?;
        let silent = self.streams.console_bytes() == 0 && self.frames.is_empty();
        let stillborn = self.started.elapsed() < self.machine.deadlines.stillborn;
        // A kernel that dies before its first word makes QEMU exit with 0; a QEMU
        // that cannot make the machine does not.
        if silent && status.signal() != Some(SIGKILL) && (stillborn || !status.success()) {
            return Ok(Ending::FailedToStart { stderr: format!("QEMU {}: {stderr}", describe(status)) });
        }
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => match terminated(&stderr) {
                Some(signal) => Ending::Signaled { signal, stderr },
                None if code != 0 => Ending::Failed { code, stderr },
                None => Ending::Exited { code },
            },
            (None, signal) => Ending::Signaled { signal: signal.unwrap_or(0), stderr },
        })
    }

    fn into_transcript(self, ending: Ending) -> Result<Transcript, Error> {
        let total = self.started.elapsed();
        let (mut findings, stream_error) = self.streams.finish();
        for finding in findings.iter_mut().skip(self.seen.nmi_at.unwrap_or(usize::MAX)) {
            finding.fatal = false;
            "backtrace".clone_into(&mut finding.class);
        }
        self.phase.done(format!("{} frames, {} results", self.frames.len(), self.seen.results));
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok(Transcript {
            frames: self.frames,
            stream_error,
            findings,
            ending,
            boot_ms: self.seen.first_frame.map(|at| milliseconds(at.duration_since(self.started))),
            total_ms: milliseconds(total),
        })
    }
}

/// QEMU takes SIGTERM, SIGINT and SIGHUP for a request, says so, and exits with 0.
fn terminated(stderr: &str) -> Option<i32> {
    let (_, rest) = stderr.split_once("terminating on signal ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
