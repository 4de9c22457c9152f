// SPDX-License-Identifier: GPL-2.0-only
//! Runs the conductor as a child, and survives whatever becomes of it.
//!
//! Owns: deadlines, the kill, the result of a cell or behaviour whose process died, the next
//! child for those that remain, and one of its own for the stress. Must not: measure, or die itself: in a
//! guest this is PID 1.

use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use selftests::behaviour::{Behaviour, BehaviourEnd};
use selftests::cell::Cell;
use selftests::lost::Lost;
use selftests::plan::{Plan, Stress};
use selftests::protocol::{CellEnd, Decoder, Frame};
use selftests::storms::{Storm, StormEnd};
use selftests::tally::StressEnd;

use crate::clock::{Deadline, nap};
use crate::leftovers;
use crate::storm;
use crate::stress::watch::SLACK_MS;
use crate::wire::wait_any;

/// From the start of a child to its first cell, at hardware speed.
const START_MS: u64 = 30_000;
/// For what a cell does once: start a process, build a machine, prove async faults.
const CELL_MS: u64 = 10_000;
/// For what a trial does besides holding.
const TRIAL_MS: u64 = 400;
/// For a behaviour, all its attempts included.
const BEHAVIOUR_MS: u64 = 25_000;
/// From SIGKILL to the end of all processes of a child.
const KILL_MS: u64 = 10_000;

/// Where frames go.
pub(crate) trait Sink {
    /// Takes one frame.
    fn frame(&mut self, frame: Frame) -> anyhow::Result<()>;
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Makes SIGINT, SIGTERM and SIGHUP end the run in good order.
pub(crate) fn catch_interrupts() -> anyhow::Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("catching {signal}"))?;
    }
    Ok(())
}

/// Was the run interrupted?
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Measures the whole plan, with as many children as it takes.
///
/// # Errors
/// The sink takes no more frames, or no child can be started at all.
pub(crate) fn supervise(plan: &Plan, sink: &mut dyn Sink) -> anyhow::Result<()> {
    let steps = plan.cells.iter().copied().map(Step::Cell);
    let mut remaining: Vec<Step> = steps.chain(plan.behaviours.iter().copied().map(Step::Behaviour)).collect();
    let bare = Plan { cells: Vec::new(), behaviours: Vec::new(), stress: None, storm: None, ..plan.clone() };
    clean(sink)?;
    while !remaining.is_empty() && !interrupted() {
        let cells = remaining.iter().filter_map(|step| if let Step::Cell(cell) = step { Some(*cell) } else { None });
        let behaviours =
            remaining.iter().filter_map(|step| if let Step::Behaviour(it) = step { Some(*it) } else { None });
        let run =
            Run::start(Plan { cells: cells.collect(), behaviours: behaviours.collect(), ..bare.clone() }, remaining)?;
        remaining = run.follow(sink)?;
        clean(sink)?;
    }
    if plan.stress.is_some() && !interrupted() {
        Run::start(Plan { stress: plan.stress, ..bare.clone() }, Vec::new())?.follow(sink)?;
        clean(sink)?;
    }
    if plan.storm.is_some() && !interrupted() {
        Run::start(Plan { storm: plan.storm, ..bare }, Vec::new())?.follow(sink)?;
        clean(sink)?;
    }
    Ok(())
}

fn clean(sink: &mut dyn Sink) -> anyhow::Result<()> {
    for text in leftovers::clean() {
        sink.frame(Frame::Note { text: format!("cleaning up: {text}") })?;
    }
    Ok(())
}

/// The longest that a cell of `plan` may take, in milliseconds.
fn cell_ms(plan: &Plan) -> u64 {
    CELL_MS * u64::from(plan.repeat) + u64::from(plan.trials) * (u64::from(plan.hold_ms) + TRIAL_MS)
}

/// How long the child may be silent after `frame`, in milliseconds, if that changes with it.
fn allowed(frame: &Frame, plan: &Plan) -> Option<u64> {
    match frame {
        Frame::Start { .. } | Frame::Result { .. } => Some(cell_ms(plan)),
        Frame::BehaviourStart { .. } | Frame::BehaviourResult { .. } => Some(BEHAVIOUR_MS),
        Frame::StressStart { .. } => Some(stress_ms(plan)),
        Frame::StormStart { .. } => Some(storm_ms(plan)),
        _ => None,
    }
}

/// The longest that the stress of `plan` may take, in milliseconds.
fn stress_ms(plan: &Plan) -> u64 {
    plan.stress.map_or(0, |stress| u64::from(stress.seconds) * 1000) + SLACK_MS
}

