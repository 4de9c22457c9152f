// SPDX-License-Identifier: GPL-2.0-only
//! From transcripts to a verdict. Pure: values in, values out, so that a stored
//! run can be judged again and gives the same answer.
//!
//! ```text
//! Transcript ─side→ SideOutcome ─target→ TargetOutcome ─outcome→ Outcome
//! ```
//!
//! Owns: what counts as evidence. A side starts as `crashed`, and only a complete
//! sequence of frames from a guest that ended by itself improves it. Of everything
//! that is wrong the worst is the verdict, in [`Verdict`]'s order: a crash beats
//! an invalid control, which beats a held lock, which beats a lack of evidence;
//! all reasons are kept, the decisive ones first.
//!
//! Two kinds of rules, which must not be mixed up. *States* (held, released) rest
//! on stacks and on what returned during the hold; they are right at any speed and
//! alone decide between pass, fail and invalid. *Sizes* (a wait in milliseconds)
//! depend on the host's load, and can only turn a pass into `inconclusive`.
//!
//! Must not: read files, or render.

mod behaviour;
mod cell;
mod compare;
mod ending;
mod sequence;
mod storm;
mod stress;

use selftests::cell::{Cell, Control, Situation};
use selftests::plan::Plan;
use selftests::protocol::Frame;

use crate::error::Error;
use crate::outcome::{BehaviourOutcome, CellOutcome, CellState, Outcome, SCHEMA, SideOutcome, TargetOutcome};
use crate::side::Side;
use crate::target::{Target, Tolerate};
use crate::transcript::Transcript;
use crate::variant::Variant;
use crate::verdict::Verdict;

pub use compare::{HELD_SHARE, RELEASED_SHARE};

/// The side whose states are facts about a stock kernel.
const BASELINE: &str = "baseline";

/// A guest cannot have been up for longer than its machine; its clock is set by
/// calibration, which may be wrong by this much.
const CLOCK_SLACK_MS: u64 = 1_000;

/// A reason with the verdict that it allows at best.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    verdict: Verdict,
    text: String,
}

impl Reason {
    fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, text: text.into() }
    }
}

/// The worst verdict of all reasons, and their texts, worst first.
fn fold(mut reasons: Vec<Reason>) -> (Verdict, Vec<String>) {
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    let verdict = reasons.first().map_or(Verdict::Pass, |reason| reason.verdict);
    let mut texts: Vec<String> = Vec::new();
    for reason in reasons {
        if !texts.contains(&reason.text) {
            texts.push(reason.text);
        }
    }
    (verdict, texts)
}

/// Judges one boot by itself. `pass` here means: the evidence is complete and
/// sound, whatever the cells showed. `plan` is what the boot was asked for,
/// `tolerate` the target's known console findings (empty for a foreign tree).
#[must_use]
pub fn side(side: &str, transcript: &Transcript, plan: &Plan, tolerate: &[Tolerate]) -> SideOutcome {
    let read = sequence::read(&transcript.frames, plan);
    let cells: Vec<CellOutcome> = read.records.iter().flat_map(|record| cell::judge(record, plan)).collect();
    let behaviours: Vec<_> = read.behaviours.iter().map(|(which, end)| behaviour::judge(*which, end)).collect();
    let controls = controls(&cells);

    let mut reasons = ending::judge(transcript, tolerate);
    reasons.extend(read.fault);
    let (stress, told) = plan.stress.zip(read.stress).map(|(asked, end)| stress::judge(asked, end)).unzip();
    let told = told.flatten();
    let (storm, blown) = plan.storm.zip(read.storm).map(|(asked, end)| storm::judge(side, asked, end)).unzip();
    let blown = blown.flatten();
    reasons.extend(blown.clone().filter(|reason| reason.verdict == Verdict::Crashed));
    reasons.extend(told.clone().filter(|reason| reason.verdict == Verdict::Crashed));
    if reasons.is_empty() {
        // Only a whole sequence can be invalid: of a broken one it is already known
        // that it proves nothing.
        for broken in cells.iter().filter(|cell| cell.state == CellState::Broken) {
            let why = broken.reason.as_deref().unwrap_or("for no stated reason");
            reasons.push(Reason::new(Verdict::Invalid, format!("{}@{}: {why}", broken.cell, broken.window)));
        }
        reasons.extend(behaviour::broken(&behaviours));
        reasons.extend(told);
        reasons.extend(blown);
        reasons.extend(clock(transcript));
        reasons.extend(controls.iter().map(|why| Reason::new(Verdict::Invalid, why.clone())));
    }
    let (verdict, reasons) = fold(reasons);
    SideOutcome {
        side: side.to_owned(),
        boot_ms: transcript.boot_ms.unwrap_or(0),
        controls_ok: controls.is_empty(),
        cells,
        behaviours,
        stress,
        storm,
        verdict,
        reasons,
    }
}

