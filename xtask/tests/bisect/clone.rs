// SPDX-License-Identifier: GPL-2.0-only
//! A user's clone, in the midst of a `git bisect` of the user's own: nothing of it changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use git2::{Oid, Repository, Signature, Time};
use xtask::bisect::evidence::Direction;
use xtask::bisect::items::commits::{self, Ends};
use xtask::cache::Cache;
use xtask::error::Error;
use xtask::progress::Progress;
use xtask::source::{self, LinuxArg, Request};

/// A clone with a row of commits that pass for kernels, the last one on `topic`.
fn clone(dir: &Path, length: usize) -> (Repository, Vec<Oid>) {
    let repo = Repository::init(dir).unwrap();
    let mut ids: Vec<Oid> = Vec::new();
    for at in 0..length {
        std::fs::create_dir_all(dir.join("mm")).unwrap();
        std::fs::write(dir.join("Makefile"), "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n").unwrap();
        std::fs::write(dir.join("Kbuild"), "obj-y += mm/\n").unwrap();
        std::fs::write(dir.join("mm/memory.c"), format!("int change = {at};\n")).unwrap();
        let mut index = repo.index().unwrap();
        index.add_all(["."], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::new("a", "a@invalid", &Time::new(1_000 + at as i64, 0)).unwrap();
        let parent = ids.last().map(|&id| repo.find_commit(id).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        ids.push(repo.commit(Some("refs/heads/topic"), &who, &who, &format!("change {at}"), &tree, &parents).unwrap());
    }
    repo.set_head("refs/heads/topic").unwrap();
    (repo, ids)
}

/// Every file below `dir` with its content and its time.
fn all(dir: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let files = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let state = |entry: walkdir::DirEntry| {
        let time = entry.metadata().unwrap().modified().unwrap();
        (entry.path().display().to_string(), (std::fs::read(entry.path()).unwrap(), time))
    };
    files.map(state).collect()
}

fn ends<'a>(good: &'a [String], bad: &'a [String]) -> Ends<'a> {
    Ends { good, bad }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn the_clone_of_a_user_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("linux");
    let (_repo, ids) = clone(&path, 9);
    // A bisection of the user's own, and changes that are not committed.
    std::fs::write(path.join(".git/BISECT_START"), "topic\n").unwrap();
    std::fs::write(path.join(".git/BISECT_LOG"), "git bisect start\n").unwrap();
    std::fs::write(path.join("mm/memory.c"), "int mine;\n").unwrap();
    let before = all(&path);
    let items = commits::read(&path, ends(&words(&["topic~8"]), &words(&["topic"])), Direction::Break, &[]).unwrap();
    assert_eq!(items.list.len(), 9);
    let cache = Cache::at(&dir.path().join("cache")).unwrap();
    let work = cache.work("tree", &Progress::silent()).unwrap();
    for item in &items.list {
        let rev = Some(item.id.clone());
        let request = Request::Linux(LinuxArg { path: path.clone(), rev });
        let base = source::obtain(&work, &cache, &request, &Progress::silent()).unwrap();
        assert_eq!(base.commit.to_string(), item.id);
    }
    assert!(all(&path) == before, "the user's clone has changed");
    let title = items.title(items.bads[0]);
    assert_eq!(title, format!("{} change 8", &ids[8].to_string()[..12]));
}

#[test]
fn a_rewritten_history_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, ids) = clone(dir.path(), 6);
    let (good, bad) = (vec![ids[0].to_string()], words(&["topic"]));
    let stored = commits::read(dir.path(), ends(&good, &bad), Direction::Break, &[]).unwrap().stored();
    assert_eq!(commits::read(dir.path(), ends(&good, &bad), Direction::Break, &[]).unwrap().differs(&stored), None);
    // As after a rebase: the same name, another commit.
    let old = repo.find_commit(ids[5]).unwrap();
    let who = Signature::new("a", "a@invalid", &Time::new(9_999, 0)).unwrap();
    let parent = repo.find_commit(ids[4]).unwrap();
    let new = repo.commit(None, &who, &who, "change 5 again", &old.tree().unwrap(), &[&parent]).unwrap();
    repo.reference("refs/heads/topic", new, true, "rebase").unwrap();
    let told = commits::read(dir.path(), ends(&good, &bad), Direction::Break, &[]).unwrap().differs(&stored).unwrap();
    assert!(told.contains("its new end was") && told.contains("change 5 again"), "{told}");
}

#[test]
fn ends_that_make_no_sense_are_usage() {
    let dir = tempfile::tempdir().unwrap();
    let (_repo, ids) = clone(dir.path(), 4);
    let read = |good: &[&str], bad: &[&str], direction| {
        commits::read(dir.path(), ends(&words(good), &words(bad)), direction, &[]).unwrap_err()
    };
    let old = ids[0].to_string();
    for (error, text) in [
        (read(&["topic"], &[&old], Direction::Break), "--find fix"),
        (read(&[&old], &["nonsense"], Direction::Break), "nonsense"),
        (read(&[&old], &[], Direction::Break), "--bad"),
        (read(&["topic"], &[], Direction::Fix), "--bad"),
    ] {
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(text), "{error}");
    }
    let fixed = commits::read(dir.path(), ends(&words(&["topic"]), &[old]), Direction::Fix, &[]).unwrap();
    assert_eq!((fixed.goods.len(), fixed.bads.len()), (1, 1));
}
