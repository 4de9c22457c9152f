// SPDX-License-Identifier: GPL-2.0-only
//! The loop: step, ask, write down, until there is an answer.
//!
//! ```text
//! Journal ─observations→ step ─Test→ Oracle ─Answer→ Journal …
//!                          ├─Found→ confirm ─→ End::Found
//!                          └─Undecided · Contradiction ─→ End
//! ```
//!
//! Owns: the order of it, retries after a failure of the host, the wall-clock
//! budget. All state is in the journal: a driver that is made anew goes on where the
//! last one ended. Must not: search (`step` does), estimate or build.

use std::time::{Duration, Instant};

use crate::bisect::confirm::{self, Confirmation};
use crate::bisect::estimate::{self, Rest};
use crate::bisect::evidence::Seen;
use crate::bisect::items::{Items, Kind};
use crate::bisect::journal::{Event, Journal, Phase, Test, word};
use crate::bisect::oracle::{Answer, Ask, Oracle, What};
use crate::bisect::step::{Conflict, Open, Reason, Step, step};
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;

/// How long it may take, and what is done about a failing host.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How often a question is asked before the host is given up.
    pub attempts: usize,
    /// How long to wait before the second attempt; twice as long before each further one.
    pub pause: Duration,
    /// Wall time after which no test is begun.
    pub budget: Option<Duration>,
    /// Confirm what is found.
    pub confirm: bool,
    /// A compiler cache remembers what was compiled once; only the estimate asks.
    pub remembered: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_secs(5), budget: None, confirm: true, remembered: false }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// This one it is.
    Found {
        /// The first item on the new side.
        item: usize,
        /// The probability that it is another one, at most.
        error_bound: f64,
        /// What spoke for it beside the search.
        confirmation: Confirmation,
    },
    /// More tests would not tell.
    Undecided {
        /// What it can be, the likeliest first.
        candidates: Vec<usize>,
        /// The probability that it is none of these, at most.
        error_bound: f64,
        /// Why it stays open.
        why: Open,
        /// About how many more tests would decide.
        wanted: Option<usize>,
    },
    /// What was seen cannot be true of any single culprit.
    Contradiction(Conflict),
    /// Put down; can be taken up again.
    Paused {
        /// Why.
        why: String,
    },
}

/// A bisection under way.
pub struct Driver<'a> {
    /// What is searched.
    pub items: &'a Items,
    /// What was seen.
    pub journal: &'a mut Journal,
    /// Who looks.
    pub oracle: &'a mut dyn Oracle,
    /// Where progress goes.
    pub progress: &'a Progress,
    /// How long.
    pub limits: Limits,
    /// The log in git's words, from the journal.
    pub log: &'a dyn Fn(&Items, &Journal, Option<usize>) -> String,
}

/// Why there is no answer to one question.
enum Stop {
    Paused(String),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error.into())
    }
}

