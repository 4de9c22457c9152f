// SPDX-License-Identifier: GPL-2.0-only
//! Two runs side by side: what changed between them, in five words.
//!
//! | word | before | after |
//! |---|---|---|
//! | `new` | released | held, or trials disagree; or much slower |
//! | `fixed` | held | released |
//! | `persistent` | held | held |
//! | `flaky` | whatever differs, and the very same kernel has shown both, or its trials disagreed | |
//! | `missing` | measured | not measured, or in a boot that proves nothing |
//!
//! The same words serve a behaviour (right or wrong), a boot (sound or crashed) and a
//! target's verdict. *States*
//! are right at any speed and need no rule for noise. *Sizes* are noisy: a median is
//! `new` only if it is more than [`TIMES`](crate::sizes::TIMES) the highest median of at least
//! [`SAMPLES`](crate::sizes::SAMPLES) earlier passed runs of the same cell, side, variant, accelerator and
//! hold, and [`MORE_MS`](crate::sizes::MORE_MS) above it. A 99th percentile is compared likewise where each
//! run has [`TAIL_TRIALS`](crate::sizes::TAIL_TRIALS) trials; of fewer it is the one longest wait, which is noise.
//!
//! Owns: those rules. Must not: read records, or render.

use serde::{Deserialize, Serialize};

use crate::outcome::{BehaviourOutcome, BehaviourState, CellOutcome, CellState, SideOutcome, TargetOutcome};
use crate::sizes::slower;
use crate::store::{Evidence, RunInfo, Stored};
use crate::variant::Variant;
use crate::verdict::Verdict;

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was well before: a regression.
    New,
    /// It was there before, and nothing can be said of it now.
    Missing,
    /// Both were seen without a change of the kernel.
    Flaky,
    /// It is well now.
    Fixed,
    /// As bad as before.
    Persistent,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Missing => "missing",
            Self::Flaky => "flaky",
            Self::Fixed => "fixed",
            Self::Persistent => "persistent",
        })
    }
}

/// One difference, or what is bad in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What became of it.
    pub change: Change,
    /// The target's name.
    pub target: String,
    /// The side; `None` for the target as a whole.
    pub side: Option<String>,
    /// `anon.sync.read@1.writer`, `sigkill.anon`, `boot` or `verdict`.
    pub subject: String,
    /// Before.
    pub was: String,
    /// After.
    pub now: String,
}

/// The worst of all lines as an exit code: 100 for something new, 125 if something
/// is missing, else 0.
#[must_use]
pub fn exit_code(changes: impl Iterator<Item = Change>) -> u8 {
    match changes.min() {
        Some(Change::New) => Verdict::Fail.exit_code(),
        Some(Change::Missing) => Verdict::Inconclusive.exit_code(),
        _ => 0,
    }
}

/// Everything that is to be said, in the order of the targets and cells of the run
/// before. `history` are the runs that are stored, oldest first.
#[must_use]
pub fn compare(before: &Evidence, after: &Evidence, history: &[Stored]) -> Vec<Line> {
    let both = Both { before, after, history };
    before.outcome.targets.iter().flat_map(|target| both.target(target)).collect()
}

/// Can it be said, and is it well?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Good,
    Bad,
    Disagreeing,
}

pub(crate) fn of_verdict(verdict: Verdict) -> Option<Seen> {
    match verdict {
        Verdict::Pass => Some(Seen::Good),
        Verdict::Fail | Verdict::Crashed | Verdict::BuildFailed | Verdict::ApplyFailed => Some(Seen::Bad),
        Verdict::Invalid | Verdict::Infra | Verdict::Inconclusive => None,
    }
}

pub(crate) fn of_cell(cell: &CellOutcome) -> Option<Seen> {
    match cell.state {
        CellState::Released => Some(Seen::Good),
        CellState::Held => Some(Seen::Bad),
        CellState::Mixed => Some(Seen::Disagreeing),
        CellState::Skipped | CellState::Broken => None,
    }
}

