// SPDX-License-Identifier: GPL-2.0-only
//! The source folder: only what differs is written, and a broken-off switch is repaired.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

mod source_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use git2::{Oid, Repository};
use source_support::{Place, commit, kernel};
use xtask::worktree::{Switched, switch};

struct Sides {
    place: Place,
    repo: Repository,
    base: Oid,
    patched: Oid,
}

/// The small kernel, and a side that changes one file, adds one and removes none.
fn sides() -> Sides {
    let place = Place::new();
    let dir = place.path("tree");
    kernel(&dir);
    let base = place.linux(dir.to_str().unwrap()).unwrap().commit;
    let repo = place.repo();
    let patched = commit(&repo, &[("mm/memory.c", "patched\n"), ("new/dir/file.c", "new\n")], Some(base));
    Sides { place, repo, base, patched }
}

impl Sides {
    fn src(&self) -> PathBuf {
        self.place.work.src()
    }

    fn switch(&self, to: Oid) -> Switched {
        switch(&self.repo, &self.src(), to).unwrap()
    }

    fn state(&self, commits: &[Oid]) {
        let commits: Vec<String> = commits.iter().map(|commit| format!("\"{commit}\"")).collect();
        let text = format!("{{\"commits\":[{}]}}", commits.join(","));
        fs::write(self.place.work.dir.join("src.state"), text).unwrap();
    }

    /// Every file of the folder is as in the commit, and there is no other.
    fn assert_is(&self, commit: Oid) {
        let mut options = git2::DiffOptions::new();
        options.include_untracked(true);
        let src = Repository::open_bare(self.place.work.git()).unwrap();
        src.set_workdir(&self.src(), false).unwrap();
        let tree = src.find_commit(commit).unwrap().tree().unwrap();
        let diff = src.diff_tree_to_workdir(Some(&tree), Some(&mut options)).unwrap();
        let changed: Vec<_> =
            diff.deltas().map(|delta| (delta.status(), delta.new_file().path().map(Path::to_owned))).collect();
        assert!(changed.is_empty(), "{changed:?}");
    }
}

fn mtime(path: &Path) -> SystemTime {
    fs::symlink_metadata(path).unwrap().modified().unwrap()
}

#[test]
fn sides_alternate_and_only_what_differs_is_written() {
    let sides = sides();
    assert_eq!(sides.switch(sides.base), Switched { written: 5, removed: 0 });
    sides.assert_is(sides.base);
    let untouched = sides.src().join("Kbuild");
    let before = mtime(&untouched);
    assert_eq!(sides.switch(sides.patched), Switched { written: 2, removed: 0 });
    sides.assert_is(sides.patched);
    assert_eq!(sides.switch(sides.patched), Switched::default());
    assert_eq!(sides.switch(sides.base), Switched { written: 1, removed: 1 });
    sides.assert_is(sides.base);
    assert!(!sides.src().join("new").exists());
    assert_eq!(mtime(&untouched), before);
}

#[test]
fn a_switch_that_was_killed_is_repaired_by_the_next_one() {
    let sides = sides();
    sides.switch(sides.base);
    // Half of the way to `patched`: one file half written, the other not yet there.
    sides.state(&[sides.base, sides.patched]);
    fs::write(sides.src().join("mm/memory.c"), "pat").unwrap();
    let untouched = mtime(&sides.src().join("Kbuild"));
    assert_eq!(sides.switch(sides.base), Switched { written: 1, removed: 0 });
    sides.assert_is(sides.base);
    sides.state(&[sides.base, sides.patched]);
    fs::create_dir_all(sides.src().join("new/dir")).unwrap();
    assert_eq!(sides.switch(sides.patched), Switched { written: 2, removed: 0 });
    sides.assert_is(sides.patched);
    assert_eq!(mtime(&sides.src().join("Kbuild")), untouched);
}

#[test]
fn a_first_checkout_that_was_killed_goes_on() {
    let sides = sides();
    sides.switch(sides.base);
    sides.state(&[]);
    fs::remove_file(sides.src().join("Kbuild")).unwrap();
    fs::write(sides.src().join("mm/memory.c"), "li").unwrap();
    fs::create_dir(sides.src().join("stray")).unwrap();
    let kept = mtime(&sides.src().join("Makefile"));
    assert_eq!(sides.switch(sides.base), Switched { written: 2, removed: 1 });
    sides.assert_is(sides.base);
    assert_eq!(mtime(&sides.src().join("Makefile")), kept);
}

#[test]
fn a_state_of_a_commit_that_is_gone_is_no_state() {
    let sides = sides();
    sides.switch(sides.base);
    sides.state(&[Oid::from_str("0123456789012345678901234567890123456789").unwrap()]);
    fs::write(sides.src().join("Kbuild"), "wrong").unwrap();
    assert_eq!(sides.switch(sides.patched), Switched { written: 3, removed: 0 });
    sides.assert_is(sides.patched);
}

#[test]
fn nothing_is_written_through_a_link_and_kinds_may_change() {
    let sides = sides();
    let outside = sides.place.path("outside");
    fs::write(&outside, "mine").unwrap();
    sides.switch(sides.base);
    fs::remove_file(sides.src().join("mm/memory.c")).unwrap();
    std::os::unix::fs::symlink(&outside, sides.src().join("mm/memory.c")).unwrap();
    sides.switch(sides.patched);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
    sides.assert_is(sides.patched);
    // A file where a folder was, and the other way round.
    let mut update = git2::build::TreeUpdateBuilder::new();
    update.remove("new/dir/file.c");
    let tree = sides.repo.find_commit(sides.patched).unwrap().tree().unwrap();
    let tree = sides.repo.find_tree(update.create_updated(&sides.repo, &tree).unwrap()).unwrap();
    let who = git2::Signature::new("a", "a@invalid", &git2::Time::new(1, 0)).unwrap();
    let parent = sides.repo.commit(None, &who, &who, "x", &tree, &[]).unwrap();
    let file = commit(&sides.repo, &[("new", "a file now\n")], Some(parent));
    for to in [file, sides.patched, file] {
        sides.switch(to);
        sides.assert_is(to);
    }
}

#[test]
fn an_unknown_commit_leaves_the_folder_alone() {
    let sides = sides();
    sides.switch(sides.base);
    let unknown = Oid::from_str("0123456789012345678901234567890123456789").unwrap();
    let error = switch(&sides.repo, &sides.src(), unknown).unwrap_err().to_string();
    assert!(error.contains("cannot read the commit 0123456789"), "{error}");
    sides.assert_is(sides.base);
    assert_eq!(sides.switch(sides.base), Switched::default());
}
