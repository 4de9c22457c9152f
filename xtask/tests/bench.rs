// SPDX-License-Identifier: GPL-2.0-only
//! The bench without a kernel: what it tells, and what it works in.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do ends its test")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use git2::{Oid, Repository, Signature, Time};
use xtask::bench::Ask;
use xtask::bench::budget::{self, Budget, Row};
use xtask::bench::edit::{self, FILE};
use xtask::bench::report::Report;
use xtask::bench::scratch::{Scratch, borrow, lend_sources, packs_only};
use xtask::cache::Cache;
use xtask::progress::Progress;
use xtask::report::table::Look;
use xtask::store::Host;

fn row(budget: &'static Budget, samples: &[f64], notes: &[&str]) -> Row {
    Row { samples: samples.to_vec(), notes: notes.iter().map(|note| (*note).to_owned()).collect(), ..Row::new(budget) }
}

fn report() -> Report {
    let host = Host { kernel: "6.12.1".into(), cpu: "Some CPU".into(), cpus: 2, os: "Debian 12".into() };
    let rows = vec![
        Row::skipped(&budget::COLD, "left out: --cold measures it"),
        row(&budget::AGAIN, &[11.5, 12.25, 14.0], &["of it QEMU 11.00 s, cargo 0.30 s, make nothing (medians)"]),
        row(&budget::OWN_SHARE, &[0.25, 0.5, 1.5], &[]),
        row(&budget::EDIT, &[31.5], &["`cargo xtask test v6.1` says invalid (104)\ncontrol.held was not measured"]),
        row(&budget::BOOT, &[], &["no QEMU"]),
        row(&budget::INITRAMFS, &[0.004, 0.006], &[]),
    ];
    Report { target: "v6.1".into(), version: "6.1.192".into(), accel: "tcg".into(), host, rows }
}

#[test]
fn a_report_for_people() {
    insta::assert_snapshot!(report().render(Look::PLAIN));
}

#[test]
fn a_report_for_tools() {
    let object: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
    insta::assert_json_snapshot!(object);
}

#[test]
fn a_missed_budget_is_measured_and_a_missing_one_is_not() {
    let mut report = report();
    assert!(!report.is_whole());
    report.rows.retain(|row| row.budget.key != "boot");
    assert!(report.is_whole());
}

/// A repository with one commit, in which the edited file is.
fn kernel(dir: &Path) -> (Repository, Oid) {
    let repo = Repository::init_bare(dir).unwrap();
    let blob = repo.blob(b"int swap;\n#endif\n").unwrap();
    let mut mm = repo.treebuilder(None).unwrap();
    mm.insert("swap_state.c", blob, 0o100_644).unwrap();
    mm.insert("other.c", repo.blob(b"int other;\n").unwrap(), 0o100_644).unwrap();
    let mut root = repo.treebuilder(None).unwrap();
    root.insert("mm", mm.write().unwrap(), 0o040_000).unwrap();
    let tree = root.write().unwrap();
    let who = Signature::new("a", "a@invalid", &Time::new(1_700_000_000, 0)).unwrap();
    let base = repo.commit(None, &who, &who, "base\n", &repo.find_tree(tree).unwrap(), &[]).unwrap();
    (Repository::open_bare(dir).unwrap(), base)
}

#[test]
fn an_edit_is_one_file_more_text_and_another_commit_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (lender, base) = kernel(&dir.path().join("ours"));
    let repo = borrow(&dir.path().join("edit"), &lender.path().join("objects")).unwrap();
    let one = edit::commit(&repo, base, "1a").unwrap();
    assert_eq!(one, edit::commit(&repo, base, "1a").unwrap());
    assert_ne!(one, edit::commit(&repo, base, "1b").unwrap());

    let tree = |commit: Oid| repo.find_commit(commit).unwrap().tree().unwrap();
    let diff = repo.diff_tree_to_tree(Some(&tree(base)), Some(&tree(one)), None).unwrap();
    let paths: Vec<_> = diff.deltas().map(|delta| delta.new_file().path().unwrap().to_owned()).collect();
    assert_eq!(paths, [Path::new(FILE)]);
    let edited = repo.find_blob(tree(one).get_path(FILE.as_ref()).unwrap().id()).unwrap();
    let text = String::from_utf8(edited.content().to_vec()).unwrap();
    let line = text.strip_prefix("int swap;\n#endif\n\n").unwrap();
    assert_eq!(line, "static const char kvm_gup_io_bench[] __attribute__((__unused__)) = \"1a\";\n");
    assert_eq!(repo.find_commit(one).unwrap().parent_id(0).unwrap(), base);
    // The lender has got nothing of it.
    assert!(lender.odb().unwrap().refresh().is_ok() && lender.find_commit(one).is_err());
}

