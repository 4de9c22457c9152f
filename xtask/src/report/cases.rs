// SPDX-License-Identifier: GPL-2.0-only
//! An outcome as test formats see it: suites of cases, each with one answer.
//!
//! ```text
//! target ─ side ─┬ boot: is it sound evidence?
//!                ├ one case for each cell and probe
//!                ├ one case for each behaviour
//!                ├ stress, if there was one
//!                └ storm, if there was one
//!        └ verdict: only if no case of its sides says why the target is no pass
//! ```
//!
//! Owns: what of an outcome is a case, and its answer: a boot that proves nothing
//! has no case that is `ok`, and whatever is wrong is somewhere in a case. Must
//! not: know a format.

use selftests::plan::Plan;

use super::measured;
use crate::judge;
use crate::outcome::{
    BehaviourOutcome, BehaviourState, CellOutcome, CellState, SideOutcome, StressState, TargetOutcome,
};
use crate::store::{Boot, Evidence};
use crate::target::Target;
use crate::verdict::Verdict;

/// The side of a tree by itself: nobody says that it has a defect.
const TREE: &str = "tree";

/// One target with its suites.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The target.
    pub(super) target: &'a TargetOutcome,
    /// One a side.
    pub(super) suites: Vec<Suite<'a>>,
    /// What no case says.
    pub(super) verdict: Option<Case<'a>>,
}

/// One side of a target.
#[derive(Debug)]
pub(super) struct Suite<'a> {
    /// The side.
    pub(super) side: &'a SideOutcome,
    /// What is recorded of its boot.
    pub(super) boot: Option<&'a Boot>,
    /// Never empty: the boot itself is the first.
    pub(super) cases: Vec<Case<'a>>,
}

/// One question.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// `boot`, `stress`, `storm`, `verdict`, `sigkill.anon`, or `anon.sync.read@1.writer`.
    pub(super) name: String,
    /// The answer.
    pub(super) answer: Answer,
    /// Of which cell; `None` for the others.
    pub(super) cell: Option<&'a CellOutcome>,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// As it should be: what was seen, in a word or two.
    Fine(String),
    /// The defect, where it is expected: what was seen.
    Expected(String),
    /// There is no answer, and need not be: why.
    Skipped(String),
    /// Not as it should be.
    Wrong(Verdict, String),
}

impl Answer {
    /// Does anything but a wrong answer pass?
    pub(super) fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong(..))
    }
}

/// Is a wrong answer the kernel's fault? Else it is the harness's, its host's, or
/// nobody can tell.
pub(super) fn blames_kernel(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fail | Verdict::Crashed | Verdict::BuildFailed | Verdict::ApplyFailed)
}

/// A figure of a case, with its unit.
pub(super) struct Metric {
    /// E.g. `wait_max`.
    pub(super) name: &'static str,
    /// In that unit.
    pub(super) value: f64,
    /// `ms`, `rounds` of a task, or empty for a number.
    pub(super) unit: &'static str,
}

impl Case<'_> {
    /// What was measured, in the order in which it is told.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let Some(cell) = self.cell.filter(|cell| measured(cell)) else { return Vec::new() };
        let ms = |name, value| Metric { name, value, unit: "ms" };
        let mut metrics = vec![
            Metric { name: "trials", value: f64::from(cell.n), unit: "" },
            ms("wait_median", cell.wait_ms.median),
            ms("wait_p99", cell.wait_ms.p99),
            ms("wait_max", cell.wait_ms.max),
            ms("hold_max", cell.hold_ms),
        ];
        if let Some(rounds) = cell.guest_progress {
            metrics.push(Metric { name: "guest_progress_min", value: rounds as f64, unit: "rounds" });
        }
        metrics
    }
}

/// All targets of the run.
pub(super) fn groups(evidence: &Evidence) -> Vec<Group<'_>> {
    evidence.outcome.targets.iter().map(|target| group(evidence, target)).collect()
}

/// The run as one case, for one that no kernel has a part in.
pub(super) fn without_target(evidence: &Evidence) -> Option<Case<'_>> {
    let outcome = &evidence.outcome;
    outcome.targets.is_empty().then(|| whole(outcome.verdict, &outcome.reasons))
}

fn group<'a>(evidence: &'a Evidence, target: &'a TargetOutcome) -> Group<'a> {
    let expected = evidence.target(&target.target);
    let suite = |side| suite(evidence, expected.as_ref(), target, side);
    let suites: Vec<Suite<'_>> = target.sides.iter().map(suite).collect();
    let said = |case: &Case<'_>| matches!(case.answer, Answer::Wrong(verdict, _) if verdict == target.verdict);
    let silent = target.verdict != Verdict::Pass && !suites.iter().flat_map(|suite| &suite.cases).any(said);
    Group { target, suites, verdict: silent.then(|| whole(target.verdict, &target.reasons)) }
}

