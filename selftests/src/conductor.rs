// SPDX-License-Identifier: GPL-2.0-only
//! Measures the cells of a plan, one after the other, tries its behaviours, and does its
//! stress or its storm.
//!
//! Owns: the order within a cell (probed process, does KVM run at all, proof of
//! async page faults, trials, retries), how long a probed process is kept, and the
//! frames about it. Must not: live in the probed mm, judge, or go on after a broken
//! cell: what broke it may break the next one, so the supervisor starts afresh.

use std::io::Write;

use anyhow::Context;
use selftests::behaviour::BehaviourEnd;
use selftests::cell::{Access, Backing, Cell, Path, Probe, Situation};
use selftests::lost::Lost;
use selftests::plan::Plan;
use selftests::protocol::{CellEnd, Envelope, Frame, Meanwhile, Sample, encode};
use selftests::storms::StormEnd;
use selftests::tally::StressEnd;

use crate::behave;
use crate::clock::{millis, now};
use crate::failure::Failure;
use crate::inject;
use crate::nbd::device::Server;
use crate::rig::{Rig, Subject};
use crate::storm::weather;
use crate::stress::watch;
use crate::subject::{Guest, Setup};
use crate::swap;
use crate::trial::Scene;

/// A trial that was not made is tried again this often.
const RETRIES: u32 = 3;

/// What the conductor's process ends with after a broken cell.
pub(crate) const BROKEN: u8 = 3;

/// Measures `plan` and writes frames to `out`; returns the exit code.
pub(crate) fn run(plan: &Plan, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut rig = match Rig::set_up(plan.patience) {
        Ok(rig) => rig,
        Err(failure) => {
            nothing(plan, &failure, out)?;
            return Ok(0);
        }
    };
    if let Err(reason) = &rig.trace {
        frame(out, Frame::Note { text: format!("async page faults cannot be counted: {reason}") })?;
    }
    let mut kept = None;
    for cell in &plan.cells {
        frame(out, Frame::Start { cell: *cell })?;
        let mut run = CellRun { rig: &mut rig, plan, cell: *cell, kept: &mut kept, out };
        let outcome = run.measure().unwrap_or_else(|failure| CellEnd::Lost(failure.into()));
        let broken = matches!(outcome, CellEnd::Lost(Lost::Broken { .. }));
        frame(out, Frame::Result { cell: *cell, outcome })?;
        if broken {
            return Ok(BROKEN);
        }
    }
    drop(kept);
    // What comes now is made on the first swap device.
    if let Err(failure) = rig.swap_to_zram(false) {
        frame(out, Frame::Note { text: format!("after the cells: {failure:?}") })?;
        return Ok(BROKEN);
    }
    for &behaviour in &plan.behaviours {
        frame(out, Frame::BehaviourStart { behaviour })?;
        let outcome = behave::run(&mut rig, plan, behaviour, &mut |text| frame(out, Frame::Note { text }));
        let outcome = outcome.unwrap_or_else(|failure| BehaviourEnd::Lost(failure.into()));
        let broken = matches!(outcome, BehaviourEnd::Lost(Lost::Broken { .. }));
        frame(out, Frame::BehaviourResult { behaviour, outcome })?;
        if broken {
            return Ok(BROKEN);
        }
    }
    if let Some(stress) = plan.stress {
        frame(out, Frame::StressStart { stress })?;
        let outcome = watch::run(&mut rig, stress, &mut |note| frame(out, note));
        let outcome = outcome.unwrap_or_else(|failure| StressEnd::Lost(failure.into()));
        let complete = matches!(outcome, StressEnd::Complete { .. });
        frame(out, Frame::StressResult { outcome })?;
        if !complete {
            return Ok(BROKEN);
        }
    }
    if let Some(storm) = plan.storm {
        frame(out, Frame::StormStart { storm })?;
        let outcome = weather::run(&mut rig, storm, &mut |note| frame(out, note));
        let outcome = outcome.unwrap_or_else(|failure| StormEnd::Lost(failure.into()));
        let complete = matches!(outcome, StormEnd::Complete { .. });
        frame(out, Frame::StormResult { outcome })?;
        if !complete {
            return Ok(BROKEN);
        }
    }
    rig.tear_down()?;
    Ok(0)
}

