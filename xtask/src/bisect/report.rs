// SPDX-License-Identifier: GPL-2.0-only
//! What a bisection has found, for a terminal, a program, and a mail.
//!
//! Owns: the JSON of `--json` and `report.json` (schema 1: extend it, never rename),
//! and the log in git's words. Pure but for the clock. Must not: decide; the end and
//! the journal say everything.

mod text;

use serde::Serialize;

use crate::bisect::confirm::{Confirmation, Standing};
use crate::bisect::driver::{End, effect_word};
use crate::bisect::evidence::{Direction, Observation, Seen, Tally};
use crate::bisect::items::{Items, Kind};
use crate::bisect::journal::{Journal, Phase, Test};
use crate::bisect::log::{Log, Mark};
use crate::bisect::noise::Noise;
use crate::bisect::oracle::{Seconds, Unjudged, What};
use crate::bisect::step::{Conflict, Open};
use crate::outcome::CellState;
use crate::report::place_of_wait;

/// Frames of a stack that are told.
const FRAMES: usize = 6;

/// The whole result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this format.
    pub schema: u32,
    /// The bisection's folder below results/bisect.
    pub id: String,
    /// What was searched.
    pub kind: Kind,
    /// `break` or `fix`.
    pub find: Direction,
    /// `found`, `unconfirmed`, `refused`, `undecided`, `contradiction` or `paused`.
    pub verdict: &'static str,
    /// The process's exit code.
    pub exit: u8,
    /// Who it was.
    pub culprit: Option<Named>,
    /// The probability that it is another one, at most.
    pub error_bound: f64,
    /// How often boots disagreed with it, where single ones may be wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// What speaks for it beside the search.
    pub confirmation: Confirmation,
    /// Who it can be, if that is not known.
    pub candidates: Vec<Named>,
    /// Why there is no culprit.
    pub why: Option<String>,
    /// What was seen in the search.
    pub evidence: Tally,
    /// Items that could not be judged.
    pub skipped: Vec<Skipped>,
    /// What the old side showed beside the culprit.
    pub before: Vec<Shown>,
    /// What the culprit showed.
    pub after: Vec<Shown>,
    /// Every test, in order.
    pub steps: Vec<StepTold>,
    /// Seconds of all tests together.
    pub wall: f64,
    /// The command line that made it.
    pub reproduce: String,
    /// For `git bisect replay`; of what is no history in the same form.
    pub log: String,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its index; of a patch its number.
    pub item: usize,
    /// Its id.
    pub id: String,
    /// Subject, version or symbol.
    pub name: String,
}

/// An item that could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which.
    #[serde(flatten)]
    pub item: Named,
    /// The kind of it.
    pub kind: Option<Unjudged>,
    /// In words.
    pub why: String,
}

/// Cells that showed the same in the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What they showed.
    pub state: CellState,
    /// Who waited for the IO, innermost first.
    pub stack: Vec<String>,
    /// `cell@window probe`.
    pub cells: Vec<String>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepTold {
    /// Of what.
    pub what: String,
    /// Why this one.
    pub reason: String,
    /// `good`, `bad` or `skip`, as the user means them.
    pub effect: &'static str,
    /// Why.
    pub why: String,
    /// Whose answer it is, if nothing was booted.
    pub inherited: Option<String>,
    /// Where the time went.
    pub seconds: Seconds,
    /// All of its time.
    pub wall: f64,
    /// What was thought before it to be left, in seconds.
    pub eta: Option<f64>,
}