fn whole<'a>(verdict: Verdict, reasons: &[String]) -> Case<'a> {
    Case { name: "verdict".to_owned(), answer: of_verdict(verdict, reasons), cell: None }
}

fn of_verdict(verdict: Verdict, reasons: &[String]) -> Answer {
    match verdict {
        Verdict::Pass => Answer::Fine(verdict.to_string()),
        verdict => Answer::Wrong(verdict, reasons.join("\n")),
    }
}

fn suite<'a>(
    evidence: &'a Evidence,
    expected: Option<&Target>,
    target: &TargetOutcome,
    side: &'a SideOutcome,
) -> Suite<'a> {
    let variant = evidence.info.as_ref().map(|info| info.variant).unwrap_or_default();
    let died = expected.is_some_and(|expected| judge::died_as_declared(expected, side, variant));
    let boot = match of_verdict(side.verdict, &side.reasons) {
        Answer::Wrong(_, why) if died => Answer::Expected(why),
        answer => answer,
    };
    let mut cases = vec![Case { name: "boot".to_owned(), answer: boot, cell: None }];
    for cell in &side.cells {
        let plan = evidence.info.as_ref().map(|info| &info.plan);
        let answer = of_cell(expected.zip(plan), side, cell);
        cases.push(Case { name: cell.place(), answer, cell: Some(cell) });
    }
    for seen in &side.behaviours {
        let answer = of_behaviour(evidence.info.as_ref().and(expected), side, seen);
        cases.push(Case { name: seen.behaviour.clone(), answer, cell: None });
    }
    if let Some(stress) = &side.stress {
        let why = stress.reason.clone().unwrap_or_default();
        let answer = match stress.state {
            StressState::Sound => Answer::Fine(stress.state.to_string()),
            StressState::Corrupt | StressState::Hung => Answer::Wrong(Verdict::Crashed, why),
            StressState::Broken => Answer::Wrong(Verdict::Invalid, why),
        };
        cases.push(Case { name: "stress".to_owned(), answer, cell: None });
    }
    if let Some(storm) = &side.storm {
        let answer = match &storm.reason {
            None => Answer::Fine("sound".to_owned()),
            // A page that was wrong has crashed the boot.
            Some(why) => Answer::Wrong(side.verdict, why.clone()),
        };
        cases.push(Case { name: "storm".to_owned(), answer, cell: None });
    }
    Suite { side, boot: evidence.boot(&target.target, &side.side), cases }
}

/// As a cell: where nobody expects anything, it is what it is.
fn of_behaviour(judged_by: Option<&Target>, side: &SideOutcome, seen: &BehaviourOutcome) -> Answer {
    let BehaviourOutcome { state, saw, .. } = seen;
    if *state == BehaviourState::Broken {
        return Answer::Wrong(Verdict::Invalid, saw.clone());
    }
    if side.verdict != Verdict::Pass {
        return Answer::Skipped(format!("{state}, which proves nothing: the boot is {}", side.verdict));
    }
    let wrong = judged_by.and_then(|target| judge::behaviour(target, &side.side, seen));
    match (wrong, state) {
        (Some((verdict, text)), _) => Answer::Wrong(verdict, text),
        (None, BehaviourState::Skipped) => Answer::Skipped(saw.clone()),
        (None, BehaviourState::Wrong) if side.side != TREE => Answer::Expected(format!("{state}: {saw}")),
        (None, _) => Answer::Fine(state.to_string()),
    }
}

/// By the expectations that the run was made with; a tree without any, and a
/// reference, are what they are.
fn of_cell(judged_by: Option<(&Target, &Plan)>, side: &SideOutcome, cell: &CellOutcome) -> Answer {
    let state = cell.state.to_string();
    let why = || cell.reason.clone().unwrap_or_else(|| "for no stated reason".to_owned());
    if cell.state == CellState::Broken {
        return Answer::Wrong(Verdict::Invalid, why());
    }
    if side.verdict != Verdict::Pass {
        return Answer::Skipped(format!("{state}, which proves nothing: the boot is {}", side.verdict));
    }
    let wrong =
        judged_by.filter(|_| !cell.is_control()).and_then(|(target, plan)| judge::cell(target, &side.side, cell, plan));
    match (wrong, cell.state) {
        (Some((verdict, text)), _) => Answer::Wrong(verdict, text),
        (None, CellState::Skipped) => Answer::Skipped(why()),
        (None, CellState::Mixed) if judged_by.is_none() => {
            Answer::Wrong(Verdict::Inconclusive, "the trials disagree".to_owned())
        }
        (None, CellState::Held | CellState::Mixed) if !cell.is_control() && side.side != TREE => {
            Answer::Expected(state)
        }
        (None, _) => Answer::Fine(state),
    }
}