/// The longest that the storm of `plan` may take, in milliseconds.
fn storm_ms(plan: &Plan) -> u64 {
    plan.storm.map_or(0, |storm| u64::from(storm.seconds) * 1000) + storm::SLACK_MS
}

/// What has a result of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Cell(Cell),
    Behaviour(Behaviour),
}

impl Step {
    fn start(self) -> Frame {
        match self {
            Self::Cell(cell) => Frame::Start { cell },
            Self::Behaviour(behaviour) => Frame::BehaviourStart { behaviour },
        }
    }

    /// Its result if its child ended before it.
    fn result(self, end: Lost) -> Frame {
        match self {
            Self::Cell(cell) => Frame::Result { cell, outcome: CellEnd::Lost(end) },
            Self::Behaviour(behaviour) => Frame::BehaviourResult { behaviour, outcome: BehaviourEnd::Lost(end) },
        }
    }
}

/// One child and what is known of its steps.
struct Run {
    plan: Plan,
    steps: Vec<Step>,
    child: Child,
    pipe: ChildStdout,
    under_way: Option<Step>,
    done: Vec<Step>,
    /// Its stress or its storm.
    extra: Progress,
}

/// How far the child's stress or storm has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Due,
    UnderWay,
    Over,
}

impl Run {
    /// A child for `plan`, whose cells and behaviours are `steps`.
    fn start(plan: Plan, steps: Vec<Step>) -> anyhow::Result<Self> {
        let json = serde_json::to_string(&plan).context("encoding the plan")?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["run", &json]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let pipe = child.stdout.take().context("the child has no standard output")?;
        Ok(Self { plan, steps, child, pipe, under_way: None, done: Vec::new(), extra: Progress::Due })
    }

    /// Forwards frames until the child's end; the steps that still remain then.
    fn follow(mut self, sink: &mut dyn Sink) -> anyhow::Result<Vec<Step>> {
        let forwarded = self.forward(sink);
        let end = self.end(matches!(forwarded, Ok(None)));
        if let Some(end) = forwarded?.or(end) {
            self.blame(end, sink)?;
        }
        let done = self.done;
        Ok(self.steps.into_iter().filter(|step| !done.contains(step)).collect())
    }

    /// Forwards frames; how it ended if it did not close its pipe itself.
    fn forward(&mut self, sink: &mut dyn Sink) -> anyhow::Result<Option<Lost>> {
        let mut decoder = Decoder::default();
        let mut allowed_ms = START_MS;
        let mut deadline = Deadline::after(allowed_ms, self.plan.patience);
        loop {
            while let Some(envelope) = decoder.next_frame()? {
                if let Some(next_ms) = allowed(&envelope.frame, &self.plan) {
                    allowed_ms = next_ms;
                    deadline = Deadline::after(allowed_ms, self.plan.patience);
                }
                self.note(&envelope.frame);
                sink.frame(envelope.frame)?;
            }
            let tick = Deadline::after(200, 1.0);
            if wait_any(&[self.pipe.as_fd()], tick)?[0] {
                let mut chunk = [0; 16384];
                let count = std::io::Read::read(&mut self.pipe, &mut chunk).context("reading the child's frames")?;
                if count == 0 {
                    return Ok(None);
                }
                decoder.push(&chunk[..count]);
            } else if deadline.passed() {
                return Ok(Some(Lost::Hung { deadline_ms: stretched(allowed_ms, self.plan.patience) }));
            }
            if interrupted() {
                return Ok(Some(Lost::Signaled { signal: libc::SIGINT }));
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        match frame {
            Frame::Start { cell } => self.under_way = Some(Step::Cell(*cell)),
            Frame::BehaviourStart { behaviour } => self.under_way = Some(Step::Behaviour(*behaviour)),
            Frame::Result { cell, .. } => self.end_of(Step::Cell(*cell)),
            Frame::BehaviourResult { behaviour, .. } => self.end_of(Step::Behaviour(*behaviour)),
            Frame::StressStart { .. } | Frame::StormStart { .. } => self.extra = Progress::UnderWay,
            Frame::StressResult { .. } | Frame::StormResult { .. } => self.extra = Progress::Over,
            _ => {}
        }
    }

    fn end_of(&mut self, step: Step) {
        self.under_way = None;
        self.done.push(step);
    }

    /// Ends the child and its whole group; how it had ended if it ended by itself.
    fn end(&mut self, by_itself: bool) -> Option<Lost> {
        let group = Pid::from_raw(self.child.id().cast_signed());
        let deadline = Deadline::after(KILL_MS, self.plan.patience);
        let mut status = None;
        while by_itself && status.is_none() && !deadline.passed() {
            status = self.child.try_wait().ok().flatten();
            nap(200);
        }
        // Its helpers die with it by PR_SET_PDEATHSIG, but only this is sure.
        if let Err(error) = killpg(group, Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            eprintln!("selftests: killpg({group}): {error}");
        }
        let deadline = Deadline::after(KILL_MS, self.plan.patience);
        while !deadline.passed() {
            status = status.or_else(|| self.child.try_wait().ok().flatten());
            // Orphans of the group come to us, a subreaper, and must be collected.
            while waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG))
                .is_ok_and(|end| end.pid().is_some())
            {}
            if status.is_some() && killpg(group, None).is_err() {
                break;
            }
            nap(500);
        }
        status.filter(|_| by_itself).and_then(ended)
    }

