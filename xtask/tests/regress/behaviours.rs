// SPDX-License-Identifier: GPL-2.0-only
//! Behaviours of nights: every word, and what proves nothing.

use xtask::diff::Change;
use xtask::outcome::BehaviourOutcome;
use xtask::outcome::BehaviourState::{self, Broken, Right, Skipped, Wrong};
use xtask::regress::{Asked, Night, Told, compare};
use xtask::verdict::Verdict;

use crate::nights::{TARGET, night, same_kernel};

const NAME: &str = "sigkill.anon";

fn shown(number: usize, state: BehaviourState) -> Night {
    let mut night = night(number, Vec::new());
    let seen = BehaviourOutcome { behaviour: NAME.to_owned(), state, saw: "…".to_owned() };
    night.targets[0].sides[0].behaviours.push(seen);
    night
}

fn nights(states: &[BehaviourState]) -> Vec<Night> {
    states.iter().enumerate().map(|(number, state)| shown(number, *state)).collect()
}

fn told(nights: &[Night]) -> Told {
    let (last, past) = nights.split_last().unwrap();
    let asked = Asked { targets: [TARGET.to_owned()].into(), behaviours: [NAME.to_owned()].into(), ..Asked::default() };
    compare(past, last, &asked)
}

/// What is said of it, and the exit code.
fn said(nights: &[Night]) -> (Option<Change>, u8) {
    let told = told(nights);
    (told.lines.iter().find(|line| line.subject == NAME).map(|line| line.change), told.exit_code())
}

#[test]
fn every_pair_has_its_word() {
    for (was, now, expected) in [
        (Right, Right, (None, 0)),
        (Right, Wrong, (Some(Change::New), 100)),
        (Right, Skipped, (Some(Change::Missing), 125)),
        (Wrong, Broken, (Some(Change::Missing), 125)),
        (Wrong, Right, (Some(Change::Fixed), 0)),
        (Wrong, Wrong, (Some(Change::Persistent), 0)),
        // What says nothing is no night before.
        (Skipped, Wrong, (None, 0)),
    ] {
        assert_eq!(said(&nights(&[was, now])), expected, "{was} → {now}");
    }
}

#[test]
fn one_kernel_that_shows_both_is_flaky() {
    let mut nights = nights(&[Right, Wrong]);
    same_kernel(&mut nights, &[0, 1]);
    assert_eq!(said(&nights), (Some(Change::Flaky), 0));
}

#[test]
fn a_night_without_it_misses_it_and_one_that_did_not_ask_does_not() {
    let mut nights = nights(&[Right, Right]);
    nights[1].targets[0].sides[0].behaviours.clear();
    assert_eq!(said(&nights), (Some(Change::Missing), 125));
    let asked = Asked { targets: [TARGET.to_owned()].into(), ..Asked::default() };
    assert_eq!(compare(&nights[..1], &nights[1], &asked).lines, []);
}

#[test]
fn an_unsound_boot_says_nothing_of_it() {
    let mut nights = nights(&[Right, Wrong]);
    nights[1].targets[0].sides[0].verdict = Verdict::Crashed;
    assert_eq!(said(&nights).0, None, "the boot's own line says all");
}
