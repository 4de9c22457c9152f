// SPDX-License-Identifier: GPL-2.0-only
//! Git clones as kernel trees: read, never touched.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

mod source_support;

use std::fs;
use std::path::Path;

use git2::{Oid, Repository};
use source_support::{Place, kernel, text, write};
use xtask::error::Error;
use xtask::source::LinuxArg;

/// A clone with the small kernel committed, and a tag `v6.1`.
fn clone(dir: &Path) -> (Repository, Oid) {
    let repo = Repository::init(dir).unwrap();
    kernel(dir);
    let id = commit_all(&repo, None);
    repo.tag_lightweight("v6.1", &repo.find_object(id, None).unwrap(), false).unwrap();
    (repo, id)
}

fn commit_all(repo: &Repository, parent: Option<Oid>) -> Oid {
    let mut index = repo.index().unwrap();
    index.add_all(["."], git2::IndexAddOption::DEFAULT, None).unwrap();
    index.write().unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let who = git2::Signature::new("a", "a@invalid", &git2::Time::new(1, 0)).unwrap();
    let parent = parent.map(|parent| repo.find_commit(parent).unwrap());
    repo.commit(Some("HEAD"), &who, &who, "x", &tree, &parent.iter().collect::<Vec<_>>()).unwrap()
}

/// Every file below `.git` with its bytes: what must not change.
fn state(git: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = walkdir::WalkDir::new(git).sort_by_file_name().into_iter().map(Result::unwrap);
    files
        .filter(|file| file.file_type().is_file())
        .map(|file| (file.path().to_owned(), fs::read(file.path()).unwrap()))
        .collect()
}

#[test]
fn a_revision_is_taken_as_it_is() {
    let place = Place::new();
    let dir = place.path("linux");
    let (repo, first) = clone(&dir);
    write(&dir, "mm/memory.c", "second\n");
    commit_all(&repo, Some(first));
    write(&dir, "mm/memory.c", "dirty\n");
    let before = state(&dir.join(".git"));
    let base = place.linux(&format!("{}@v6.1", dir.display())).unwrap();
    assert_eq!((base.commit, base.version.as_str()), (first, "6.1.192"));
    assert_eq!(base.origin, format!("{}@{}", dir.canonicalize().unwrap().display(), &first.to_string()[..12]));
    assert_eq!(state(&dir.join(".git")), before);
}

#[test]
fn without_one_the_uncommitted_changes_of_tracked_files_count() {
    let place = Place::new();
    let dir = place.path("linux");
    let (repo, first) = clone(&dir);
    let arg = dir.to_str().unwrap();
    assert_eq!(place.linux(arg).unwrap().commit, first);
    write(&dir, "mm/memory.c", "dirty\n");
    write(&dir, "mm/untracked.c", "x\n");
    write(&dir, "mm/added.c", "added\n");
    fs::remove_file(dir.join("scripts/run.sh")).unwrap();
    let mut index = repo.index().unwrap();
    index.add_path("mm/added.c".as_ref()).unwrap();
    index.write().unwrap();
    let before = state(&dir.join(".git"));
    let base = place.linux(arg).unwrap();
    let own = place.repo();
    assert_eq!(
        (text(&own, base.commit, "mm/memory.c"), text(&own, base.commit, "mm/added.c")),
        ("dirty\n".into(), "added\n".into())
    );
    let tree = own.find_commit(base.commit).unwrap().tree().unwrap();
    assert!(tree.get_path("mm/untracked.c".as_ref()).is_err() && tree.get_path("scripts/run.sh".as_ref()).is_err());
    assert_eq!(own.find_commit(base.commit).unwrap().parent_id(0).unwrap(), first);
    assert!(base.origin.ends_with("with 3 uncommitted files"), "{}", base.origin);
    assert_eq!(place.linux(arg).unwrap(), base);
    assert_eq!(state(&dir.join(".git")), before);
    assert_eq!(fs::read_to_string(dir.join("mm/memory.c")).unwrap(), "dirty\n");
}

#[test]
fn worktrees_and_bare_clones_are_clones() {
    let place = Place::new();
    let dir = place.path("linux");
    let (repo, first) = clone(&dir);
    let tree = place.path("side");
    repo.worktree("side", &tree, None).unwrap();
    write(&tree, "mm/memory.c", "side\n");
    let base = place.linux(tree.to_str().unwrap()).unwrap();
    assert_eq!(text(&place.repo(), base.commit, "mm/memory.c"), "side\n");
    let bare = place.path("bare.git");
    git2::build::RepoBuilder::new().bare(true).clone(dir.to_str().unwrap(), &bare).unwrap();
    assert_eq!(place.linux(bare.to_str().unwrap()).unwrap().commit, first);
}

