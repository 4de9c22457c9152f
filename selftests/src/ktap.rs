// SPDX-License-Identifier: GPL-2.0-only
//! Results as KTAP 1 on standard output, for a run on a host.
//!
//! Owns: the text, and what `ok` means on a machine without a target's
//! expectations: released, or a control as every kernel shows it. Must not:
//! measure.

use std::io::Write;

use anyhow::Context;
use selftests::behaviour::{Behaviour, BehaviourEnd};
use selftests::cell::{Cell, Control, Probe, Situation};
use selftests::lost::Lost;
use selftests::protocol::{CellEnd, Frame, Sample};
use selftests::tally::StressEnd;

use crate::supervise::Sink;

/// Writes KTAP and remembers whether all was well.
pub(crate) struct Ktap<W> {
    out: W,
    number: u32,
    samples: Vec<Sample>,
    /// No cell was `not ok` so far.
    pub(crate) ok: bool,
}

impl<W: Write> Ktap<W> {
    /// Begins the report of `cells` cells.
    pub(crate) fn begin(mut out: W, cells: usize) -> anyhow::Result<Self> {
        writeln!(out, "KTAP version 1\n1..{cells}").context("writing KTAP")?;
        Ok(Self { out, number: 0, samples: Vec::new(), ok: true })
    }

    /// Says that no more results come.
    pub(crate) fn bail_out(&mut self, reason: &str) -> anyhow::Result<()> {
        self.ok = false;
        writeln!(self.out, "Bail out! {reason}").context("writing KTAP")
    }

    fn result(&mut self, cell: Cell, end: &CellEnd) -> anyhow::Result<()> {
        self.number += 1;
        let samples = std::mem::take(&mut self.samples);
        let (ok, tail) = judge(cell, end, &samples);
        self.ok &= ok;
        let mut lines = diagnostics(cell, &samples);
        let word = if ok { "ok" } else { "not ok" };
        lines.push(format!("{word} {} {cell}{tail}", self.number));
        let text = lines.join("\n");
        writeln!(self.out, "{text}").and_then(|()| self.out.flush()).context("writing KTAP")
    }

    fn behaviour(&mut self, behaviour: Behaviour, end: &BehaviourEnd) -> anyhow::Result<()> {
        self.number += 1;
        let (ok, tail) = judge_behaviour(end);
        self.ok &= ok;
        let word = if ok { "ok" } else { "not ok" };
        writeln!(self.out, "{word} {} {behaviour}{tail}", self.number).context("writing KTAP")
    }

    fn stress(&mut self, end: &StressEnd) -> anyhow::Result<()> {
        self.number += 1;
        let (ok, tail) = judge_stress(end);
        self.ok &= ok;
        let word = if ok { "ok" } else { "not ok" };
        writeln!(self.out, "{word} {} stress{tail}", self.number).context("writing KTAP")
    }
}

