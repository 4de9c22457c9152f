// SPDX-License-Identifier: GPL-2.0-only
//! A night that was cut off.

use jiff::{SignedDuration, Timestamp};
use xtask::error::Error;
use xtask::nightly::unfinished;
use xtask::store::{NightInfo, RunDir, read_info, write_night};

use crate::scene::{GOOD, info, lab, measure, scene, shown, stored, words};

#[test]
fn what_is_finished_is_not_done_again() {
    let (checkout, cache) = scene();
    let checkout = checkout.path();
    let argv = ["xtask", "nightly", "--budget", "3h"];
    let mut first = lab(checkout, cache.path(), RunDir::create(checkout).unwrap(), info(&argv));
    let (ended, called) = measure(&mut first, None, &[], |target| {
        if target == "v6.1" { Err(Error::Interrupted) } else { Ok(shown(target, GOOD)) }
    });
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
    assert_eq!(called, ["v5.10", "v6.1"]);

    let found = unfinished(checkout, &words(&argv), Timestamp::now()).unwrap().unwrap();
    assert_eq!(found, first.run.dir());
    let mut again = lab(checkout, cache.path(), RunDir::reopen(&found).unwrap(), read_info(&found).unwrap());
    let (measured, called) = measure(&mut again, None, &[], |target| Ok(shown(target, GOOD)));
    assert_eq!(called, ["v6.1", "v7.3"]);
    let told: Vec<_> = measured.unwrap().outcomes.into_iter().map(|outcome| outcome.target).collect();
    assert_eq!(told, ["v5.10", "v6.1", "v7.3"]);
}

#[test]
fn only_the_same_command_of_the_same_night_is_gone_on_with() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    let run = RunDir::create(checkout).unwrap();
    run.describe(&info(&["xtask", "nightly", "--cell", "anon.*", "--quiet"])).unwrap();
    let found = |argv: &[&str], hours: i64| {
        unfinished(checkout, &words(argv), Timestamp::now() + SignedDuration::from_hours(hours)).unwrap().is_some()
    };
    assert!(found(&["xtask", "nightly", "--cell", "anon.*"], 0));
    assert!(found(&["another/xtask", "nightly", "--json", "--cell", "anon.*", "-y"], 19));
    assert!(found(&["xtask", "nightly", "--budget", "9h", "--cell", "anon.*", "--disk=40G"], 0));
    assert!(!found(&["xtask", "nightly", "--cell", "anon.*"], 20));
    assert!(!found(&["xtask", "nightly", "--cell", "shmem.*"], 0));
    assert!(!found(&["xtask", "matrix", "--cell", "anon.*"], 0));
    // It is over only when it has told all.
    run.finish(&xtask::judge::outcome("tcg", Vec::new(), None)).unwrap();
    assert!(found(&["xtask", "nightly", "--cell", "anon.*"], 0));
    write_night(run.dir(), &NightInfo::new(run.name())).unwrap();
    assert!(!found(&["xtask", "nightly", "--cell", "anon.*"], 0));
}

#[test]
fn a_matrix_is_no_night() {
    let (checkout, _cache) = scene();
    stored(checkout.path(), 0, &["xtask", "matrix"], None);
    assert_eq!(unfinished(checkout.path(), &words(&["xtask", "matrix"]), Timestamp::now()).unwrap(), None);
}