    /// Gives the step under way, or the first one if nothing was done, its result.
    fn blame(&mut self, end: Lost, sink: &mut dyn Sink) -> anyhow::Result<()> {
        if interrupted() {
            return Ok(());
        }
        if let Some(stress) = self.plan.stress {
            return self.blame_stress(stress, end, sink);
        }
        if let Some(storm) = self.plan.storm {
            return self.blame_storm(storm, end, sink);
        }
        let step = match self.under_way {
            Some(step) => step,
            // A child may end after a broken cell; then the rest waits for the next.
            None if !self.done.is_empty() => return Ok(()),
            None => {
                let Some(step) = self.steps.first() else { return Ok(()) };
                sink.frame(step.start())?;
                *step
            }
        };
        self.done.push(step);
        sink.frame(step.result(end))
    }

    /// Gives the stress, which its child was for, its result.
    fn blame_stress(&self, stress: Stress, end: Lost, sink: &mut dyn Sink) -> anyhow::Result<()> {
        if self.extra == Progress::Due {
            sink.frame(Frame::StressStart { stress })?;
        }
        if self.extra == Progress::Over {
            return Ok(());
        }
        sink.frame(Frame::StressResult { outcome: StressEnd::Lost(end) })
    }

    /// The same for a storm.
    fn blame_storm(&self, storm: Storm, end: Lost, sink: &mut dyn Sink) -> anyhow::Result<()> {
        if self.extra == Progress::Due {
            sink.frame(Frame::StormStart { storm })?;
        }
        if self.extra == Progress::Over {
            return Ok(());
        }
        sink.frame(Frame::StormResult { outcome: StormEnd::Lost(end) })
    }
}

fn ended(status: ExitStatus) -> Option<Lost> {
    let exited = status.code().map(|code| Lost::Exited { code });
    exited.or_else(|| status.signal().map(|signal| Lost::Signaled { signal }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "deadlines")]
fn stretched(ms: u64, patience: f64) -> u64 {
    (ms as f64 * patience.max(0.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_time_for_all_its_holds() {
        let plan = Plan { patience: 2.0, ..Plan::of(Vec::new()) };
        assert!(cell_ms(&plan) > 20 * 100 * 2);
        assert_eq!(stretched(cell_ms(&plan), plan.patience), 2 * cell_ms(&plan));
        let plan = Plan { stress: Some(Stress { seconds: 60, seed: 1 }), ..plan };
        assert!(stress_ms(&plan) > 60_000);
    }

    #[test]
    fn a_behaviour_that_dies_has_a_result_of_its_own_and_enough_time() {
        let step = Step::Behaviour("sigkill.anon".parse().unwrap());
        let Frame::BehaviourResult { behaviour, outcome } = step.result(Lost::Signaled { signal: 11 }) else {
            panic!("{step:?}")
        };
        assert_eq!(
            (step.start(), outcome),
            (Frame::BehaviourStart { behaviour }, BehaviourEnd::Lost(Lost::Signaled { signal: 11 }))
        );
        assert_eq!(allowed(&step.start(), &Plan::of(Vec::new())), Some(BEHAVIOUR_MS));
    }

    #[test]
    fn an_end_is_told_as_it_was() {
        assert_eq!(ended(ExitStatus::from_raw(7 << 8)), Some(Lost::Exited { code: 7 }));
        assert_eq!(ended(ExitStatus::from_raw(9)), Some(Lost::Signaled { signal: 9 }));
    }
}