impl<W: Write> Sink for Ktap<W> {
    fn frame(&mut self, frame: Frame) -> anyhow::Result<()> {
        match frame {
            Frame::Sample { sample, .. } => self.samples.push(sample),
            Frame::Result { cell, outcome } => self.result(cell, &outcome)?,
            Frame::Note { text } => writeln!(self.out, "# {}", one_line(&text)).context("writing KTAP")?,
            Frame::Start { .. } => self.samples.clear(),
            Frame::BehaviourResult { behaviour, outcome } => self.behaviour(behaviour, &outcome)?,
            Frame::StressResult { outcome } => self.stress(&outcome)?,
            Frame::Hello { .. } | Frame::Plan { .. } | Frame::Bye { .. } => {}
            Frame::BehaviourStart { .. } | Frame::StressStart { .. } => {}
            // No plan of a host has a storm.
            Frame::StormStart { .. } | Frame::StormResult { .. } => {}
        }
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// What is `ok` without an answer, and what follows its name?
fn unanswered(lost: &Lost) -> (bool, String) {
    match lost {
        Lost::Skipped { reason } => (true, format!(" # SKIP {}", one_line(reason))),
        Lost::Broken { reason } => (false, format!(" # broken: {}", one_line(reason))),
        Lost::Exited { .. } | Lost::Signaled { .. } | Lost::Hung { .. } => (false, format!(" # {lost}")),
    }
}

/// Is the cell `ok`, and what follows its name?
fn judge(cell: Cell, end: &CellEnd, samples: &[Sample]) -> (bool, String) {
    if let CellEnd::Lost(lost) = end {
        return unanswered(lost);
    }
    let trials = samples.len();
    let (held, wanted) = match cell.situation {
        Situation::Control(Control::Held) => (held(samples, Probe::Writer), trials),
        _ => (Probe::ALL.into_iter().map(|probe| held(samples, probe)).max().unwrap_or_default(), 0),
    };
    if held == wanted {
        return (true, String::new());
    }
    (false, format!(" # the lock was held in {held} of {trials} trials, not in {wanted}"))
}

/// Was the behaviour `ok`, and what follows its name?
fn judge_behaviour(end: &BehaviourEnd) -> (bool, String) {
    let what = match end {
        BehaviourEnd::Right { .. } => return (true, String::new()),
        BehaviourEnd::Wrong { saw } => saw.clone(),
        BehaviourEnd::Lost(lost) => return unanswered(lost),
    };
    (false, format!(" # {}", one_line(&what)))
}

/// Was the stress `ok`, and what follows its name?
fn judge_stress(end: &StressEnd) -> (bool, String) {
    let what = match end {
        StressEnd::Complete { tally } => match tally.gaps() {
            gaps if gaps.is_empty() => return (true, String::new()),
            gaps => format!("proves nothing: {}", gaps.join(", ")),
        },
        StressEnd::Corrupt { wrong, .. } => wrong.to_string(),
        StressEnd::Stuck { reason, .. } => format!("hangs: {reason}"),
        StressEnd::Lost(lost) => return unanswered(lost),
    };
    (false, format!(" # {}", one_line(&what)))
}

/// Trials in which `probe` came back only after the release.
fn held(samples: &[Sample], probe: Probe) -> usize {
    let late = |sample: &&Sample| sample.probes.iter().any(|seen| seen.probe == probe && !seen.returned_during_hold);
    samples.iter().filter(late).count()
}

/// `# name value unit`, a line each.
fn diagnostics(cell: Cell, samples: &[Sample]) -> Vec<String> {
    if samples.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for probe in Probe::ALL {
        let waits = samples.iter().flat_map(|sample| &sample.probes).filter(|seen| seen.probe == probe);
        let longest = waits.map(|seen| seen.wait_ms).fold(0.0, f64::max);
        lines.push(format!("# {cell}.{probe}.held {} trials", held(samples, probe)));
        lines.push(format!("# {cell}.{probe}.wait.max {longest:.3} ms"));
    }
    let longest = samples.iter().map(|sample| sample.hold_ms).fold(0.0, f64::max);
    lines.push(format!("# {cell}.hold.max {longest:.3} ms"));
    if let Some(counts) = samples.iter().map(|sample| sample.async_pf).collect::<Option<Vec<u32>>>() {
        lines.push(format!("# {cell}.async-pf {} events", counts.iter().sum::<u32>()));
    }
    let told: Vec<_> = samples.iter().filter_map(|sample| sample.meanwhile).collect();
    if let Some(least) = told.iter().filter(|met| met.told > 0).map(|met| met.progress).min() {
        lines.push(format!("# {cell}.guest-progress.min {least} rounds"));
    }
    if let Some(sample) = samples.iter().find(|sample| held(std::slice::from_ref(*sample), Probe::Writer) > 0) {
        lines.push(format!("# {cell} held by: {}", sample.waiter.join(" < ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use selftests::cell::catalogue;
    use selftests::protocol::ProbeSample;

    use super::*;

    fn sample(returned: bool) -> Sample {
        let probe = ProbeSample {
            probe: Probe::Writer,
            wait_ms: if returned { 0.5 } else { 100.5 },
            returned_during_hold: returned,
            blocked_in: Vec::new(),
        };
        Sample {
            trial: 0,
            hold_ms: 101.0,
            withheld_bytes: 4096,
            async_pf: Some(0),
            meanwhile: None,
            probes: vec![probe],
            waiter: vec!["swap_readpage".to_owned(), "read_swap_cache_async".to_owned()],
        }
    }

    fn report(frames: Vec<Frame>) -> (String, bool) {
        let mut text = Vec::new();
        let mut ktap = Ktap::begin(&mut text, 3).unwrap();
        for frame in frames {
            ktap.frame(frame).unwrap();
        }
        let ok = ktap.ok;
        (String::from_utf8(text).unwrap(), ok)
    }

    fn cell(index: usize, samples: &[Sample], outcome: CellEnd) -> Vec<Frame> {
        let cell = catalogue()[index];
        let mut frames = vec![Frame::Start { cell }];
        frames.extend(samples.iter().map(|sample| Frame::Sample { cell, sample: sample.clone() }));
        frames.push(Frame::Result { cell, outcome });
        frames
    }

    #[test]
    fn controls_are_ok_when_they_are_as_they_must_be() {
        let mut frames = cell(0, &[sample(false)], CellEnd::Complete { trials: 1 });
        frames.extend(cell(1, &[sample(true)], CellEnd::Complete { trials: 1 }));
        frames.extend(cell(2, &[], CellEnd::Lost(Lost::Skipped { reason: "no NBD".to_owned() })));
        let (text, ok) = report(frames);
        assert!(ok, "{text}");
        assert!(text.starts_with("KTAP version 1\n1..3\n"), "{text}");
        assert!(text.contains("\nok 1 control.held@1\n"), "{text}");
        assert!(text.ends_with("ok 3 anon.sync.read@1 # SKIP no NBD\n"), "{text}");
    }

    #[test]
    fn a_behaviour_is_ok_only_if_it_is_right() {
        let tried = |outcome: BehaviourEnd| {
            let behaviour = "sigkill.anon".parse().unwrap();
            report(vec![Frame::BehaviourStart { behaviour }, Frame::BehaviourResult { behaviour, outcome }])
        };
        let text = |what: &str| what.to_owned();
        let (right, ok) = tried(BehaviourEnd::Right { saw: text("gone") });
        assert!(ok && right.ends_with("\nok 1 sigkill.anon\n"), "{right}");
        let (wrong, ok) = tried(BehaviourEnd::Wrong { saw: text("still waits") });
        assert!(!ok && wrong.ends_with("\nnot ok 1 sigkill.anon # still waits\n"), "{wrong}");
        let (skipped, ok) = tried(BehaviourEnd::Lost(Lost::Skipped { reason: text("no guest") }));
        assert!(ok && skipped.ends_with("\nok 1 sigkill.anon # SKIP no guest\n"), "{skipped}");
        let (hung, ok) = tried(BehaviourEnd::Lost(Lost::Hung { deadline_ms: 25_000 }));
        assert!(!ok && hung.ends_with("# the test process had not ended after 25000 ms\n"), "{hung}");
    }

    #[test]
    fn a_held_cell_and_a_dead_control_are_not_ok() {
        let (text, ok) = report(cell(2, &[sample(false)], CellEnd::Complete { trials: 1 }));
        assert!(!ok);
        assert!(text.contains("\n# anon.sync.read@1.writer.wait.max 100.500 ms\n"), "{text}");
        assert!(text.contains("held by: swap_readpage < read_swap_cache_async"), "{text}");
        assert!(text.contains("\nnot ok 1 anon.sync.read@1 # the lock was held in 1 of 1 trials"), "{text}");
        assert!(!report(cell(0, &[sample(true)], CellEnd::Complete { trials: 1 })).1);
        assert!(!report(cell(1, &[], CellEnd::Lost(Lost::Signaled { signal: 9 }))).1);
    }

    #[test]
    fn a_stress_is_ok_only_if_it_was_one() {
        let stress = |outcome| report(vec![Frame::StressResult { outcome }]);
        let (text, ok) = stress(StressEnd::Complete { tally: selftests::tally::Tally::default() });
        assert!(!ok && text.contains("\nnot ok 1 stress # proves nothing: no vCPU read a page, "), "{text}");
        let (text, ok) = stress(StressEnd::Lost(Lost::Skipped { reason: "no NBD".to_owned() }));
        assert!(ok && text.contains("\nok 1 stress # SKIP no NBD\n"), "{text}");
    }
}