/// Tells of all of `plan` that it was not made, and why.
fn nothing(plan: &Plan, failure: &Failure, out: &mut dyn Write) -> anyhow::Result<()> {
    for cell in &plan.cells {
        frame(out, Frame::Start { cell: *cell })?;
        frame(out, Frame::Result { cell: *cell, outcome: CellEnd::Lost(failure.clone().into()) })?;
    }
    for behaviour in &plan.behaviours {
        frame(out, Frame::BehaviourStart { behaviour: *behaviour })?;
        let outcome = BehaviourEnd::Lost(failure.clone().into());
        frame(out, Frame::BehaviourResult { behaviour: *behaviour, outcome })?;
    }
    if let Some(stress) = plan.stress {
        frame(out, Frame::StressStart { stress })?;
        frame(out, Frame::StressResult { outcome: StressEnd::Lost(failure.clone().into()) })?;
    }
    if let Some(storm) = plan.storm {
        frame(out, Frame::StormStart { storm })?;
        frame(out, Frame::StormResult { outcome: StormEnd::Lost(failure.clone().into()) })?;
    }
    Ok(())
}

/// Writes one frame; the supervisor gives it its place in the stream.
fn frame(out: &mut dyn Write, frame: Frame) -> anyhow::Result<()> {
    let bytes = encode(&Envelope { seq: 0, frame }).context("encoding a frame")?;
    out.write_all(&bytes).and_then(|()| out.flush()).context("writing a frame")
}

struct CellRun<'a> {
    rig: &'a mut Rig,
    plan: &'a Plan,
    cell: Cell,
    /// The probed process of the cell before.
    kept: &'a mut Option<Proved>,
    out: &'a mut dyn Write,
}

/// A probed process whose vCPU runs and, where it may, takes async page faults: fit for
/// each cell with this setup. To start another one takes longer than a trial.
struct Proved {
    setup: Setup,
    subject: Subject,
    /// Its thread that has the pages that are missing.
    pager: Server,
}

impl Proved {
    /// Is it a process for cells with `setup`? One with any guest is, where none is needed.
    fn fits(&self, setup: Setup) -> bool {
        self.setup == setup || setup.guest == Guest::Without
    }
}

