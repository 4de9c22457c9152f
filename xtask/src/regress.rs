// SPDX-License-Identifier: GPL-2.0-only
//! What a night shows against the nights before it.
//!
//! A *place* is a cell of a side of a target as one probe meets it, a behaviour of a side,
//! its boot, or the verdict on a target. What a night says of a place counts if the boot was
//! sound and the cell has [`MIN_TRIALS`](sizes::MIN_TRIALS) trials that count; a held
//! lock, a behaviour that is wrong, a crash, a build that fails are *bad*, a released one, a
//! right one and a pass are *good*.
//! *Before* is the newest earlier night that says something of the place, out of the
//! [`WINDOW`] newest ones of its target.
//!
//! | word | before | this night |
//! |---|---|---|
//! | `new` | good | bad, or trials disagree; or good, and a quantile of its waits has grown |
//! | `fixed` | bad | good |
//! | `persistent` | bad | bad; the line says since when, and when it was good |
//! | `flaky` | differs, and chance explains it: the very same kernel has shown both, trials disagreed before, or with this one it is the third change in the window | |
//! | `missing` | something | nothing: not measured, or in a boot that proves nothing |
//! | `unchanged` | good | good, and no quantile has grown; also a place that is seen first |
//!
//! Noise. *States* are right at any speed: all trials of a cell agree, or it is `mixed`.
//! So any change counts at once, without a second opinion, unless it is `flaky`. *Waits*
//! are noisy: a quantile counts as grown by the rule of [`sizes`], against the highest
//! of at least [`SAMPLES`](sizes::SAMPLES) earlier nights in which the target passed and
//! the cell was released, of the same accelerator and hold.
//!
//! A *storm* is a place for each probe of a side, of which a night says something if it was to
//! make one: bad if its waits have grown, again by the rule of [`sizes`], against the good nights
//! before it in the window, of the same accelerator and the same storm. So a storm that stays
//! slow is `persistent` and no part of what is usual, until the good nights have left the window.
//! With p99s that vary by a factor of two over four boots (a quiet host: 1.3; a busy one: 6, too much
//! for nights), one night of a place in a hundred at most is `new` by chance; four times as long is seen at
//! once in seven cases of ten, six times in nine of ten.
//!
//! False alarms, as the simulations in `tests/regress` show them: of places that do not
//! change none is `new` for its state, and for its waits (log-normal medians that vary by a
//! factor of 1.7 over ten nights, as measured) none in 20 000 nights of a place; a median
//! that is three times what it was is seen at once in five cases of six, one of four times
//! in 98 of 100. A cell whose trials disagree by chance in one boot of ten is `new` in one night of
//! 25 if each night has another kernel, and in none if it is the same.
//!
//! Nights of another variant are not compared with; whoever calls leaves them out. Must
//! not: read records, or render.

mod behaviour;
mod storm;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diff::{Change, NOTHING, Seen, change, exit_code, of_cell, of_verdict};
use crate::outcome::{CellOutcome, SideOutcome, TargetOutcome};
use crate::sizes::{self, slower};
use crate::store::{Reference, Stored};
use crate::verdict::Verdict;

/// Earlier nights of a target that are looked at.
pub const WINDOW: usize = 10;

/// In front of the target whose committed evidence a night is.
const REFERENCE: &str = "reference/";

/// So many changes of state in the window are chance.
pub const CHANGES: usize = 3;

/// What one night showed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Night {
    /// Its run's id, or `reference/TARGET`.
    pub run: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// The nominal hold, in milliseconds.
    pub hold_ms: u32,
    /// What was measured.
    pub targets: Vec<TargetOutcome>,
    /// The hash of each kernel, by target and side.
    pub kernels: BTreeMap<(String, String), String>,
}

/// What a night was to measure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names of targets.
    pub targets: BTreeSet<String>,
    /// Names of cells, e.g. `anon.sync.read`, and their windows.
    pub cells: BTreeSet<(String, u32)>,
    /// Names of behaviours, e.g. `sigkill.anon`.
    pub behaviours: BTreeSet<String>,
    /// Was there to be a storm?
    pub storm: bool,
}

/// A place of which there is something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What became of it.
    pub change: Change,
    /// The target's name.
    pub target: String,
    /// The side; `None` for the target as a whole.
    pub side: Option<String>,
    /// `anon.sync.read@1.writer`, `boot` or `verdict`.
    pub subject: String,
    /// Before.
    pub was: String,
    /// The run that showed that; `None` if there is none.
    pub was_run: Option<String>,
    /// This night.
    pub now: String,
    /// This night's run.
    pub now_run: String,
    /// The newest run in which it was good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// The first of the runs in a row in which it is bad, if it is `persistent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// All that is to be said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// In the order of targets and cells.
    pub lines: Vec<Line>,
    /// Places without a line.
    pub unchanged: usize,
}

impl Told {
    /// 100 if something is new, 125 if something is missing, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        exit_code(self.lines.iter().map(|line| line.change))
    }
}

