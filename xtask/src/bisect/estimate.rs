// SPDX-License-Identifier: GPL-2.0-only
//! How long the rest of a bisection takes, from the tests so far.
//!
//! Owns: that estimate, pure. It is meant to be right within a factor of two; a test
//! whose answer another one's turns out to hold for comes sooner. Must not: search, or
//! look at a clock.

use crate::bisect::journal::Test;
use crate::bisect::oracle::{Unjudged, What};

/// What a test costs that compiles the whole kernel, in tests that compile what one
/// change needs: 10 to 27 on 6.1.
const WHOLE: f64 = 16.0;
/// What it costs to compile once more what a compiler cache has seen compiled, in what
/// that cost: 0.16 on 6.1, most of it linking.
const REMEMBERED: f64 = 0.16;

/// What is left to do.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// Tests of the phase under way, at most.
    pub remaining: usize,
    /// How many ends the search has.
    pub ends: usize,
    /// They are looked at once more when the culprit is found.
    pub ends_last: bool,
    /// The search is not over.
    pub searching: bool,
    /// What is found will be confirmed.
    pub confirmed: bool,
    /// Each item has a build folder of its own, in which everything is compiled.
    pub apart: bool,
    /// A compiler cache remembers what was compiled once.
    pub remembered: bool,
}

/// Seconds that all of `rest` will take; `None` before anything was measured.
#[must_use]
pub fn rest(tests: &[&Test], rest: &Rest) -> Option<f64> {
    let step = step(tests, rest.apart)?;
    let booted = tests.iter().map(|test| test.answer.seconds).filter(|seconds| seconds.boot > 0.0);
    let boot = median(booted.map(|seconds| seconds.boot + seconds.test).collect()).unwrap_or(step);
    // The ends, which are looked at once more, are kept kernels.
    let again = if rest.searching && rest.ends_last { rest.ends.min(rest.remaining) } else { 0 };
    let search = step * (rest.remaining - again) as f64 + boot * again as f64;
    if !rest.confirmed {
        return Some(search);
    }
    // What has been the longest was the most that was compiled at once; where that was
    // part of a kernel only, the whole is many times that.
    let longest = tests.iter().map(|test| test.wall).fold(step, f64::max);
    let clean = match tests {
        tests if tests.iter().any(|test| matches!(test.what, What::Clean { .. })) => 0.0,
        tests if !tests.iter().any(|test| whole(test)) => longest.max(step * WHOLE / 2.0),
        // From a cache, too, everything is linked again.
        _ if rest.remembered => (longest * REMEMBERED).max(step * 2.0),
        _ => longest,
    };
    // The culprit's parent is a kept kernel, the newest without it is not.
    let confirm = if rest.searching { boot + step } else { 0.0 };
    Some(search + clean + confirm)
}

/// Seconds that a test takes for which something is compiled: the median. Of one that
/// compiled everything a part counts as one more, since the first build after it, from
/// one end of the range to the other, compiles more than any later one; where all builds
/// are `apart`, the whole counts.
#[must_use]
pub fn step(tests: &[&Test], apart: bool) -> Option<f64> {
    let share = |test: &Test| if whole(test) && !apart { test.wall / WHOLE } else { test.wall };
    let made = tests.iter().filter(|test| compiled(test)).map(|test| share(test));
    median(made.collect()).or_else(|| median(tests.iter().map(|test| test.wall).collect()))
}

/// Was something compiled for it, as for any other item?
fn compiled(test: &Test) -> bool {
    let rebuilt = test.answer.kernel.as_ref().is_some_and(|kernel| kernel.rebuilt);
    !matches!(test.what, What::Clean { .. }) && (rebuilt || test.answer.unjudged == Some(Unjudged::Build))
}

