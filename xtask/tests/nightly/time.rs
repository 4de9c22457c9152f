// SPDX-License-Identifier: GPL-2.0-only
//! Who goes first, and what does not fit.

use std::time::Duration;

use xtask::error::Error;
use xtask::outcome::TargetOutcome;
use xtask::store::{RunDir, history};
use xtask::verdict::Verdict;

use crate::scene::{GOOD, info, lab, measure, scene, shown, stored};

fn good(target: &str) -> Result<TargetOutcome, Error> {
    Ok(shown(target, GOOD))
}

#[test]
fn the_oldest_measured_goes_first_and_the_oldest_kernel_is_told_first() {
    let (checkout, cache) = scene();
    let checkout = checkout.path();
    stored(checkout, 3, &["xtask", "nightly"], Some(&[("v5.10", GOOD)]));
    stored(checkout, 2, &["xtask", "nightly"], Some(&[("v6.1", GOOD)]));
    stored(checkout, 1, &["xtask", "nightly"], Some(&[("v5.10", GOOD)]));
    // A test is no night.
    stored(checkout, 0, &["xtask", "test"], Some(&[("v7.3", GOOD)]));
    let mut lab = lab(checkout, cache.path(), RunDir::create(checkout).unwrap(), info(&["xtask", "nightly"]));
    let (measured, called) = measure(&mut lab, None, &history(checkout).unwrap(), good);
    assert_eq!(called, ["v7.3", "v6.1", "v5.10"]);
    let told: Vec<_> = measured.unwrap().outcomes.into_iter().map(|outcome| outcome.target).collect();
    assert_eq!(told, ["v5.10", "v6.1", "v7.3"]);
}

#[test]
fn what_does_not_fit_is_said_and_the_first_is_begun_all_the_same() {
    let (checkout, cache) = scene();
    let checkout = checkout.path();
    // One that took a minute; of the others nothing is known, so that they are guessed at.
    stored(checkout, 1, &["xtask", "nightly"], Some(&[("v6.1", GOOD)]));
    let mut lab = lab(checkout, cache.path(), RunDir::create(checkout).unwrap(), info(&["xtask", "nightly"]));
    let budget = Some(Duration::from_secs(90));
    let (measured, called) = measure(&mut lab, budget, &history(checkout).unwrap(), good);
    let measured = measured.unwrap();
    // The first is longer than all the time; the second does not fit; the third does.
    assert_eq!(called, ["v5.10", "v6.1"]);
    assert_eq!(measured.outcomes.len(), 2);
    assert_eq!(measured.left, ["v7.3: missing: it takes about 12 min, and 2 are left of the time"]);
    // And the run as a whole is no pass, however good what was measured is.
    let outcome = xtask::judge::outcome("tcg", measured.outcomes, None);
    assert_eq!((outcome.verdict, outcome.exit), (Verdict::Pass, 0));
    let whole = xtask::judge::incomplete(outcome.clone(), Vec::new());
    assert_eq!(whole, outcome);
    let cut = xtask::judge::incomplete(outcome, measured.left.clone());
    assert_eq!((cut.verdict, cut.exit, &cut.reasons), (Verdict::Inconclusive, 125, &measured.left));
    let recorded: Vec<_> = lab.info.targets.iter().map(|target| target.target.as_str()).collect();
    assert_eq!(recorded, ["v5.10", "v6.1"]);
    assert!(lab.info.targets.iter().all(|target| target.seconds.is_some_and(|seconds| seconds < 60.0)));
}
