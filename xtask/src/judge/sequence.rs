// SPDX-License-Identifier: GPL-2.0-only
//! Is the sequence of frames complete?
//!
//! ```text
//! hello → plan → (start → sample* → result)* → (behaviour-start → behaviour-result)*
//!     → [stress-start → stress-result] → [storm-start → storm-result] → bye
//!                                                                                notes anywhere
//! ```
//!
//! Owns: the grammar above, the numbering, and the count of samples. Reading stops
//! at the first frame that breaks a rule; the cells that had ended before are kept
//! for display. Must not: look into samples.

use selftests::behaviour::{Behaviour, BehaviourEnd};
use selftests::cell::Cell;
use selftests::plan::{Plan, Stress};
use selftests::protocol::{CellEnd, Envelope, Frame, PROTOCOL, Sample};
use selftests::storms::{Storm, StormEnd};
use selftests::tally::StressEnd;

use super::Reason;
use crate::verdict::Verdict;

/// A cell that has ended.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) cell: Cell,
    pub(super) samples: Vec<&'a Sample>,
    pub(super) end: &'a CellEnd,
}

/// All that could be read, and the first rule that was broken.
#[derive(Debug)]
pub(super) struct Sequence<'a> {
    pub(super) records: Vec<Record<'a>>,
    /// The behaviours that have ended.
    pub(super) behaviours: Vec<(Behaviour, &'a BehaviourEnd)>,
    /// How the stress ended, if it has.
    pub(super) stress: Option<&'a StressEnd>,
    /// How the storm ended, if it has.
    pub(super) storm: Option<&'a StormEnd>,
    pub(super) fault: Option<Reason>,
}

/// Where in the grammar the reader is.
enum At<'a> {
    Hello,
    Plan,
    Between,
    Within(Cell, Vec<&'a Sample>),
    Behaving(Behaviour),
    Stress,
    Stressed,
    Storm,
    Calm,
    Over,
}

pub(super) fn read<'a>(frames: &'a [Envelope], plan: &Plan) -> Sequence<'a> {
    let (records, behaviours) = (Vec::new(), Vec::new());
    let mut reader = Reader { plan, at: At::Hello, records, behaviours, stress: None, storm: None };
    let fault = frames.iter().zip(0..).find_map(|(envelope, place)| reader.take(envelope, place).err());
    let fault = fault.or_else(|| reader.end().err());
    let Reader { records, behaviours, stress, storm, .. } = reader;
    Sequence { records, behaviours, stress, storm, fault }
}

struct Reader<'a, 'p> {
    plan: &'p Plan,
    at: At<'a>,
    records: Vec<Record<'a>>,
    behaviours: Vec<(Behaviour, &'a BehaviourEnd)>,
    stress: Option<&'a StressEnd>,
    storm: Option<&'a StormEnd>,
}

fn broken<T>(text: impl Into<String>) -> Result<T, Reason> {
    Err(Reason::new(Verdict::Crashed, text))
}

impl<'a> Reader<'a, '_> {
    fn take(&mut self, envelope: &'a Envelope, place: u32) -> Result<(), Reason> {
        if envelope.seq != place {
            return broken(format!("frame {place} carries number {}: frames were lost", envelope.seq));
        }
        let at = std::mem::replace(&mut self.at, At::Over);
        self.at = match (at, &envelope.frame) {
            (At::Over, _) => return broken(format!("frame {place} comes after bye")),
            (at, Frame::Note { .. }) => at,
            (At::Hello, Frame::Hello { protocol, .. }) => hello(*protocol)?,
            (At::Plan, Frame::Plan { cells }) => self.planned(cells)?,
            (At::Between, Frame::Start { cell }) => self.start(*cell)?,
            (At::Within(cell, samples), Frame::Sample { cell: of, sample }) if *of == cell => {
                self.sample(cell, samples, sample)?
            }
            (At::Within(cell, samples), Frame::Result { cell: of, outcome }) if *of == cell => {
                self.result(cell, samples, outcome)?
            }
            (At::Between, Frame::BehaviourStart { behaviour }) => self.behaviour_start(*behaviour)?,
            (At::Behaving(under_way), Frame::BehaviourResult { behaviour, outcome }) if *behaviour == under_way => {
                self.behaviours.push((under_way, outcome));
                At::Between
            }
            (At::Between, Frame::StressStart { stress }) => self.stress_start(*stress)?,
            (At::Stress, Frame::StressResult { outcome }) => {
                self.stress = Some(outcome);
                At::Stressed
            }
            (At::Between | At::Stressed, Frame::StormStart { storm }) => self.storm_start(storm)?,
            (At::Storm, Frame::StormResult { outcome }) => {
                self.storm = Some(outcome);
                At::Calm
            }
            (At::Between | At::Stressed | At::Calm, Frame::Bye { frames }) => self.bye(*frames, place)?,
            (at, frame) => return broken(format!("frame {place} is {}, {}", said(frame), at.wanted(self.plan))),
        };
        Ok(())
    }