/// A guest's clock that is ahead of the host's: its CPU's frequency was measured
/// wrongly (a busy host can make an emulated one look 20 times too slow), and a
/// hold of 100 ms is over after 5. Its states may be right, its waits are not.
fn clock(transcript: &Transcript) -> Option<Reason> {
    let uptime = transcript.frames.iter().find_map(|envelope| match envelope.frame {
        Frame::Hello { uptime_ms, .. } => Some(uptime_ms),
        _ => None,
    })?;
    let boot = transcript.boot_ms?;
    (uptime > boot.saturating_add(CLOCK_SLACK_MS)).then(|| {
        let text = format!("the guest's clock runs ahead: {uptime} ms of uptime {boot} ms after QEMU's start");
        Reason::new(Verdict::Invalid, text)
    })
}

/// What is wrong with the controls; empty if both were seen as they must be: the
/// writer waited in all trials of one and in none of the other.
fn controls(cells: &[CellOutcome]) -> Vec<String> {
    [(Control::Held, CellState::Held), (Control::Released, CellState::Released)]
        .into_iter()
        .filter_map(|(control, wanted)| {
            let name = Cell { situation: Situation::Control(control), window: 1 }.name();
            let seen = cells.iter().find(|cell| cell.cell == name && cell.probe == "writer");
            match seen {
                Some(cell) if cell.state == wanted => None,
                Some(cell) => Some(format!(
                    "{name} shows {} where it must show {wanted}: this boot cannot tell held from released",
                    cell.state
                )),
                None => Some(format!("{name} was not measured: this boot cannot tell held from released")),
            }
        })
        .collect()
}

/// Compares the boots of a target with what its `target.toml` expects.
///
/// A state that differs on `baseline` is `invalid` (104): the instrument or the
/// expectation is wrong. `held` or `mixed` where another side must release is
/// `fail` (100): one trial with the lock held disproves the series; so does a behaviour
/// that is wrong there. `released`
/// where another side is expected to hold is `invalid`: `target.toml` is out of
/// date. An undeclared skip is `invalid`. Sizes, and a selection of cells in which
/// nothing but controls was measured, give `inconclusive` (125), and so does the
/// lack of a side that the variant requires. A side that is there to die in this
/// variant must do so, as declared.
#[must_use]
pub fn target(target: &Target, version: &str, sides: Vec<SideOutcome>, plan: &Plan, variant: Variant) -> TargetOutcome {
    let (dying, living): (Vec<_>, Vec<_>) = sides.iter().partition(|side| target.death(&side.side, variant).is_some());
    let mut reasons: Vec<Reason> = living.iter().flat_map(|side| own_reasons(side)).collect();
    reasons.extend(dying.into_iter().flat_map(|side| ending::as_declared(target, side, variant)));
    for side in living.iter().filter(|side| side.verdict == Verdict::Pass) {
        reasons.extend(compare::with_target(target, side, plan));
        reasons.extend(behaviour::with_target(target, side));
    }
    let required: Vec<&str> = variant.required().iter().map(Side::name).collect();
    let missing = required.iter().filter(|name| !sides.iter().any(|side| side.side == **name));
    reasons.extend(missing.map(|name| {
        let needed = required.join(" and ");
        Reason::new(Verdict::Inconclusive, format!("{name} was not run: without {needed} nothing is proved"))
    }));
    let (verdict, reasons) = fold(reasons);
    TargetOutcome { target: target.name.clone(), version: version.to_owned(), verdict, sides, reasons }
}

/// What is wrong with one cell of a sound boot; `None` if it is as the target
/// expects.
#[must_use]
pub fn cell(target: &Target, side: &str, cell: &CellOutcome, plan: &Plan) -> Option<(Verdict, String)> {
    compare::one(target, side, cell, plan)
}

/// What is wrong with one behaviour of a sound boot; `None` if it is as the target
/// expects.
#[must_use]
pub fn behaviour(target: &Target, side: &str, seen: &BehaviourOutcome) -> Option<(Verdict, String)> {
    behaviour::one(target, side, seen)
}

/// Is it a side that is there to die in this variant, and did it die as declared?
#[must_use]
pub fn died_as_declared(target: &Target, side: &SideOutcome, variant: Variant) -> bool {
    target.death(&side.side, variant).is_some() && ending::as_declared(target, side, variant).is_empty()
}