/// Was all of it compiled, from an empty folder?
fn whole(test: &Test) -> bool {
    compiled(test) && test.answer.kernel.as_ref().is_some_and(|kernel| kernel.whole)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(low.midpoint(*high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bisect::evidence::Seen;
    use crate::bisect::journal::Phase;
    use crate::bisect::oracle::{Answer, Made, Seconds};

    /// A test that took `wall` seconds, of which 3 for the boot; `built`: was it made now,
    /// and from an empty folder?
    fn test(what: What, wall: f64, built: Option<bool>) -> Test {
        let mut answer = Answer::unjudged(Unjudged::Build, "");
        (answer.effect, answer.unjudged) = (Seen::Good, None);
        answer.seconds = Seconds { build: wall - 3.0, boot: 1.0, test: 2.0 };
        let (rebuilt, whole) = (built.is_some(), built == Some(true));
        answer.kernel = Some(Made { image: String::new(), sections: None, release: String::new(), rebuilt, whole });
        let (at, id, reason) = (String::new(), String::new(), String::new());
        Test { at, phase: Phase::Search, what, id, reason, seen: Seen::Good, answer, wall, eta: None }
    }

    fn item(wall: f64, built: Option<bool>) -> Test {
        test(What::Item { item: 1 }, wall, built)
    }

    fn seconds(tests: &[Test], rest: Rest) -> Option<f64> {
        super::rest(&tests.iter().collect::<Vec<_>>(), &rest)
    }

    const REST: Rest = Rest {
        remaining: 5,
        ends: 2,
        ends_last: true,
        searching: true,
        confirmed: false,
        apart: false,
        remembered: false,
    };

    #[test]
    fn nothing_is_said_before_anything_was_seen() {
        assert_eq!(seconds(&[], REST), None);
    }

    #[test]
    fn a_whole_build_is_no_measure_of_the_next() {
        // Three incremental steps, and both ends, which only boot.
        assert_eq!(seconds(&[item(320.0, Some(true))], REST), Some(3.0 * 20.0 + 2.0 * 3.0));
        // The way from one end to the other is longer than any later one.
        let both = [item(320.0, Some(true)), item(40.0, Some(false))];
        assert_eq!(seconds(&both, REST), Some(3.0 * 30.0 + 2.0 * 3.0));
        // Of which none is there: the first test is as long as any.
        assert_eq!(seconds(&[item(12.0, Some(false))], REST), Some(3.0 * 12.0 + 2.0 * 3.0));
    }

    #[test]
    fn builds_of_their_own_are_measured_by_each_other() {
        let apart = Rest { apart: true, ends_last: false, ..REST };
        assert_eq!(seconds(&[item(300.0, Some(true))], apart), Some(5.0 * 300.0));
    }

    #[test]
    fn kept_kernels_count_until_something_is_compiled() {
        assert_eq!(seconds(&[item(3.0, None)], REST), Some(5.0 * 3.0));
        assert_eq!(seconds(&[item(3.0, None), item(10.0, Some(false))], REST), Some(3.0 * 10.0 + 2.0 * 3.0));
    }

    #[test]
    fn a_clean_build_is_as_long_as_the_one_seen_or_many_steps() {
        let rest = Rest { confirmed: true, remaining: 0, ..REST };
        let confirm = 3.0 + 10.0;
        let step = || item(10.0, Some(false));
        assert_eq!(seconds(&[item(320.0, Some(true)), item(20.0, Some(false))], rest), Some(320.0 + 3.0 + 20.0));
        let again = Rest { remembered: true, ..rest };
        let seen = seconds(&[item(320.0, Some(true)), item(20.0, Some(false))], again);
        assert_eq!(seen, Some(320.0 * REMEMBERED + 3.0 + 20.0));
        // Everything came from the cache the first time already.
        let warm = seconds(&[item(48.0, Some(true)), step(), step()], again);
        assert_eq!(warm, Some(2.0 * 10.0 + confirm));
        assert_eq!(seconds(&[step()], rest), Some(80.0 + confirm));
        let done = test(What::Clean { item: 1 }, 200.0, Some(true));
        assert_eq!(seconds(&[step(), done], Rest { searching: false, ..rest }), Some(0.0));
    }
}
