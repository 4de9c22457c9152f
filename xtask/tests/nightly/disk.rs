// SPDX-License-Identifier: GPL-2.0-only
//! What goes off the disk, and what never does.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use xtask::cache::Cache;
use xtask::nightly::disk::{old, prune, used};
use xtask::progress::Progress;
use xtask::store::{Disk, everything, history};

use crate::scene::{GOOD, REGRESSED, scene, stored};

const MIB: u64 = 1 << 20;

/// A folder with so many MiB in it.
fn fill(dir: &Path, mib: usize) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("file"), vec![1_u8; mib << 20]).unwrap();
}

/// Two work areas, `old` and `new`, of which the first was used last a day ago.
fn builds(cache: &Path) {
    for (key, age) in [("old", 86_400), ("new", 0)] {
        let work = cache.join("work");
        for (part, mib) in [("build", 4), ("build-debug", 3), ("src", 1), ("git", 1), ("kernels", 1)] {
            fill(&work.join(key).join(part), mib);
        }
        let lock = fs::File::create(work.join(format!("{key}.lock"))).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    fill(&cache.join("sources"), 1);
}

fn pruned(cache: &Path, checkout: &Path, mib: u64) -> Disk {
    prune(&Cache::at(cache).unwrap(), checkout, Some("none"), mib * MIB, &Progress::silent()).unwrap()
}

fn names(disk: &Disk) -> Vec<&str> {
    disk.pruned.iter().map(|pruned| pruned.what.as_str()).collect()
}

#[test]
fn the_longest_unused_build_folders_go_first() {
    let (checkout, cache) = scene();
    builds(cache.path());
    let total = used(cache.path()).unwrap();
    assert!((21 * MIB..22 * MIB).contains(&total), "{total}");
    assert_eq!(pruned(cache.path(), checkout.path(), 22).pruned, []);
    let disk = pruned(cache.path(), checkout.path(), 19);
    assert_eq!(names(&disk), ["the build folder work/old/build"]);
    assert!(disk.before > disk.budget && disk.after <= disk.budget, "{disk:?}");
    let after = used(cache.path()).unwrap() + used(&checkout.path().join("results")).unwrap();
    // Who takes a lock writes into it.
    assert!(disk.after.abs_diff(after) <= 8192, "{disk:?}, {after}");
    let disk = pruned(cache.path(), checkout.path(), 10);
    assert_eq!(
        names(&disk),
        ["the build folder work/old/build-debug", "the source tree work/old/src", "the build folder work/new/build",]
    );
    // What is no build stays, even where there is too much of it.
    let disk = pruned(cache.path(), checkout.path(), 1);
    assert_eq!(names(&disk), ["the build folder work/new/build-debug", "the source tree work/new/src"]);
    assert!(disk.after > disk.budget);
    for part in ["work/old/git", "work/old/kernels", "sources"] {
        assert!(cache.path().join(part).join("file").is_file(), "{part}");
    }
}

#[test]
fn what_another_process_works_in_stays() {
    let (checkout, cache) = scene();
    builds(cache.path());
    let locked = Cache::at(cache.path()).unwrap();
    let _work = locked.work("old", &Progress::silent()).unwrap();
    let disk = pruned(cache.path(), checkout.path(), 1);
    assert!(names(&disk).iter().all(|name| name.contains("work/new/")), "{disk:?}");
}

#[test]
fn a_file_of_two_names_counts_once() {
    let (_checkout, cache) = scene();
    fill(&cache.path().join("a"), 2);
    let before = used(cache.path()).unwrap();
    fs::hard_link(cache.path().join("a/file"), cache.path().join("b")).unwrap();
    assert!(used(cache.path()).unwrap() - before < MIB);
}

#[test]
fn then_runs_go_and_never_the_last_good_one_of_a_target() {
    let (checkout, cache) = scene();
    let checkout = checkout.path();
    let night = ["xtask", "nightly"];
    let bad = [("v5.10", REGRESSED), ("v6.1", GOOD)];
    let runs = [
        stored(checkout, 9, &night, Some(&[("v5.10", GOOD), ("v6.1", GOOD)])), // the last good of v5.10
        stored(checkout, 8, &night, Some(&bad)),
        stored(checkout, 7, &night, None), // cut off a week ago
        stored(checkout, 6, &night, Some(&bad)),
        stored(checkout, 5, &night, Some(&bad)), // the last good of v6.1
        stored(checkout, 4, &night, Some(&[("v5.10", REGRESSED)])),
        stored(checkout, 0, &night, None), // may be at work
    ];
    let [_, second, third, fourth, _, sixth, _] = runs.each_ref().map(|run| run.id.clone());
    let history = history(checkout).unwrap();
    assert_eq!(old(&history, None, Timestamp::now()), [&second, &third, &fourth, &sixth].map(Clone::clone));
    assert_eq!(old(&history, Some(&sixth), Timestamp::now()), [&second, &third, &fourth].map(Clone::clone));

    // Each with a console of a MiB: two have to go.
    for run in &runs {
        fill(&checkout.join("results/runs").join(&run.id).join("v6.1-patched"), 1);
    }
    fs::create_dir_all(checkout.join("results/reference")).unwrap();
    fs::write(checkout.join("results/reference/v6.1.json"), "{}").unwrap();
    let disk = pruned(cache.path(), checkout, 6);
    assert_eq!(names(&disk), [format!("the run {second}"), format!("the run {third}")]);
    let disk = pruned(cache.path(), checkout, 0);
    assert_eq!(disk.pruned.len(), 2);
    assert_eq!(xtask::store::runs(checkout).unwrap().len(), 3);
    assert!(checkout.join("results/reference/v6.1.json").is_file());
}

#[test]
fn what_a_kill_left_of_a_pruning_goes() {
    let (checkout, cache) = scene();
    fill(&cache.path().join("work/old/.pruned-build"), 1);
    fill(&checkout.path().join("results/runs/.pruned-20260101T000000Z-aaaaaa"), 1);
    pruned(cache.path(), checkout.path(), 100);
    assert!(!cache.path().join("work/old/.pruned-build").exists());
    assert!(!checkout.path().join("results/runs/.pruned-20260101T000000Z-aaaaaa").exists());
}

#[test]
fn a_record_that_cannot_be_read_is_not_ours_to_remove() {
    let (checkout, cache) = scene();
    let run = stored(checkout.path(), 9, &["xtask", "nightly"], None);
    let dir = checkout.path().join("results/runs").join(&run.id);
    fs::write(dir.join("run.json"), "{\"schema\": 99}").unwrap();
    assert_eq!(pruned(cache.path(), checkout.path(), 0).pruned, []);
    assert!(dir.exists());
}

/// What a stranger's series shows is no run of ours, whatever target it was tried on.
#[test]
fn a_review_is_no_last_good_run_and_goes_like_others() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    let good = stored(checkout, 2, &["xtask", "nightly"], Some(&[("v6.1", GOOD)]));
    let review = stored(checkout, 1, &["xtask", "review", "x.mbox", "--on", "v6.1"], Some(&[("v6.1", GOOD)]));
    assert_eq!(history(checkout).unwrap().iter().map(|run| &run.id).collect::<Vec<_>>(), [&good.id]);
    assert_eq!(old(&everything(checkout).unwrap(), None, Timestamp::now()), [review.id]);
}