/// Judges a tree that is no target: nobody says what it must show, so that `pass`
/// means that it was measured, and the table is the answer. A cell in which trials
/// disagree, or nothing but skips, is `inconclusive`.
#[must_use]
pub fn tree(name: &str, version: &str, sides: Vec<SideOutcome>) -> TargetOutcome {
    let mut reasons: Vec<Reason> = sides.iter().flat_map(own_reasons).collect();
    for side in sides.iter().filter(|side| side.verdict == Verdict::Pass) {
        reasons.extend(compare::without_target(side));
    }
    if sides.is_empty() {
        reasons.push(Reason::new(Verdict::Inconclusive, "no side was run"));
    }
    let (verdict, reasons) = fold(reasons);
    TargetOutcome { target: name.to_owned(), version: version.to_owned(), verdict, sides, reasons }
}

/// Judges the boots of a storm, of which `doubts` remain: what is not decided is
/// `inconclusive`, and nothing that is slow is a failure.
#[must_use]
pub fn stormy(name: &str, version: &str, sides: Vec<SideOutcome>, doubts: Vec<String>) -> TargetOutcome {
    let mut reasons: Vec<Reason> = sides.iter().flat_map(own_reasons).collect();
    reasons.extend(doubts.into_iter().map(|doubt| Reason::new(Verdict::Inconclusive, doubt)));
    let (verdict, reasons) = fold(reasons);
    TargetOutcome { target: name.to_owned(), version: version.to_owned(), verdict, sides, reasons }
}

/// A target that stopped with an error: what was judged before stays in the
/// result. `None` for errors that are about the command line and no result at all.
#[must_use]
pub fn stopped(name: &str, version: &str, sides: Vec<SideOutcome>, error: &Error) -> Option<TargetOutcome> {
    Some(ended_early(name, version, sides, error.verdict()?, &error.to_string()))
}

/// As [`stopped`], from what a record keeps of the error.
#[must_use]
pub fn ended_early(
    name: &str,
    version: &str,
    sides: Vec<SideOutcome>,
    verdict: Verdict,
    message: &str,
) -> TargetOutcome {
    let mut reasons: Vec<Reason> = sides.iter().flat_map(own_reasons).collect();
    reasons.push(Reason::new(verdict, message));
    let (verdict, reasons) = fold(reasons);
    TargetOutcome { target: name.to_owned(), version: version.to_owned(), verdict, sides, reasons }
}

/// The outcome of an invocation that an error ended before any kernel was looked
/// at; `None` for errors that are about the command line.
#[must_use]
pub fn without_kernel(error: &Error) -> Option<Outcome> {
    Some(Outcome {
        schema: SCHEMA,
        verdict: error.verdict()?,
        exit: error.exit_code(),
        accel: String::new(),
        targets: Vec::new(),
        run: None,
        reasons: vec![error.to_string()],
    })
}

/// The outcome of a run whose record could not be written to its end.
#[must_use]
pub fn not_kept(outcome: Outcome, error: &anyhow::Error) -> Outcome {
    let verdict = Verdict::Infra;
    let mut reasons = outcome.reasons;
    reasons.insert(0, format!("the record is not complete: {error:#}"));
    Outcome { verdict, exit: verdict.exit_code(), reasons, ..outcome }
}

/// Why a side is no sound evidence; nothing if it is.
fn own_reasons(side: &SideOutcome) -> Vec<Reason> {
    if side.verdict == Verdict::Pass {
        return Vec::new();
    }
    let why = if side.reasons.is_empty() { vec!["for no stated reason".to_owned()] } else { side.reasons.clone() };
    why.into_iter().map(|why| Reason::new(side.verdict, format!("{}: {why}", side.side))).collect()
}

/// The whole invocation: the worst of its targets. No target at all is
/// `inconclusive`, never a pass; the caller should have refused it before.
#[must_use]
pub fn outcome(accel: &str, targets: Vec<TargetOutcome>, run: Option<String>) -> Outcome {
    let verdict = targets.iter().map(|target| target.verdict).max().unwrap_or(Verdict::Inconclusive);
    let said = |target: &TargetOutcome| {
        let reasons = target.reasons.iter().map(|reason| format!("{}: {reason}", target.target));
        reasons.map(|text| Reason::new(target.verdict, text)).collect::<Vec<_>>()
    };
    let (_, mut reasons) = fold(targets.iter().flat_map(said).collect());
    if targets.is_empty() {
        reasons.push("nothing was measured".to_owned());
    }
    Outcome { schema: SCHEMA, verdict, exit: verdict.exit_code(), accel: accel.to_owned(), targets, run, reasons }
}

/// The same of a run that did not measure all that it was to, for the `reasons`: what is
/// not there is no pass.
#[must_use]
pub fn incomplete(mut outcome: Outcome, reasons: Vec<String>) -> Outcome {
    if !reasons.is_empty() {
        outcome.verdict = outcome.verdict.max(Verdict::Inconclusive);
        outcome.exit = outcome.verdict.exit_code();
        outcome.reasons.extend(reasons);
    }
    outcome
}
