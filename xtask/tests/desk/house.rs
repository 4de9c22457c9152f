// SPDX-License-Identifier: GPL-2.0-only
//! `clean` and `du`.

use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;
use xtask::cache::Cache;
use xtask::progress::Progress;

use super::{write, xtask};

const LARGE: usize = 200_000;

/// A cache with one work area, a download, and what nobody may remove.
fn furnish(home: &Path) {
    let area = home.join("cache/work/linux-source-9.9-9.9");
    for part in ["build/vmlinux", "src/Makefile", "kernels/abc/bzImage", "git/objects/pack"] {
        write(&area.join(part), &vec![1; LARGE]);
    }
    write(&area.join("source.json"), b"{}");
    write(&home.join("cache/sources/linux-source-9.9.deb"), &vec![1; LARGE]);
    write(&home.join("cache/sources/lock"), b"");
    write(&home.join("cache/accel.json"), b"{}");
}

fn there(home: &Path) -> Vec<&'static str> {
    let all = ["build", "src", "kernels", "git", "source.json"].map(|name| (name, "work/linux-source-9.9-9.9"));
    let more = [("linux-source-9.9.deb", "sources"), ("lock", "sources"), ("accel.json", "")];
    let at = |(name, dir): &(&str, &str)| home.join("cache").join(dir).join(name).exists();
    all.into_iter().chain(more).filter(at).map(|(name, _)| name).collect()
}

#[test]
fn clean_says_what_it_frees_and_a_dry_run_frees_nothing() {
    let home = tempfile::tempdir().unwrap();
    furnish(home.path());
    let before = there(home.path());
    let told = contains("the build folder work/linux-source-9.9-9.9/build")
        .and(contains("00.0 KiB  the source tree"))
        .and(contains("in 3 places"))
        .and(contains("freed").not());
    xtask(home.path(), &["clean", "--builds", "--dry-run"]).assert().success().stdout(told);
    assert_eq!(there(home.path()), before);
    xtask(home.path(), &["clean", "--builds", "--yes"]).assert().success().stdout(contains("freed "));
    assert_eq!(there(home.path()), ["git", "source.json", "linux-source-9.9.deb", "lock", "accel.json"]);
    xtask(home.path(), &["clean", "--all", "--yes"]).assert().success();
    assert_eq!(there(home.path()), ["source.json", "lock", "accel.json"]);
    xtask(home.path(), &["clean", "--all", "--yes"]).assert().success().stdout("there is nothing to remove\n");
}

#[test]
fn where_nobody_can_be_asked_nothing_goes() {
    let home = tempfile::tempdir().unwrap();
    furnish(home.path());
    let before = there(home.path());
    xtask(home.path(), &["clean", "--all"]).assert().code(2).stderr(contains("--yes removes, --dry-run only tells"));
    assert_eq!(there(home.path()), before);
    xtask(home.path(), &["clean"]).assert().code(2).stderr(contains("--builds"));
}

#[test]
fn what_another_xtask_works_with_stays_and_is_said() {
    let home = tempfile::tempdir().unwrap();
    furnish(home.path());
    let cache = Cache::at(&home.path().join("cache")).unwrap();
    let work = cache.work("linux-source-9.9-9.9", &Progress::silent()).unwrap();
    let told = contains("kept, another xtask works with it: the build folder").and(contains("in 1 place\n"));
    xtask(home.path(), &["clean", "--all", "--yes"]).assert().success().stdout(told);
    assert!(
        work.src().exists() && work.git().exists() && !home.path().join("cache/sources/linux-source-9.9.deb").exists()
    );
    drop(work);
    xtask(home.path(), &["clean", "--all", "--yes"]).assert().success().stdout(contains("kept").not());
    assert_eq!(there(home.path()), ["source.json", "lock", "accel.json"]);
}

#[test]
fn the_last_good_run_stays() {
    let home = tempfile::tempdir().unwrap();
    let runs = home.path().join("checkout/results/runs");
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/matrix");
    for id in ["20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"] {
        for name in ["run.json", "outcome.json"] {
            write(&runs.join(id).join(name), &std::fs::read(stored.join(name)).unwrap());
        }
    }
    let left = contains("the run 20260101T000000Z-aaaaaa").and(contains("bbbbbb").not());
    xtask(home.path(), &["clean", "--runs", "--yes"]).assert().success().stdout(left);
    assert!(!runs.join("20260101T000000Z-aaaaaa").exists() && runs.join("20260102T000000Z-bbbbbb").exists());
}

#[test]
fn du_counts_the_parts_and_their_sum() {
    let home = tempfile::tempdir().unwrap();
    furnish(home.path());
    let told = contains("work/linux-source-9.9-9.9/git").and(contains("sources")).and(contains("and results/"));
    xtask(home.path(), &["du"]).assert().success().stdout(told);
    let json = xtask(home.path(), &["du", "--json"]).assert().success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let places = json["places"].as_array().unwrap();
    let sum: u64 = places.iter().map(|place| place["bytes"].as_u64().unwrap()).sum();
    assert_eq!((places.len(), json["bytes"].as_u64()), (5, Some(sum)));
    assert!(sum >= 5 * 200_000, "{sum}");
}