#[test]
fn reviews_go_with_the_runs_of_their_time() {
    let (checkout, cache) = scene();
    let checkout = checkout.path();
    let runs = [9, 7].map(|days| stored(checkout, days, &["xtask", "nightly"], None));
    let reviews = checkout.join("results/reviews");
    let stamp = |days: i64| (Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).strftime("%Y%m%dT%H%M%SZ");
    let [old, older, recent] = [6, 8, 0].map(|days| format!("{}-bbbbbb", stamp(days)));
    for name in [old.as_str(), &older, &recent, "mine"] {
        fill(&reviews.join(name).join("sent"), 1);
    }
    let places = xtask::house::places(&Cache::at(cache.path()).unwrap(), checkout).unwrap();
    assert!(places.iter().any(|place| place.what == "results/reviews" && place.bytes > 4 * MIB), "{places:?}");
    let disk = pruned(cache.path(), checkout, 0);
    assert_eq!(
        names(&disk),
        [
            format!("the run {}", runs[0].id),
            format!("the review {older}"),
            format!("the run {}", runs[1].id),
            format!("the review {old}")
        ]
    );
    // One may be at work, and what has another name is not ours.
    for name in [recent.as_str(), "mine"] {
        assert!(reviews.join(name).join("sent/file").is_file(), "{name}");
    }
}