#[test]
fn an_unknown_revision_and_a_clone_of_something_else_are_usage_errors() {
    let place = Place::new();
    let dir = place.path("linux");
    clone(&dir);
    let error = place.linux(&format!("{}@v9.9", dir.display())).unwrap_err();
    assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("has no commit `v9.9`"), "{error}");
    let other = place.path("other");
    let repo = Repository::init(&other).unwrap();
    write(&other, "x", "x");
    commit_all(&repo, None);
    let error = place.linux(other.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("is not a kernel source tree"), "{error}");
}

#[test]
fn an_archive_after_a_clone_does_not_lean_on_the_clone() {
    let place = Place::new();
    let dir = place.path("linux");
    clone(&dir);
    place.linux(dir.to_str().unwrap()).unwrap();
    let tree = place.path("tree");
    kernel(&tree);
    let base = place.linux(tree.to_str().unwrap()).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    assert!(text(&place.repo(), base.commit, "mm/memory.c").starts_with("line 1\n"));
}

#[test]
fn the_argument_is_split_where_the_path_ends() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("a@b");
    fs::create_dir(&at).unwrap();
    let parse = |text: String| text.parse::<LinuxArg>().unwrap();
    assert_eq!(parse(at.display().to_string()), LinuxArg { path: at.clone(), rev: None });
    let head = parse(format!("{}@HEAD@{{1}}", at.display()));
    assert_eq!(head, LinuxArg { path: at, rev: Some("HEAD@{1}".into()) });
    let missing = parse("/nowhere@v6.1".into());
    assert_eq!(missing, LinuxArg { path: "/nowhere".into(), rev: Some("v6.1".into()) });
}

/// Sets a file's time of change, as anybody can; that of its inode nobody can.
fn set_time(path: &Path, time: std::time::SystemTime) {
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// What the tree that is taken of the checkout has as this file.
fn taken(place: &Place, dir: &Path, path: &str) -> String {
    let base = place.linux(dir.to_str().unwrap()).unwrap();
    text(&place.repo(), base.commit, path)
}

#[test]
fn a_changed_file_of_the_same_length_is_noticed_even_with_its_old_time() {
    let place = Place::new();
    let dir = place.path("linux");
    let (_, first) = clone(&dir);
    let file = dir.join("mm/memory.c");
    let before = fs::read_to_string(&file).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let changed = before.replace("line 1\n", "LINE 1\n");
    fs::write(&file, &changed).unwrap();
    assert_eq!(taken(&place, &dir, "mm/memory.c"), changed);
    set_time(&file, time);
    assert_eq!(taken(&place, &dir, "mm/memory.c"), changed);
    // And one that only looks new is the same.
    fs::write(&file, &before).unwrap();
    assert_eq!(place.linux(dir.to_str().unwrap()).unwrap().commit, first);
}

#[test]
fn a_file_that_is_as_the_index_noted_it_is_not_read() {
    let place = Place::new();
    let dir = place.path("linux");
    let (repo, first) = clone(&dir);
    // What was written just before the index is read: it may have been written once more.
    set_time(&dir.join("mm/memory.c"), std::time::SystemTime::now() - std::time::Duration::from_secs(100));
    let mut index = repo.index().unwrap();
    index.add_path("mm/memory.c".as_ref()).unwrap();
    // The index and HEAD say that it holds something else, which only a reader would see.
    let mut entry = index.get_path("mm/memory.c".as_ref(), 0).unwrap();
    entry.id = repo.blob(b"something else\n").unwrap();
    index.add(&entry).unwrap();
    index.write().unwrap();
    let who = git2::Signature::new("a", "a@invalid", &git2::Time::new(1, 0)).unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let parent = repo.find_commit(first).unwrap();
    let other = repo.commit(Some("HEAD"), &who, &who, "x", &tree, &[&parent]).unwrap();
    assert_eq!(place.linux(dir.to_str().unwrap()).unwrap().commit, other);
    // Another time, and it is read.
    set_time(&dir.join("mm/memory.c"), std::time::SystemTime::now());
    assert!(taken(&place, &dir, "mm/memory.c").starts_with("line 1\n"));
}

#[test]
fn staged_files_and_modes_count() {
    let place = Place::new();
    let dir = place.path("linux");
    let (repo, first) = clone(&dir);
    let commit = || place.linux(dir.to_str().unwrap()).unwrap().commit;
    write(&dir, "mm/memory.c", "staged\n");
    let mut index = repo.index().unwrap();
    index.add_path("mm/memory.c".as_ref()).unwrap();
    index.write().unwrap();
    assert_eq!(taken(&place, &dir, "mm/memory.c"), "staged\n");
    // Put back in the checkout: nothing has changed that could be built.
    write(&dir, "mm/memory.c", &source_support::numbered(40));
    index.add_path("mm/memory.c".as_ref()).unwrap();
    index.write().unwrap();
    assert_eq!(commit(), first);
    let program = dir.join("scripts/run.sh");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let base = place.linux(dir.to_str().unwrap()).unwrap();
    assert!(base.commit != first && base.origin.ends_with("with 1 uncommitted file"), "{}", base.origin);
    repo.config().unwrap().set_bool("core.filemode", false).unwrap();
    assert_eq!(commit(), first);
}