impl CellRun<'_> {
    fn measure(&mut self) -> Result<CellEnd, Failure> {
        let begun = now();
        let situation = inject::situation(self.cell);
        let setup = match situation {
            Situation::Fault(_, Path::Sync, access) => Setup { guest: Guest::Sync, write: access == Access::Write },
            Situation::Fault(_, Path::ApfHalt, access) => Setup { guest: Guest::Async, write: access == Access::Write },
            Situation::Fault(_, Path::ApfGuest, access) => {
                Setup { guest: Guest::Paravirt, write: access == Access::Write }
            }
            Situation::Fault(..) | Situation::Control(_) => Setup { guest: Guest::Without, write: false },
        };
        let mut kept = match self.kept.take() {
            Some(kept) if kept.fits(setup) => kept,
            other => {
                drop(other);
                self.proved(situation, setup)?
            }
        };
        swap::set_page_cluster(self.cell.window.max(1).ilog2())?;
        let ready = now();
        for trial in 0..self.plan.trials {
            if self.plan.is_afresh(trial) {
                drop(kept);
                kept = self.proved(situation, setup)?;
                swap::set_page_cluster(self.cell.window.max(1).ilog2())?;
            }
            let sample = self.trial_with_retries(&mut kept, situation, trial)?;
            frame(self.out, Frame::Sample { cell: self.cell, sample })?;
        }
        let (start, trials) = (millis(ready - begun), millis(now() - ready));
        let text = format!("{}: {start:.0} ms to start, {trials:.0} ms for {} trials", self.cell, self.plan.trials);
        frame(self.out, Frame::Note { text })?;
        // Only one that answered to the end is worth keeping.
        *self.kept = Some(kept);
        Ok(CellEnd::Complete { trials: self.plan.trials })
    }

    /// A new process to probe, once it has shown what it is for.
    fn proved(&mut self, situation: Situation, setup: Setup) -> Result<Proved, Failure> {
        let subject = self.rig.kit.subject(setup)?;
        if setup.guest != Guest::Without {
            subject.first_run(&self.rig.kit)?;
        }
        let pager = Server::of_thread(subject.threads.pager.orders.try_clone()?, self.plan.patience);
        let mut proved = Proved { setup, subject, pager };
        if let Situation::Fault(_, path, access) = situation
            && path.is_async()
        {
            self.prove_async(&mut proved, path, access)?;
        }
        Ok(proved)
    }

    /// Shows that this vCPU takes async page faults: a swapped-out private page
    /// with a readahead window of 8, which no kernel waits for in the first,
    /// polite pass. Without it, a vCPU that waits itself could be one that
    /// never had the choice.
    fn prove_async(&mut self, proved: &mut Proved, path: Path, access: Access) -> Result<(), Failure> {
        swap::set_page_cluster(3)?;
        let situation = Situation::Fault(Backing::Anon, path, access);
        let mut last = String::new();
        for attempt in 0..=RETRIES {
            let seed = seed(self.plan.seed, &self.cell.to_string(), u32::MAX, attempt);
            match self.scene(proved, situation, &[])?.trial(0, seed) {
                Ok(sample) if took_async(&sample) => match idle(situation, &sample) {
                    None => return Ok(()),
                    Some(reason) => last = reason,
                },
                Ok(sample) => {
                    last = format!("never attempted: {} events, and {:?} waited", events(&sample), sample.waiter);
                }
                Err(Failure::Again(reason)) => last = reason,
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Broken(format!("no async page fault, although the vCPU may take one: {last}")))
    }

    fn trial_with_retries(&mut self, proved: &mut Proved, situation: Situation, trial: u32) -> Result<Sample, Failure> {
        let mut last = String::new();
        for attempt in 0..=RETRIES {
            let seed = seed(self.plan.seed, &self.cell.to_string(), trial, attempt);
            let sample = self.scene(proved, situation, &self.plan.probes)?.trial(trial, seed);
            let reason = match sample {
                Ok(sample) => match unsound(situation, &sample) {
                    None => return Ok(sample),
                    Some(reason) => reason,
                },
                Err(Failure::Again(reason)) => reason,
                Err(failure) => return Err(failure),
            };
            let text = format!("{} trial {trial} was not made: {reason}", self.cell);
            frame(self.out, Frame::Note { text })?;
            last = reason;
        }
        Err(Failure::Broken(format!("trial {trial} was not made in {} tries; the last: {last}", RETRIES + 1)))
    }

    /// All that a trial needs, and the right swap device turned on.
    fn scene<'a>(
        &'a mut self,
        proved: &'a mut Proved,
        situation: Situation,
        probes: &'a [Probe],
    ) -> Result<Scene<'a>, Failure> {
        self.rig.swap_to_zram(matches!(situation, Situation::Fault(Backing::ZramWriteback, ..)))?;
        let Rig { swap, disk, backing, trace, kit, .. } = self.rig;
        let server = match situation {
            Situation::Fault(Backing::File | Backing::FileRandom | Backing::PrivateFile, ..) => &mut disk.server,
            Situation::Fault(Backing::ZramWriteback, ..) => {
                &mut backing.as_mut().context("zram has no backing device")?.server
            }
            Situation::Fault(Backing::Uffd, ..) => &mut proved.pager,
            _ => &mut swap.server,
        };
        let (cell, hold_ms, subject) = (self.cell, self.plan.hold_ms, &proved.subject);
        Ok(Scene { server, trace, kit, subject, cell, situation, hold_ms, probes })
    }
}

/// Did a kworker wait in place of the vCPU?
fn took_async(sample: &Sample) -> bool {
    sample.async_pf.map_or_else(|| sample.waiter.iter().any(|symbol| symbol == "async_pf_execute"), |count| count > 0)
}

fn events(sample: &Sample) -> String {
    sample.async_pf.map_or_else(|| "uncounted".to_owned(), |count| count.to_string())
}

/// Why a sample is not one of its situation, if it is not.
///
/// On the async path a kernel may wait in the polite pass already, before it
/// could try an async page fault; then nothing counts, and the lock is held, as
/// that pass never drops it. Nothing counted and the lock free is the sync path.
fn unsound(situation: Situation, sample: &Sample) -> Option<String> {
    let Situation::Fault(_, path, _) = situation else { return None };
    let held = sample.probes.iter().any(|probe| !probe.returned_during_hold);
    match path {
        Path::Sync if sample.async_pf.is_some_and(|count| count > 0) => {
            Some(format!("{} async page faults on the sync path", events(sample)))
        }
        Path::ApfHalt | Path::ApfGuest if !took_async(sample) && !held => {
            Some(format!("async page fault never attempted: {} events, {:?} waited", events(sample), sample.waiter))
        }
        Path::ApfGuest if took_async(sample) => idle(situation, sample),
        _ => None,
    }
}

