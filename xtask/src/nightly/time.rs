// SPDX-License-Identifier: GPL-2.0-only
//! Which target goes first, and which does not fit into the night any more.
//!
//! The one whose last measurement is the oldest goes first, so that a budget that is too
//! small for all takes them in turns. A target is begun if what is left is as long as the
//! longest of its earlier nights, or else as a cold build is guessed to take; the first is
//! always begun. What is still at work when the time is over is ended, and taken out of the
//! record: half a target is no result, but its kernels stay built.
//!
//! Owns: that. Must not: measure by itself.

use std::time::{Duration, Instant};

use super::{Measured, is_comparable, oldest_kernel_first};
use crate::error::Error;
use crate::interrupt::{self, Alarm};
use crate::jobs;
use crate::matrix::{self, Choice, Measure};
use crate::measure::Lab;
use crate::store::Stored;
use crate::target::Target;
use crate::verdict::Verdict;

/// Measures what fits. `history` are the stored runs, oldest first; `engine` measures one
/// target.
///
/// # Errors
/// [`Error::Interrupted`] by a signal; the record cannot be written.
pub fn measure(
    lab: &mut Lab,
    mut choice: Choice,
    budget: Option<Duration>,
    history: &[Stored],
    engine: &mut Measure<'_>,
) -> Result<Measured, Error> {
    // Stable: of those that were never measured, or together, the oldest kernel goes first.
    choice.chosen.sort_by_key(|(target, _)| last(history, lab, &target.name).map(str::to_owned));
    let ends = budget.map(|budget| Instant::now() + budget);
    let (mut left, mut begun) = (Vec::new(), false);
    let mut outcomes = matrix::run_with(lab, &choice, &mut |lab, target, tree| {
        let Some(ends) = ends else { return engine(lab, target, tree) };
        let rest = ends.saturating_duration_since(Instant::now());
        let takes = estimate(history, lab, target);
        if rest.is_zero() || (begun && takes > rest) {
            left.push(does_not_fit(target, takes, rest));
            return Ok(None);
        }
        begun = true;
        let alarm = Alarm::at(ends);
        match engine(lab, target, tree) {
            Err(Error::Interrupted) if !interrupt::signalled() => {
                drop(alarm);
                lab.forget(target)?;
                lab.run.describe(&lab.info)?;
                left.push(format!("{}: missing: it was at work when the time was over", target.name));
                Ok(None)
            }
            other => other,
        }
    })?;
    oldest_kernel_first(&mut outcomes);
    Ok(Measured { outcomes, left })
}

fn does_not_fit(target: &Target, takes: Duration, rest: Duration) -> String {
    let minutes = |time: Duration| time.as_secs().div_ceil(60);
    let (takes, rest) = (minutes(takes), minutes(rest));
    format!("{}: missing: it takes about {takes} min, and {rest} are left of the time", target.name)
}

/// The id of the newest night that measured the target; `None` if there is none.
fn last<'a>(history: &'a [Stored], lab: &Lab, target: &str) -> Option<&'a str> {
    let measured = |run: &&Stored| {
        let outcomes = run.outcome.iter().flat_map(|outcome| &outcome.targets);
        outcomes.into_iter().any(|outcome| outcome.target == target && outcome.verdict != Verdict::Infra)
    };
    nights(history, lab).filter(measured).last().map(|run| run.id.as_str())
}

fn nights<'a>(history: &'a [Stored], lab: &Lab) -> impl Iterator<Item = &'a Stored> {
    history.iter().filter(|run| is_comparable(&run.info) && run.info.variant == lab.variant)
}

/// The longest that it took to measure the same cells; without any such night, a guess.
fn estimate(history: &[Stored], lab: &Lab, target: &Target) -> Duration {
    let alike = |run: &&Stored| run.info.plan.cells == lab.plan.cells && run.info.plan.trials == lab.plan.trials;
    let known = nights(history, lab).filter(alike).flat_map(|run| &run.info.targets);
    let seconds = known.filter(|info| info.target == target.name).filter_map(|info| info.seconds);
    let guess = || Duration::from_secs(60 * u64::from(jobs::minutes(target, lab.variant)));
    let valid = |seconds| Duration::try_from_secs_f64(seconds).ok();
    seconds.max_by(f64::total_cmp).and_then(valid).unwrap_or_else(guess)
}