impl Report {
    /// What is known at this end.
    #[must_use]
    pub fn new(items: &Items, journal: &Journal, end: &End) -> Self {
        let named = |item: usize| {
            let of = items.item(item);
            Named { item, id: of.id, name: of.name }
        };
        let (mut evidence, mut skipped) = (Tally::default(), Vec::new());
        // In the user's words: `bad` has the effect, whatever is looked for.
        let direction = journal.header.direction();
        for seen in journal.observations() {
            evidence.add(&Observation { seen: direction.fold(seen.seen), ..seen });
        }
        for test in journal.tests().filter(|test| test.seen == Seen::Skip && test.phase == Phase::Search) {
            let Some(item) = test.what.item() else { continue };
            skipped.push(Skipped { item: named(item), kind: test.answer.unjudged, why: test.answer.why.clone() });
        }
        let words = journal.header.argv.iter().skip(1).map(String::as_str);
        let mut report = Self {
            schema: 1,
            id: journal.id().to_owned(),
            kind: items.kind,
            find: journal.header.direction(),
            verdict: "paused",
            exit: 125,
            culprit: None,
            error_bound: 0.0,
            noise: None,
            confirmation: Confirmation::default(),
            candidates: Vec::new(),
            why: None,
            evidence,
            skipped,
            before: Vec::new(),
            after: Vec::new(),
            steps: journal.tests().map(|test| told(items, test)).collect(),
            wall: journal.tests().map(|test| test.wall).fold(0.0, |all, wall| all + wall),
            reproduce: shell_words::join(["cargo", "xtask"].into_iter().chain(words)),
            log: log(items, journal, None),
        };
        match end {
            End::Found { item, error_bound, confirmation } => {
                report.found(items, journal, *item, confirmation);
                (report.culprit, report.error_bound) = (Some(named(*item)), *error_bound);
            }
            End::Undecided { candidates, error_bound, why, wanted } => {
                (report.verdict, report.error_bound) = ("undecided", *error_bound);
                report.candidates = candidates.iter().map(|&item| named(item)).collect();
                report.why = Some(match (items.kind, why) {
                    (Kind::Hunks, Open::Skipped) => {
                        "these hunks need each other: none of them builds without the next".to_owned()
                    }
                    _ => open(*why, *wanted),
                });
            }
            End::Contradiction(conflict) => {
                (report.verdict, report.why) = ("contradiction", Some(explain(items, journal, conflict)));
            }
            End::Paused { why } => report.why = Some(why.clone()),
        }
        report
    }

    fn found(&mut self, items: &Items, journal: &Journal, item: usize, confirmation: &Confirmation) {
        (self.verdict, self.exit) = match confirmation.standing {
            Standing::Confirmed | Standing::Unasked => ("found", 0),
            Standing::Unconfirmed => ("unconfirmed", 125),
            Standing::Refused => ("refused", 125),
        };
        self.confirmation = confirmation.clone();
        self.noise = noise(items, journal, item);
        if self.exit == 0 && self.noise.is_some_and(|noise| !noise.is_credible()) {
            (self.verdict, self.exit) = ("unconfirmed", 125);
            self.why = Some(
                "boots disagree with it more often than --noise says: search again with the rate below".to_owned(),
            );
        }
        let parents = items.graph.parents(item);
        self.before =
            parents.iter().map(|&parent| shown(journal, parent)).find(|all| !all.is_empty()).unwrap_or_default();
        self.after = shown(journal, item);
        self.log = log(items, journal, Some(item));
    }
}

/// Of a search that was told that single boots may be wrong.
fn noise(items: &Items, journal: &Journal, culprit: usize) -> Option<Noise> {
    let policy = journal.header.policy;
    let assumed = policy.false_bad.max(policy.false_good);
    (!policy.is_honest()).then(|| Noise::of(&items.graph, culprit, &journal.observations(), assumed))
}

fn told(items: &Items, test: &Test) -> StepTold {
    let what = match test.what {
        What::Item { item } | What::Clean { item } => items.title(item),
        What::Reverted { tip, culprit } => format!("{} without {}", items.title(tip), items.title(culprit)),
    };
    let answer = &test.answer;
    StepTold {
        what,
        reason: test.reason.clone(),
        effect: effect_word(answer.effect),
        why: answer.why.clone(),
        inherited: answer.inherited.as_ref().map(|from| format!("{}: {}", items.title(from.from), from.because)),
        seconds: answer.seconds,
        wall: test.wall,
        eta: test.eta,
    }
}

