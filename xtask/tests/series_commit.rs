// SPDX-License-Identifier: GPL-2.0-only
//! A series becomes commits, the same ones each time, or an error with its hunk.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

mod source_support;

use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use source_support::{commit, numbered, text};
use xtask::error::Error;
use xtask::patch::{Patch, PatchFit, parse};
use xtask::series::{commit_side, fits, load};

fn repo() -> (tempfile::TempDir, Repository, Oid) {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repository::init_bare(dir.path()).unwrap();
    let base = commit(&repo, &[("mm/x.c", &numbered(40)), ("only/one.c", "one\n"), ("Makefile", "m\n")], None);
    (dir, repo, base)
}

fn patch(name: &str, diff: &str) -> Patch {
    let mail = format!(
        "From: Ada <ada@example.org>\nDate: Tue, 9 Sep 2014 16:00:00 +0200\nSubject: [PATCH] {name}\n\nWhy.\n---\n{diff}"
    );
    parse(Path::new(&format!("{name}.patch")), mail.as_bytes()).unwrap()
}

/// Puts `new` in for `line n` of mm/x.c.
fn edit(name: &str, n: usize, new: &str) -> Patch {
    let context = |i: usize| format!(" line {i}\n");
    let before: String = (n - 3..n).map(context).collect();
    let after: String = (n + 1..=n + 3).map(context).collect();
    let start = n - 3;
    patch(
        name,
        &format!("--- a/mm/x.c\n+++ b/mm/x.c\n@@ -{start},7 +{start},7 @@ f\n{before}-line {n}\n+{new}\n{after}"),
    )
}

#[test]
fn each_patch_is_a_commit_of_its_author() {
    let (_dir, repo, base) = repo();
    let side = commit_side(&repo, base, &[edit("one", 10, "ten"), edit("two", 12, "twelve")]).unwrap_err();
    // The second one's context is what the first has changed.
    assert!(side.to_string().contains("two.patch: mm/x.c hunk 1 of 1"), "{side}");
    let side = commit_side(&repo, base, &[edit("one", 10, "ten"), edit("two", 20, "twenty")]).unwrap();
    let last = repo.find_commit(side).unwrap();
    assert_eq!((last.summary().unwrap(), last.author().name().unwrap()), (Some("two"), "Ada"));
    assert_eq!(last.author().when().seconds(), 1_410_271_200);
    assert_eq!(last.message().unwrap(), "two\n\nWhy.\n");
    assert_eq!(last.parent(0).unwrap().parent_id(0).unwrap(), base);
    let expected = numbered(40).replace("line 10\n", "ten\n").replace("line 20\n", "twenty\n");
    assert_eq!(text(&repo, side, "mm/x.c"), expected);
}

#[test]
fn the_same_series_is_the_same_commit() {
    let (_dir, repo, base) = repo();
    let series = [edit("one", 10, "ten"), edit("two", 20, "twenty")];
    assert_eq!(commit_side(&repo, base, &series).unwrap(), commit_side(&repo, base, &series).unwrap());
    assert_eq!(commit_side(&repo, base, &[]).unwrap(), base);
}

#[test]
fn files_come_go_move_and_folders_go_with_them() {
    let (_dir, repo, base) = repo();
    let diff = "diff --git a/new/a.sh b/new/a.sh\nnew file mode 100755\n--- /dev/null\n+++ b/new/a.sh\n@@ -0,0 +1 @@\n+x\n\
        diff --git a/only/one.c b/only/one.c\ndeleted file mode 100644\n--- a/only/one.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n\
        diff --git a/Makefile b/Kfile\nsimilarity index 100%\nrename from Makefile\nrename to Kfile\n";
    let side = commit_side(&repo, base, &[patch("all", diff)]).unwrap();
    let tree = repo.find_commit(side).unwrap().tree().unwrap();
    let names: Vec<_> = tree.iter().map(|entry| entry.name().unwrap().to_owned()).collect();
    assert_eq!(names, ["Kfile", "mm", "new"]);
    assert_eq!(tree.get_path("new/a.sh".as_ref()).unwrap().filemode(), 0o100_755);
}

#[test]
fn anything_but_a_full_fit_is_an_apply_error() {
    let (_dir, repo, base) = repo();
    let first = edit("one", 10, "ten");
    let side = commit_side(&repo, base, std::slice::from_ref(&first)).unwrap();
    let error = commit_side(&repo, side, std::slice::from_ref(&first)).unwrap_err();
    assert!(matches!(error, Error::Apply(_)), "{error}");
    assert_eq!(error.exit_code(), 102);
    let text = "patch one.patch: mm/x.c hunk 1 of 1 (@@ -7,7 +7,7 @@ f) is already in";
    assert!(error.to_string().starts_with(text), "{error}");
    let conflict = commit_side(&repo, side, &[edit("other", 10, "zehn")]).unwrap_err().to_string();
    assert!(conflict.ends_with("at line 10 it expects `line 10`, and the file has `ten`"), "{conflict}");
}

#[test]
fn the_fit_of_every_patch_is_told_without_a_stop() {
    let (_dir, repo, base) = repo();
    let base = commit_side(&repo, base, &[edit("one", 10, "ten")]).unwrap();
    let series = [edit("one", 10, "ten"), edit("bad", 10, "zehn"), edit("good", 30, "thirty"), edit("fuzzy", 33, "x")];
    let fits: Vec<PatchFit> = fits(&repo, base, &series).unwrap().into_iter().map(|fitted| fitted.fit).collect();
    assert!(matches!(fits[0], PatchFit::Reverses(_)), "{}", fits[0]);
    assert!(matches!(fits[1], PatchFit::Conflict { .. }), "{}", fits[1]);
    assert!(fits[2].applies(), "{}", fits[2]);
    assert!(matches!(fits[3], PatchFit::Fuzz { by: 1, .. }), "{}", fits[3]);
}

#[test]
fn a_series_is_loaded_from_files_and_an_evil_path_is_an_apply_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0001-evil.patch");
    std::fs::write(&path, "--- a/../evil\n+++ b/../evil\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
    let error = load(std::slice::from_ref(&path)).unwrap_err();
    assert!(matches!(error, Error::Apply(_)), "{error}");
    assert!(
        error.to_string().contains("0001-evil.patch names the path `../evil`, which leads out of the tree"),
        "{error}"
    );
    let missing = load(&[PathBuf::from("/nowhere/0001.patch")]).unwrap_err();
    assert!(matches!(missing, Error::Infra(_)) && missing.to_string().contains("/nowhere/0001.patch"), "{missing}");
}