impl Night {
    /// Of a run; `None` if it did not end.
    #[must_use]
    pub fn of(run: &Stored) -> Option<Self> {
        let outcome = run.outcome.as_ref()?;
        let hash = |target: &crate::store::TargetInfo| {
            let name = target.target.clone();
            let of = move |side: &crate::store::SideInfo| ((name.clone(), side.side.clone()), side.kernel_hash.clone());
            target.sides.iter().map(of).collect::<Vec<_>>()
        };
        Some(Self {
            run: run.id.clone(),
            accel: outcome.accel.clone(),
            hold_ms: run.info.plan.hold_ms,
            targets: outcome.targets.clone(),
            kernels: run.info.targets.iter().flat_map(hash).collect(),
        })
    }

    /// Of the committed evidence: only a pass becomes that.
    #[must_use]
    pub fn of_reference(reference: Reference) -> Self {
        let Reference { target, version, accel, hold_ms, sides, .. } = reference;
        let run = format!("{REFERENCE}{target}");
        let passed = TargetOutcome { target, version, verdict: Verdict::Pass, sides, reasons: Vec::new() };
        Self { run, accel, hold_ms, targets: vec![passed], kernels: BTreeMap::new() }
    }

    /// Is it committed evidence?
    #[must_use]
    pub fn is_reference(&self) -> bool {
        is_reference(&self.run)
    }

    fn target(&self, name: &str) -> Option<&TargetOutcome> {
        self.targets.iter().find(|target| target.target == name)
    }

    fn side(&self, target: &str, side: &str) -> Option<&SideOutcome> {
        self.target(target)?.sides.iter().find(|of| of.side == side)
    }

    /// The kernel of a side, or of all sides.
    fn kernels_of(&self, target: &str, side: Option<&str>) -> Vec<(&str, &str)> {
        let of = |(key, hash): (&'_ (String, String), &'_ String)| {
            key.0 == target && side.is_none_or(|side| key.1 == side) && !hash.is_empty()
        };
        self.kernels.iter().filter(|entry| of(*entry)).map(|(key, hash)| (key.1.as_str(), hash.as_str())).collect()
    }
}

/// Is a night of this name committed evidence?
#[must_use]
pub fn is_reference(run: &str) -> bool {
    run.starts_with(REFERENCE)
}

/// Compares a night with those before it, which are the oldest first.
#[must_use]
pub fn compare(past: &[Night], night: &Night, asked: &Asked) -> Told {
    let mut told = Told::default();
    for name in &asked.targets {
        let mut nights: Vec<&Night> = past.iter().filter(|night| night.target(name).is_some()).collect();
        nights.drain(..nights.len().saturating_sub(WINDOW));
        Compared { past: nights, night, asked, target: name, told: &mut told }.target();
    }
    told
}

/// What one night says of a place.
struct Sample<'a> {
    night: &'a Night,
    seen: Option<Seen>,
    word: String,
}

struct Compared<'a> {
    /// Nights that measured the target.
    past: Vec<&'a Night>,
    night: &'a Night,
    asked: &'a Asked,
    target: &'a str,
    told: &'a mut Told,
}

impl<'a> Compared<'a> {
    fn target(mut self) {
        let name = self.target;
        let verdict = |night: &'a Night| night.target(name).map(|of| (of_verdict(of.verdict), of.verdict.to_string()));
        self.place(None, "verdict", &verdict);
        let Some(now) = self.night.target(name) else { return };
        for side in self.sides(now) {
            let boot =
                |night: &'a Night| night.side(name, side).map(|of| (of_verdict(of.verdict), of.verdict.to_string()));
            self.place(Some(side), "boot", &boot);
            // A boot that is not sound proves nothing of its cells; its own line says so.
            if self.night.side(name, side).is_some_and(|side| side.verdict == Verdict::Pass) {
                self.cells(side);
                self.behaviours(side);
                self.storm(side);
            }
        }
    }

    /// The sides of this night, and of the one before. Not of one that ended before its
    /// kernels were built: its verdict says all.
    fn sides(&self, now: &'a TargetOutcome) -> Vec<&'a str> {
        let mut sides: Vec<&str> = now.sides.iter().map(|side| side.side.as_str()).collect();
        let before = self.past.last().and_then(|night| night.target(self.target));
        for side in before.iter().filter(|_| !now.sides.is_empty()).flat_map(|before| &before.sides) {
            if !sides.contains(&side.side.as_str()) {
                sides.push(&side.side);
            }
        }
        sides
    }

    fn cells(&mut self, side: &'a str) {
        let name = self.target;
        let mut places: Vec<&'a CellOutcome> = Vec::new();
        for night in [self.night].into_iter().chain(self.past.iter().rev().copied()) {
            let sound = night.side(name, side).filter(|side| side.verdict == Verdict::Pass);
            for cell in sound.iter().flat_map(|side| &side.cells).filter(|cell| !cell.is_control()) {
                let asked = self.asked.cells.contains(&(cell.cell.clone(), cell.window));
                if asked && !places.iter().any(|known| known.is_same_place(cell)) {
                    places.push(cell);
                }
            }
        }
        for place in places {
            let subject = place.place();
            let of = |night: &'a Night| {
                let cell = found(night, name, side, place)?;
                let enough = cell.n >= sizes::MIN_TRIALS;
                Some((of_cell(cell).filter(|_| enough), cell.state.to_string()))
            };
            if self.place(Some(side), &subject, &of) == Some(Seen::Good) {
                self.waits(side, &subject, place);
            }
        }
    }