#[test]
fn an_edit_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, base) = kernel(&dir.path().join("ours"));
    for mark in ["", "a\"b", "a\\", "a b"] {
        assert!(edit::commit(&repo, base, mark).is_err(), "{mark:?}");
    }
    let empty = repo.treebuilder(None).unwrap().write().unwrap();
    let who = Signature::new("a", "a@invalid", &Time::new(0, 0)).unwrap();
    let other = repo.commit(None, &who, &who, "no kernel\n", &repo.find_tree(empty).unwrap(), &[]).unwrap();
    let error = format!("{:#}", edit::commit(&repo, other, "1a").unwrap_err());
    assert!(error.contains(FILE) && error.contains(&other.to_string()), "{error}");
}

#[test]
fn a_build_log_tells_whether_the_edit_was_compiled() {
    assert!(edit::was_compiled("$ make bzImage\n  CC      mm/swap_state.o\n  AR      mm/built-in.a\n"));
    assert!(!edit::was_compiled("  CC      mm/swap.o\n  LD      mm/swap_state.o\n"));
}

#[test]
fn only_packs_are_lent_to_a_repository_of_cold_objects() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, base) = kernel(&dir.path().join("ours"));
    let mut pack = repo.packbuilder().unwrap();
    let mut walk = repo.revwalk().unwrap();
    walk.push(base).unwrap();
    pack.insert_walk(&mut walk).unwrap();
    let packs = repo.path().join("objects/pack");
    fs::create_dir_all(&packs).unwrap();
    pack.write(&packs, 0).unwrap();
    let edited = edit::commit(&repo, base, "1a").unwrap();

    let cold = dir.path().join("cold");
    packs_only(&cold, &repo.path().join("objects")).unwrap();
    let cold = Repository::open_bare(&cold).unwrap();
    assert!(cold.find_commit(base).is_ok() && cold.find_commit(edited).is_err());
    assert_eq!(edit::commit(&cold, base, "1a").unwrap(), edited);
}

#[test]
fn downloads_are_lent_and_locks_and_halves_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let list = "apt/bookworm.binary/linux-source-6.1.6.1.json";
    let files = ["lock", "a.deb", "a.deb.json", "partial/b.deb", list, "apt/bookworm.binary/apt.conf"];
    for file in files.map(|file| from.join("sources").join(file)) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
    }
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let times = fs::File::options().append(true).open(from.join("sources").join(list)).unwrap();
    times.set_modified(old).unwrap();

    lend_sources(&from, &to).unwrap();
    let there: Vec<bool> = files.iter().map(|file| to.join("sources").join(file).exists()).collect();
    assert_eq!(there, [false, true, true, false, true, false]);
    let of = |root: &Path, file: &str| fs::metadata(root.join("sources").join(file)).unwrap();
    assert_eq!(of(&from, "a.deb").ino(), of(&to, "a.deb").ino());
    assert_ne!(of(&from, list).ino(), of(&to, list).ino());
    assert_eq!(of(&to, list).modified().unwrap(), old);
}

#[test]
fn a_scratch_folder_goes_with_its_guard_and_takes_a_killed_ones_along() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    let left = dir.path().join("bench/run-killed");
    fs::create_dir_all(left.join("src")).unwrap();
    let scratch = Scratch::new(&cache, &Progress::silent()).unwrap();
    assert!(!left.exists());
    let path = scratch.path().to_owned();
    fs::write(path.join("file"), "x").unwrap();
    let inner = scratch.folder().unwrap();
    assert!(inner.path().starts_with(&path));
    drop((inner, scratch));
    assert!(!path.exists() && dir.path().join("bench/lock").exists());
}

#[test]
fn only_the_rows_that_are_asked_for_are_measured() {
    let ask = |rows: &[&str]| Ask {
        target: "v6.1".to_owned(),
        runs: 1,
        cold: None,
        rows: rows.iter().map(|&row| row.to_owned()).collect(),
    };
    assert!(ask(&[]).wants(&[&budget::EDIT]) && ask(&[]).wants(&budget::STEPS));
    let one = ask(&["boot-over-vng"]);
    assert!(one.wants(&[&budget::BOOT_VNG]) && !one.wants(&[&budget::BOOT]) && !one.wants(&budget::STEPS));
    let error = xtask::bench::measure(&ask(&["boot-over-qemu"]), Path::new("/nowhere"), &Progress::silent());
    let error = error.err().map(|error| (error.exit_code(), error.to_string()));
    assert!(error.as_ref().is_some_and(|(code, text)| *code == 4 && text.contains("boot, boot-over-vng")), "{error:?}");
}
