// SPDX-License-Identifier: GPL-2.0-only
//! An index is made of the runs, and never believed over them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::store::{Entry, RUNS, entries, stored};
use xtask::verdict::Verdict;

use crate::schema::old;

fn index(checkout: &Path) -> PathBuf {
    checkout.join(RUNS).join("index.jsonl")
}

fn lines(checkout: &Path) -> usize {
    fs::read_to_string(index(checkout)).unwrap().lines().count()
}

/// What a list has to show, without any index.
fn truth(checkout: &Path) -> Vec<Entry> {
    let dirs = xtask::store::runs(checkout).unwrap();
    dirs.iter().map(|dir| Entry::new(&dir.file_name().unwrap().to_string_lossy(), stored(dir))).collect()
}

/// Copies of the old run.
fn some(count: usize) -> tempfile::TempDir {
    let (checkout, dir) = old();
    for number in 1..count {
        copy(&dir, &format!("20261123T0000{number:02}Z-bbbbbb"));
    }
    checkout
}

fn copy(dir: &Path, id: &str) -> PathBuf {
    let other = dir.with_file_name(id);
    fs::create_dir(&other).unwrap();
    for name in ["run.json", "outcome.json"] {
        fs::copy(dir.join(name), other.join(name)).unwrap();
    }
    other
}

fn newest(checkout: &Path) -> PathBuf {
    xtask::store::runs(checkout).unwrap().pop().unwrap()
}

fn set_verdict(dir: &Path, verdict: &str) {
    let path = dir.join("outcome.json");
    let mut outcome: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    outcome["verdict"] = verdict.into();
    fs::write(path, outcome.to_string()).unwrap();
}

#[test]
fn the_second_list_is_that_of_the_index() {
    let checkout = some(5);
    let checkout = checkout.path();
    let first = entries(checkout).unwrap();
    assert_eq!((first.len(), lines(checkout)), (5, 5));
    assert_eq!(first, truth(checkout));
    // The index is what is shown, as long as the files are those that it was made of.
    let text = fs::read_to_string(index(checkout)).unwrap().replace("cargo xtask test", "as the index says");
    fs::write(index(checkout), text).unwrap();
    assert!(entries(checkout).unwrap().iter().all(|entry| entry.command.starts_with("as the index says")));
    assert_eq!(lines(checkout), 5);
}

#[test]
fn what_changed_is_read_again_and_appended() {
    let checkout = some(3);
    let checkout = checkout.path();
    entries(checkout).unwrap();
    let before = fs::read(index(checkout)).unwrap();
    set_verdict(&newest(checkout), "fail");
    let told = entries(checkout).unwrap();
    assert_eq!(told, truth(checkout));
    assert_eq!(told[2].verdict, Some(Verdict::Fail));
    // One that is not over any more, one that is new, and one that is gone.
    fs::remove_file(newest(checkout).join("outcome.json")).unwrap();
    assert_eq!(entries(checkout).unwrap()[2].verdict, None);
    let first = xtask::store::runs(checkout).unwrap().remove(0);
    copy(&first, "20271123T000000Z-cccccc");
    assert_eq!(entries(checkout).unwrap(), truth(checkout));
    fs::remove_dir_all(newest(checkout)).unwrap();
    assert_eq!(entries(checkout).unwrap(), truth(checkout));
    // Nothing that was written is written again.
    assert!(fs::read(index(checkout)).unwrap().starts_with(&before));
}

#[test]
fn a_torn_a_strange_and_a_lost_index_cost_nothing_but_time() {
    let checkout = some(4);
    let checkout = checkout.path();
    entries(checkout).unwrap();
    let whole = fs::read(index(checkout)).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
        fs::write(index(checkout), &whole[..cut]).unwrap();
        assert_eq!(entries(checkout).unwrap(), truth(checkout), "{cut}");
        // What was appended behind the torn line is found.
        let size = fs::metadata(index(checkout)).unwrap().len();
        assert_eq!(entries(checkout).unwrap(), truth(checkout), "{cut}");
        assert_eq!(fs::metadata(index(checkout)).unwrap().len(), size, "{cut}");
    }
    for text in ["\0\0\0\0", "\n\n[]\n{}\n", "{\"schema\":1}\n", "\u{fffd}"] {
        fs::write(index(checkout), text).unwrap();
        assert_eq!(entries(checkout).unwrap(), truth(checkout), "{text:?}");
    }
    fs::remove_file(index(checkout)).unwrap();
    assert_eq!(entries(checkout).unwrap(), truth(checkout));
    assert_eq!(lines(checkout), 4);
    // A line of a later xtask is not ours to understand.
    let text = fs::read_to_string(index(checkout)).unwrap().replace("\"schema\":1", "\"schema\":7");
    fs::write(index(checkout), text.replace("cargo xtask", "strange")).unwrap();
    assert_eq!(entries(checkout).unwrap(), truth(checkout));
}

#[test]
fn one_that_cannot_be_written_is_done_without() {
    let checkout = some(2);
    let checkout = checkout.path();
    fs::create_dir(index(checkout)).unwrap();
    assert_eq!(entries(checkout).unwrap(), truth(checkout));
    fs::remove_dir(index(checkout)).unwrap();
    // Who comes while another one writes, does not.
    let lock = fs::File::create(checkout.join(RUNS).join(".index.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(entries(checkout).unwrap(), truth(checkout));
    assert!(!index(checkout).exists());
    drop(lock);
    entries(checkout).unwrap();
    assert_eq!(lines(checkout), 2);
}

#[test]
fn a_long_history_of_changes_is_forgotten() {
    let checkout = some(2);
    let checkout = checkout.path();
    for number in 0..150 {
        set_verdict(&newest(checkout), if number % 2 == 0 { "fail" } else { "infra" });
        assert_eq!(entries(checkout).unwrap(), truth(checkout));
    }
    assert!(lines(checkout) <= 100, "{}", lines(checkout));
}

#[test]
fn many_at_once_leave_a_whole_index() {
    let checkout = some(30);
    let path = checkout.path();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(entries(path).unwrap().len(), 30);
                }
            });
        }
    });
    for line in fs::read_to_string(index(path)).unwrap().lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(entries(path).unwrap(), truth(path));
}

/// No index where there are no runs.
#[test]
fn nothing_is_written_for_nothing() {
    let checkout = tempfile::tempdir().unwrap();
    assert_eq!(entries(checkout.path()).unwrap(), []);
    assert_eq!(fs::read_dir(checkout.path()).unwrap().count(), 0);
}