pub(crate) fn of_behaviour(seen: &BehaviourOutcome) -> Option<Seen> {
    match seen.state {
        BehaviourState::Right => Some(Seen::Good),
        BehaviourState::Wrong => Some(Seen::Bad),
        BehaviourState::Skipped | BehaviourState::Broken => None,
    }
}

/// The table; `flaky` says that the same kernel has shown both.
pub(crate) fn change(was: Option<Seen>, now: Option<Seen>, flaky: bool) -> Option<Change> {
    use Seen::{Bad, Disagreeing, Good};
    match (was?, now) {
        (_, None) => Some(Change::Missing),
        (Good, Some(Good)) => None,
        (Bad, Some(Bad)) => Some(Change::Persistent),
        (Disagreeing, Some(_)) => Some(Change::Flaky),
        _ if flaky => Some(Change::Flaky),
        (Good, Some(Bad | Disagreeing)) => Some(Change::New),
        (Bad, Some(Good)) => Some(Change::Fixed),
        (Bad, Some(Disagreeing)) => Some(Change::Persistent),
    }
}

struct Both<'a> {
    before: &'a Evidence,
    after: &'a Evidence,
    history: &'a [Stored],
}

/// What was there, and what is there now, of one place.
struct Place<'a> {
    target: &'a str,
    side: Option<&'a str>,
    subject: String,
}

impl Place<'_> {
    fn line(&self, change: Option<Change>, was: impl ToString, now: impl ToString) -> Option<Line> {
        Some(Line {
            change: change?,
            target: self.target.to_owned(),
            side: self.side.map(str::to_owned),
            subject: self.subject.clone(),
            was: was.to_string(),
            now: now.to_string(),
        })
    }
}

/// In the place of a state that there is not.
pub(crate) const NOTHING: &str = "not measured";