impl Driver<'_> {
    /// Goes on from the journal to an end.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; the journal cannot be written. A failing host is no
    /// error: the bisection is put down.
    pub fn run(&mut self) -> Result<End, Error> {
        let started = Instant::now();
        let end = match self.search(started) {
            Ok(end) => end,
            Err(Stop::Paused(why)) => End::Paused { why },
            Err(Stop::Error(error)) => return Err(error),
        };
        if let End::Paused { why } = &end {
            let (at, wall, why) = (now(), started.elapsed().as_secs_f64(), why.clone());
            self.journal.append(Event::Stopped { at, wall, why })?;
        }
        Ok(end)
    }

    fn search(&mut self, started: Instant) -> Result<End, Stop> {
        loop {
            interrupt::check()?;
            let policy = self.journal.header.policy;
            let seen = self.journal.observations();
            match step(&self.items.graph, &self.items.goods, &self.items.bads, &seen, &policy) {
                Step::Test { item, reason, remaining, candidates } => {
                    let fresh = reason == Reason::Recheck || seen.iter().any(|observation| observation.item == item);
                    let nouns = if candidates == 1 { self.items.kind.noun() } else { self.items.kind.nouns() };
                    self.progress.say(format!(
                        "step {}: {} ({}; {candidates} {nouns} left)",
                        self.journal.tests().count() + 1,
                        self.items.title(item),
                        word(reason)
                    ));
                    let ask = Ask { what: What::Item { item }, fresh };
                    self.test(Phase::Search, ask, word(reason), remaining, started)?;
                }
                Step::Found { item, error_bound, .. } => {
                    self.journal.write_log(&(self.log)(self.items, self.journal, Some(item)))?;
                    let confirmation = self.confirm(item, started)?;
                    return Ok(End::Found { item, error_bound, confirmation });
                }
                Step::Undecided { candidates, error_bound, why, wanted } => {
                    return Ok(End::Undecided { candidates, error_bound, why, wanted });
                }
                Step::Contradiction(conflict) => return Ok(End::Contradiction(conflict)),
            }
        }
    }

    fn confirm(&mut self, item: usize, started: Instant) -> Result<Confirmation, Stop> {
        if !self.limits.confirm {
            return Ok(Confirmation::default());
        }
        self.progress.say(format!("to confirm: {}", self.items.title(item)));
        let needed = confirm::needed(self.items, item);
        for (at, what) in needed.iter().enumerate() {
            if confirm::refused(self.items, self.journal, item).is_some() {
                break;
            }
            if self.journal.confirmation(*what).is_none() {
                let ask = Ask { what: *what, fresh: true };
                self.test(Phase::Confirm, ask, confirm::word(*what), needed.len() - at, started)?;
            }
        }
        Ok(confirm::weigh(self.items, self.journal, item))
    }

    /// Asks one question and writes the answer down.
    fn test(&mut self, phase: Phase, ask: Ask, reason: &str, remaining: usize, started: Instant) -> Result<(), Stop> {
        let eta = self.eta(phase, remaining);
        self.within_budget(started)?;
        let began = Instant::now();
        let answer = self.ask(ask)?;
        let direction = self.journal.header.direction();
        let seen = direction.fold(answer.effect);
        let id = match ask.what {
            What::Item { item } | What::Clean { item } => self.items.item(item).id,
            What::Reverted { tip, culprit } => {
                format!("{} without {}", self.items.item(tip).id, self.items.item(culprit).id)
            }
        };
        let (at, reason, wall) = (now(), reason.to_owned(), began.elapsed().as_secs_f64());
        let test = Test { at, phase, what: ask.what, id, reason, seen, answer, wall, eta };
        self.journal.append(Event::Test(Box::new(test.clone())))?;
        // With this test's own times in the estimate.
        self.told(&test, remaining);
        self.journal.write_log(&(self.log)(self.items, self.journal, None))?;
        Ok(())
    }

    /// Asks until the host lets the oracle answer, or has failed too often.
    fn ask(&mut self, ask: Ask) -> Result<Answer, Stop> {
        let mut pause = self.limits.pause;
        for attempt in 1.. {
            interrupt::check()?;
            match self.oracle.ask(ask) {
                Ok(answer) => return Ok(answer),
                Err(Error::Infra(error)) => {
                    let message = format!("{error:#}");
                    self.progress.say(format!("the host failed, which says nothing about the kernel: {message}"));
                    self.journal.append(Event::Infra { at: now(), what: ask.what, message: message.clone() })?;
                    if attempt >= self.limits.attempts {
                        return Err(Stop::Paused(format!("the host failed {attempt} times: {message}")));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            wait(pause)?;
            pause *= 2;
        }
        Err(Stop::Paused("no attempt is allowed".to_owned()))
    }

    fn within_budget(&self, started: Instant) -> Result<(), Stop> {
        let Some(budget) = self.limits.budget else { return Ok(()) };
        let tests: Vec<&Test> = self.journal.tests().collect();
        let next = estimate::step(&tests, self.items.kind == Kind::Releases).unwrap_or_default();
        if started.elapsed() + Duration::from_secs_f64(next) < budget {
            return Ok(());
        }
        Err(Stop::Paused(format!("the budget of {} s is used up", budget.as_secs())))
    }

    /// Seconds that all the rest will take; `None` before anything was measured.
    fn eta(&self, phase: Phase, remaining: usize) -> Option<f64> {
        let rest = Rest {
            remaining,
            ends: self.items.goods.len() + self.items.bads.len(),
            ends_last: self.journal.header.policy.endpoints.last(),
            searching: phase == Phase::Search,
            confirmed: self.limits.confirm,
            apart: self.items.kind == Kind::Releases,
            remembered: self.limits.remembered,
        };
        let tests: Vec<&Test> = self.journal.tests().collect();
        estimate::rest(&tests, &rest)
    }

    fn told(&self, test: &Test, remaining: usize) {
        let seconds = test.answer.seconds;
        let times = match &test.answer.inherited {
            Some(inherited) => format!("inherited from {}: {}", self.items.title(inherited.from), inherited.because),
            None => format!("build {:.1} s, boot {:.1} s, test {:.1} s", seconds.build, seconds.boot, seconds.test),
        };
        let left = match (self.eta(test.phase, remaining.saturating_sub(1)), remaining) {
            (Some(eta), 2..) => format!("; about {} more, {}", remaining - 1, minutes(eta)),
            _ => String::new(),
        };
        let effect = effect_word(test.answer.effect);
        self.progress.say(format!("  {effect}: {} ({times}{left})", test.answer.why));
    }
}

/// `good`, `bad` or `skip`, as the user means them: `bad` has the effect.
#[must_use]
pub fn effect_word(effect: Seen) -> &'static str {
    match effect {
        Seen::Good => "good",
        Seen::Bad => "bad",
        Seen::Skip => "skip",
    }
}

/// A time for people.
#[must_use]
pub fn minutes(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

fn wait(time: Duration) -> Result<(), Error> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(50).min(time));
    }
    Ok(())
}

/// RFC 3339.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}