    /// Says what became of a place; gives the state if it is without a line.
    fn place(
        &mut self,
        side: Option<&str>,
        subject: &str,
        of: &dyn Fn(&'a Night) -> Option<(Option<Seen>, String)>,
    ) -> Option<Seen> {
        let sample = |night: &'a Night| of(night).map(|(seen, word)| Sample { night, seen, word });
        let past: Vec<Sample<'_>> =
            self.past.iter().filter_map(|night| sample(night)).filter(|sample| sample.seen.is_some()).collect();
        let now = sample(self.night);
        let seen = now.as_ref().and_then(|now| now.seen);
        let word = now.map_or_else(|| NOTHING.to_owned(), |now| now.word);
        let Some(before) = past.last() else {
            // Seen first, or never: of a whole target, that is to be said.
            if seen.is_none() && side.is_none() {
                self.say(Change::Missing, None, subject, (NOTHING.to_owned(), None), word);
            } else {
                self.told.unchanged += 1;
            }
            return seen;
        };
        let flaky = self.same_kernel_differs(side, &past, &word) || restless(&past, &word);
        let was = (before.word.clone(), Some(before.night.run.clone()));
        let Some(change) = change(before.seen, seen, flaky) else {
            self.told.unchanged += 1;
            return seen;
        };
        self.say(change, side, subject, was, word);
        if let Some(line) = self.told.lines.last_mut() {
            let run = |sample: &Sample<'_>| sample.night.run.clone();
            line.good = past.iter().rfind(|sample| sample.seen == Some(Seen::Good)).map(run);
            let bad = past.iter().rev().take_while(|sample| sample.seen != Some(Seen::Good)).last();
            line.since = bad.filter(|_| change == Change::Persistent).map(run);
        }
        None
    }

    fn say(
        &mut self,
        change: Change,
        side: Option<&str>,
        subject: &str,
        (was, was_run): (String, Option<String>),
        now: String,
    ) {
        self.told.lines.push(Line {
            change,
            target: self.target.to_owned(),
            side: side.map(str::to_owned),
            subject: subject.to_owned(),
            was,
            was_run,
            now,
            now_run: self.night.run.clone(),
            good: None,
            since: None,
        });
    }

    /// Has this night's very kernel shown something else before? Of a target: have all of its kernels?
    fn same_kernel_differs(&self, side: Option<&str>, past: &[Sample<'_>], word: &str) -> bool {
        let kernels = self.night.kernels_of(self.target, side);
        let same = |night: &Night| !kernels.is_empty() && night.kernels_of(self.target, side) == kernels;
        past.iter().any(|sample| same(sample.night) && sample.word != word)
    }

    /// Adds a line if the waits of a released cell have grown.
    fn waits(&mut self, side: &str, subject: &str, place: &CellOutcome) {
        let (name, night) = (self.target, self.night);
        let alike = |past: &&&Night| past.accel == night.accel && past.hold_ms == night.hold_ms;
        let good = |past: &&&Night| past.target(name).is_some_and(|target| target.verdict == Verdict::Pass);
        let usable: Vec<&Night> = self.past.iter().filter(alike).filter(good).copied().collect();
        let samples: Vec<&CellOutcome> = usable.iter().filter_map(|night| found(night, name, side, place)).collect();
        let Some(grown) = found(night, name, side, place).and_then(|now| slower(&samples, now)) else { return };
        let run = usable.last().map(|night| night.run.clone());
        self.told.unchanged -= 1;
        self.say(
            Change::New,
            Some(side),
            subject,
            (format!("released, {}", grown.was()), run.clone()),
            format!("released, {}", grown.is()),
        );
        if let Some(line) = self.told.lines.last_mut() {
            line.good = run;
        }
    }
}

/// Is the step to this night one of many in the window?
fn restless(past: &[Sample<'_>], now: &str) -> bool {
    let words: Vec<&str> = past.iter().map(|sample| sample.word.as_str()).chain([now]).collect();
    words.windows(2).filter(|pair| pair[0] != pair[1]).count() >= CHANGES
}

/// A cell of a sound boot.
fn found<'a>(night: &'a Night, target: &str, side: &str, place: &CellOutcome) -> Option<&'a CellOutcome> {
    let side = night.side(target, side).filter(|side| side.verdict == Verdict::Pass)?;
    side.cell_at(place)
}