impl Both<'_> {
    fn target(&self, was: &TargetOutcome) -> Vec<Line> {
        let place = Place { target: &was.target, side: None, subject: "verdict".to_owned() };
        let Some(now) = self.after.outcome.targets.iter().find(|now| now.target == was.target) else {
            return place.line(Some(Change::Missing), was.verdict, NOTHING).into_iter().collect();
        };
        let verdict = change(of_verdict(was.verdict), of_verdict(now.verdict), false);
        let mut lines: Vec<Line> = place.line(verdict, was.verdict, now.verdict).into_iter().collect();
        for side in &was.sides {
            lines.extend(self.side(&was.target, side, now.sides.iter().find(|now| now.side == side.side)));
        }
        lines
    }

    fn side(&self, target: &str, was: &SideOutcome, now: Option<&SideOutcome>) -> Vec<Line> {
        let place = Place { target, side: Some(&was.side), subject: "boot".to_owned() };
        let Some(now) = now else {
            let known = of_verdict(was.verdict).map(|_| Change::Missing);
            return place.line(known, was.verdict, NOTHING).into_iter().collect();
        };
        let boot = change(of_verdict(was.verdict), of_verdict(now.verdict), false);
        let mut lines: Vec<Line> = place.line(boot, was.verdict, now.verdict).into_iter().collect();
        // A boot that is not sound proves nothing of its cells; its own line says so.
        if was.verdict == Verdict::Pass && now.verdict == Verdict::Pass {
            let cells = was.cells.iter().filter(|cell| !cell.is_control());
            lines.extend(cells.filter_map(|cell| self.cell(target, now, cell)));
            lines.extend(was.behaviours.iter().filter_map(|was| self.behaviour(target, now, was)));
        }
        lines
    }

    fn cell(&self, target: &str, side: &SideOutcome, was: &CellOutcome) -> Option<Line> {
        let place = Place { target, side: Some(&side.side), subject: was.place() };
        let now = side.cell_at(was);
        let state = now.map_or_else(|| NOTHING.to_owned(), |cell| cell.state.to_string());
        let seen = (of_cell(was), now.and_then(of_cell));
        let changed = change(seen.0, seen.1, self.showed_both(target, &side.side, was));
        place.line(changed, was.state, state).or_else(|| {
            let grown = slower(&self.samples(target, &side.side, was), now?)?;
            place.line(Some(Change::New), format!("released, {}", grown.was()), format!("released, {}", grown.is()))
        })
    }

    fn behaviour(&self, target: &str, side: &SideOutcome, was: &BehaviourOutcome) -> Option<Line> {
        let place = Place { target, side: Some(&side.side), subject: was.behaviour.clone() };
        let now = side.behaviour(&was.behaviour);
        let state = now.map_or_else(|| NOTHING.to_owned(), |now| now.state.to_string());
        let other = |side: &SideOutcome| {
            side.behaviour(&was.behaviour).is_some_and(|of| of_behaviour(of).is_some() && of.state != was.state)
        };
        let flaky = self.same_kernel(target, &side.side).any(other);
        place.line(change(of_behaviour(was), now.and_then(of_behaviour), flaky), was.state, state)
    }

    /// Has the kernel of the run before been seen in another state, too?
    fn showed_both(&self, target: &str, side: &str, was: &CellOutcome) -> bool {
        self.same_kernel(target, side)
            .filter_map(|side| side.cell_at(was))
            .any(|cell| of_cell(cell).is_some() && cell.state != was.state)
    }

    /// What the stored sound boots of the kernel of the run before showed.
    fn same_kernel(&self, target: &str, side: &str) -> impl Iterator<Item = &SideOutcome> {
        let kernel = kernel(self.before, target, side);
        let others = self.history.iter().filter(move |run| kernel.is_some() && hash(&run.info, target, side) == kernel);
        others.filter_map(move |run| sound(run, target, side))
    }

    /// Were both runs made in the same way? References are of the plain variant.
    fn sizes_compare(&self) -> bool {
        match (&self.before.info, &self.after.info) {
            (Some(before), Some(after)) => alike(before, after),
            (None, Some(after)) => after.variant == Variant::Measure && self.before.outcome.accel == after.accel,
            (_, None) => false,
        }
    }

    /// The same cell of the passed runs that can be compared, oldest first, the run
    /// before among them.
    fn samples<'a>(&'a self, target: &str, side: &str, was: &'a CellOutcome) -> Vec<&'a CellOutcome> {
        let Some(now) = self.after.info.as_ref().filter(|_| self.sizes_compare()) else { return Vec::new() };
        let id = |evidence: &'a Evidence| evidence.outcome.run.as_deref().and_then(|run| run.rsplit('/').next());
        let (first, last) = (id(self.before), id(self.after));
        let earlier = |run: &&Stored| {
            alike(&run.info, now) && last.is_none_or(|last| run.id.as_str() < last) && first != Some(run.id.as_str())
        };
        let runs = self.history.iter().filter(earlier).filter_map(|run| passed(run, target, side));
        let mut samples: Vec<&CellOutcome> = runs.filter_map(|side| side.cell_at(was)).collect();
        samples.push(was);
        samples
    }
}

/// Waits depend on how the kernel was built, what ran it, and on the hold.
fn alike(one: &RunInfo, other: &RunInfo) -> bool {
    one.variant == other.variant && one.accel == other.accel && one.plan.hold_ms == other.plan.hold_ms
}

/// What a run showed of a side, if its boot is sound.
fn sound<'a>(run: &'a Stored, target: &str, side: &str) -> Option<&'a SideOutcome> {
    let target = run.outcome.as_ref()?.targets.iter().find(|of| of.target == target)?;
    target.sides.iter().find(|of| of.side == side && of.verdict == Verdict::Pass)
}

/// The same of a target that passed.
fn passed<'a>(run: &'a Stored, target: &str, side: &str) -> Option<&'a SideOutcome> {
    let found = run.outcome.as_ref()?.targets.iter().find(|of| of.target == target)?;
    if found.verdict == Verdict::Pass { sound(run, target, side) } else { None }
}

fn kernel<'a>(evidence: &'a Evidence, target: &str, side: &str) -> Option<&'a str> {
    hash(evidence.info.as_ref()?, target, side)
}

fn hash<'a>(info: &'a RunInfo, target: &str, side: &str) -> Option<&'a str> {
    let target = info.targets.iter().find(|of| of.target == target)?;
    Some(target.sides.iter().find(|of| of.side == side)?.kernel_hash.as_str())
}