/// Why a guest that takes async page faults itself did not, if it did not.
fn idle(situation: Situation, sample: &Sample) -> Option<String> {
    let Situation::Fault(_, Path::ApfGuest, _) = situation else { return None };
    let Some(meanwhile) = sample.meanwhile else {
        return Some("nothing is known of the guest's other task".to_owned());
    };
    let Meanwhile { told, injected, progress } = meanwhile;
    let was_told = told > 0 && injected != Some(0) && progress > 0;
    (!was_told).then(|| format!("the guest was not told that its page is not present: {meanwhile:?}"))
}

/// A number that differs for each cell or behaviour, trial and attempt, and is the same in each run of
/// one plan.
pub(crate) fn seed(of: u64, name: &str, trial: u32, attempt: u32) -> u64 {
    // FNV-1a, then a finaliser that spreads the low bits upwards.
    let text = format!("{name} {trial} {attempt}");
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ of, hash);
    (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use selftests::protocol::ProbeSample;

    use super::*;

    fn sample(async_pf: Option<u32>, waiter: &str, returned: bool) -> Sample {
        let meanwhile = None;
        let probe =
            ProbeSample { probe: Probe::Writer, wait_ms: 1.0, returned_during_hold: returned, blocked_in: Vec::new() };
        Sample {
            trial: 0,
            hold_ms: 1.0,
            withheld_bytes: 4096,
            async_pf,
            meanwhile,
            probes: vec![probe],
            waiter: vec![waiter.to_owned()],
        }
    }

    #[test]
    fn the_path_is_proved_by_the_sample() {
        let fault = |path| Situation::Fault(Backing::Anon, path, Access::Read);
        let judge =
            |path, async_pf, waiter, returned| unsound(fault(path), &sample(async_pf, waiter, returned)).is_none();
        assert!(judge(Path::Sync, Some(0), "swap_readpage", false));
        assert!(!judge(Path::Sync, Some(1), "swap_readpage", true));
        assert!(judge(Path::ApfHalt, Some(1), "async_pf_execute", true));
        assert!(judge(Path::ApfHalt, None, "async_pf_execute", true));
        assert!(judge(Path::ApfHalt, Some(0), "swap_readpage", false), "it waited in the polite pass");
        assert!(!judge(Path::ApfHalt, Some(0), "folio_wait_bit", true), "that is the sync path");
    }

    #[test]
    fn a_guest_that_is_told_does_something_else() {
        let fault = Situation::Fault(Backing::Anon, Path::ApfGuest, Access::Read);
        let judge = |async_pf, told, injected, progress| {
            let meanwhile = Some(Meanwhile { told, injected, progress });
            unsound(fault, &Sample { meanwhile, ..sample(Some(async_pf), "async_pf_execute", true) }).is_none()
        };
        assert!(judge(1, 1, Some(1), 1000));
        assert!(judge(1, 1, None, 1000));
        assert!(!judge(1, 1, Some(1), 0), "it stood still");
        assert!(!judge(1, 0, Some(1), 1000), "it was not told");
        assert!(!judge(1, 1, Some(0), 1000), "KVM knows nothing of it");
        assert!(!judge(0, 0, Some(0), 0), "that is the sync path");
        assert!(unsound(fault, &sample(Some(1), "async_pf_execute", true)).is_some());
        assert!(unsound(fault, &sample(Some(0), "swap_readpage", false)).is_none(), "it waited in the polite pass");
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let cell = "anon.sync.write@1";
        assert_eq!(seed(7, cell, 1, 0), seed(7, cell, 1, 0));
        assert_ne!(seed(7, cell, 1, 0), seed(8, cell, 1, 0));
        let mut seen: Vec<_> = (0..20).map(|trial| (seed(0, cell, trial, 0) >> 20) % 48).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 8, "trials access different pages");
    }
}