    fn planned(&self, cells: &[Cell]) -> Result<At<'a>, Reason> {
        if *cells == self.plan.cells {
            return Ok(At::Between);
        }
        let (theirs, ours) = (cells.len(), self.plan.cells.len());
        let text = format!("the guest announces {theirs} cells that are not the {ours} it was asked for");
        Err(Reason::new(Verdict::Infra, text))
    }

    fn start(&self, cell: Cell) -> Result<At<'a>, Reason> {
        match self.plan.cells.get(self.records.len()) {
            Some(next) if *next == cell => Ok(At::Within(cell, Vec::new())),
            Some(next) => broken(format!("{cell} starts where {next} must")),
            None => broken(format!("{cell} starts after all cells of the plan")),
        }
    }

    fn sample(&self, cell: Cell, mut samples: Vec<&'a Sample>, sample: &'a Sample) -> Result<At<'a>, Reason> {
        if sample.trial as usize != samples.len() || sample.trial >= self.plan.trials {
            let (trial, due, trials) = (sample.trial, samples.len(), self.plan.trials);
            return broken(format!("{cell}: trial {trial} comes where trial {due} of {trials} is due"));
        }
        samples.push(sample);
        Ok(At::Within(cell, samples))
    }

    fn result(&mut self, cell: Cell, samples: Vec<&'a Sample>, end: &'a CellEnd) -> Result<At<'a>, Reason> {
        if let CellEnd::Complete { trials } = end {
            let (seen, asked) = (samples.len(), self.plan.trials);
            if *trials != asked || seen != asked as usize {
                return broken(format!(
                    "{cell} ends as complete with {trials} trials; {seen} came, {asked} were asked for"
                ));
            }
        }
        self.records.push(Record { cell, samples, end });
        Ok(At::Between)
    }

    fn behaviour_start(&self, behaviour: Behaviour) -> Result<At<'a>, Reason> {
        if let Some(missing) = self.plan.cells.get(self.records.len()) {
            return broken(format!("{behaviour} starts before {missing} has run"));
        }
        match self.plan.behaviours.get(self.behaviours.len()) {
            Some(next) if *next == behaviour => Ok(At::Behaving(behaviour)),
            Some(next) => broken(format!("{behaviour} starts where {next} must")),
            None => broken(format!("{behaviour} starts after all behaviours of the plan")),
        }
    }

    /// The first that has not ended.
    fn missing(&self) -> Option<String> {
        let cell = self.plan.cells.get(self.records.len()).map(ToString::to_string);
        cell.or_else(|| self.plan.behaviours.get(self.behaviours.len()).map(ToString::to_string))
    }

    fn stress_start(&self, stress: Stress) -> Result<At<'a>, Reason> {
        if let Some(missing) = self.missing() {
            return broken(format!("the stress starts before {missing} has run"));
        }
        match self.plan.stress {
            Some(asked) if asked == stress => Ok(At::Stress),
            Some(asked) => broken(format!("the guest starts {stress:?}, but it was asked for {asked:?}")),
            None => broken("a stress starts that nobody asked for"),
        }
    }

    fn storm_start(&self, storm: &Storm) -> Result<At<'a>, Reason> {
        if let Some(missing) = self.missing() {
            return broken(format!("the storm starts before {missing} has run"));
        }
        match &self.plan.storm {
            Some(asked) if asked == storm => Ok(At::Storm),
            Some(asked) => broken(format!("the guest starts {storm:?}, but it was asked for {asked:?}")),
            None => broken("a storm starts that nobody asked for"),
        }
    }

    fn bye(&self, frames: u32, place: u32) -> Result<At<'a>, Reason> {
        if let Some(missing) = self.missing() {
            return broken(format!("bye comes before {missing} has run"));
        }
        if self.plan.storm.is_some() && self.storm.is_none() {
            return broken("bye comes before the storm has blown");
        }
        if self.plan.stress.is_some() && self.stress.is_none() {
            return broken("bye comes before the stress has run");
        }
        if frames != place {
            return broken(format!("bye counts {frames} frames before it, {place} came"));
        }
        Ok(At::Over)
    }

    fn end(&self) -> Result<(), Reason> {
        match &self.at {
            At::Over => Ok(()),
            at => broken(format!("the frames end without a bye: {}", at.wanted(self.plan))),
        }
    }
}

fn hello<'a>(protocol: u32) -> Result<At<'a>, Reason> {
    if protocol == PROTOCOL {
        return Ok(At::Plan);
    }
    let text =
        format!("the guest speaks protocol {protocol}, this xtask {PROTOCOL}: the initramfs is of another build");
    Err(Reason::new(Verdict::Infra, text))
}

impl At<'_> {
    fn wanted(&self, plan: &Plan) -> String {
        match self {
            Self::Hello => "a hello is due".to_owned(),
            Self::Plan => "the plan is due".to_owned(),
            Self::Between => "the start of a cell, of a behaviour or of a stress, or bye is due".to_owned(),
            Self::Within(cell, samples) => {
                format!("{cell} is under way after {} of {} trials", samples.len(), plan.trials)
            }
            Self::Behaving(behaviour) => format!("{behaviour} is under way"),
            Self::Stress => "the stress is under way".to_owned(),
            Self::Storm => "the storm is under way".to_owned(),
            Self::Stressed | Self::Calm => "bye is due".to_owned(),
            Self::Over => "nothing is due".to_owned(),
        }
    }
}

fn said(frame: &Frame) -> String {
    match frame {
        Frame::Hello { .. } => "a hello".to_owned(),
        Frame::Plan { .. } => "a plan".to_owned(),
        Frame::Start { cell } => format!("the start of {cell}"),
        Frame::Sample { cell, .. } => format!("a sample of {cell}"),
        Frame::Result { cell, .. } => format!("the result of {cell}"),
        Frame::BehaviourStart { behaviour } => format!("the start of {behaviour}"),
        Frame::BehaviourResult { behaviour, .. } => format!("the result of {behaviour}"),
        Frame::StressStart { .. } => "the start of a stress".to_owned(),
        Frame::StressResult { .. } => "the result of a stress".to_owned(),
        Frame::StormStart { .. } => "the start of a storm".to_owned(),
        Frame::StormResult { .. } => "the result of a storm".to_owned(),
        Frame::Note { .. } => "a note".to_owned(),
        Frame::Bye { .. } => "bye".to_owned(),
    }
}