/// What the last test of an item showed, cells of one state and stack together.
fn shown(journal: &Journal, item: usize) -> Vec<Shown> {
    let of = |test: &&Test| test.what == What::Item { item } && !test.answer.cells.is_empty();
    let Some(test) = journal.tests().filter(of).last() else { return Vec::new() };
    let mut all: Vec<Shown> = Vec::new();
    for cell in &test.answer.cells {
        let stack: Vec<String> = place_of_wait(&cell.holder, FRAMES).into_iter().map(str::to_owned).collect();
        let name = format!("{}@{} {}", cell.cell, cell.window, cell.probe);
        match all.iter_mut().find(|shown| shown.state == cell.state && shown.stack == stack) {
            Some(shown) => shown.cells.push(name),
            None => all.push(Shown { state: cell.state, stack, cells: vec![name] }),
        }
    }
    all
}

/// The search in git's words.
#[must_use]
pub fn log(items: &Items, journal: &Journal, found: Option<usize>) -> String {
    let mark = |item: usize, seen: Seen, note: String| {
        let of = items.item(item);
        Mark { id: of.id, subject: of.name, seen, note }
    };
    let ends =
        items.bads.iter().map(|&item| (item, Seen::Bad)).chain(items.goods.iter().map(|&item| (item, Seen::Good)));
    let mut marks: Vec<Mark> = ends.map(|(item, seen)| mark(item, seen, "as given".to_owned())).collect();
    for seen in journal.observations() {
        let end = items.bads.contains(&seen.item) || items.goods.contains(&seen.item);
        if !end {
            let note = seen.from.map_or_else(String::new, |from| format!("inherited from {}", items.title(from)));
            marks.push(mark(seen.item, seen.seen, note));
        }
    }
    let found = found.map(|item| (items.item(item).id, items.item(item).name));
    Log { direction: journal.header.direction(), paths: Vec::new(), marks, found }.text()
}

fn open(why: Open, wanted: Option<usize>) -> String {
    let why = match why {
        Open::Skipped => "only items that cannot be judged are left to test",
        Open::Budget => "all tests that are allowed were made",
        Open::Uninformative => "the answers are no better than a coin's",
        Open::Endpoint => "an end cannot be judged",
        Open::MergeBase => "where a branch began cannot be judged",
    };
    wanted.map_or_else(|| why.to_owned(), |wanted| format!("{why}; about {wanted} more tests would decide"))
}

/// A conflict with names instead of numbers, and what was measured.
fn explain(items: &Items, journal: &Journal, conflict: &Conflict) -> String {
    let seen = |item: usize| {
        let last = journal.tests().filter(|test| test.what.item() == Some(item)).last();
        let answer = last.map(|test| format!("{} ({})", effect_word(test.answer.effect), test.answer.why));
        answer.unwrap_or_else(|| "not tested".to_owned())
    };
    let title = |item: usize| items.title(item);
    match conflict {
        Conflict::GoodIsBad { item } | Conflict::BadIsGood { item } => format!(
            "the end {} does not show what was said of it, but {}; narrow what is looked for with --cell, or name other ends",
            title(*item),
            seen(*item)
        ),
        Conflict::MergeBaseBad { base, good } => {
            format!("{}, where the branch of {} began, is {}", title(*base), title(*good), seen(*base))
        }
        Conflict::GoodContainsBad { good, bad } => {
            format!("{} is {}, and contains {}, which is {}", title(*good), seen(*good), title(*bad), seen(*bad))
        }
        Conflict::BothSeen { item } | Conflict::Drift { item } => {
            format!(
                "{} was seen both ways, at last {}: something changes that is not the kernel",
                title(*item),
                seen(*item)
            )
        }
        other => other.to_string(),
    }
}
