// SPDX-License-Identifier: GPL-2.0-only
//! What a series says of itself is checked, and a series moves to a newer base.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod source_support;

use std::fs;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use source_support::{commit, numbered, text};
use xtask::patch::diffstat::{self, Changed};
use xtask::patch::{Patch, parse};
use xtask::series::checkpatch::complaints;
use xtask::series::folder;
use xtask::series::mbox::File;
use xtask::series::refresh::{Moved, Step, refresh};
use xtask::series::verify::{blobs, consistent};
use xtask::series::{self, warnings};
use xtask::target::Target;

fn patches() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("patches")
}

fn repo(file: &str) -> (tempfile::TempDir, Repository, Oid) {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repository::init_bare(dir.path()).unwrap();
    let base = commit(&repo, &[("mm/x.c", file), ("Makefile", "m\n")], None);
    (dir, repo, base)
}

fn id(text: &str) -> String {
    Oid::hash_object(git2::ObjectType::Blob, text.as_bytes()).unwrap().to_string()[..12].to_owned()
}

/// Patch `number` of two, which makes `after` of `before` by putting `new` in for
/// `line n`.
fn edit(number: usize, before: &str, n: usize, new: &str) -> (Patch, String) {
    let after = before.replacen(&format!("line {n}\n"), &format!("{new}\n"), 1);
    let context = |range: std::ops::Range<usize>| range.map(|i| format!(" line {i}\n")).collect::<String>();
    let (start, ids) = (n - 3, format!("{}..{}", id(before), id(&after)));
    let bytes = format!(
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@example.org>\nDate: Tue, 9 \
         Sep 2014 16:00:00 +0200\nSubject: [PATCH {number}/2] mm: {new}\n\nWhy.\n---\n mm/x.c | 2 +-\n 1 file changed, 1 \
         insertion(+), 1 deletion(-)\n\ndiff --git a/mm/x.c b/mm/x.c\nindex {ids} 100644\n--- a/mm/x.c\n+++ b/mm/x.c\n@@ \
         -{start},7 +{start},7 @@ f\n{}-line {n}\n+{new}\n{}-- \n2.47.3\n\n",
        context(start..n),
        context(n + 1..n + 4),
    );
    (parse(Path::new(&format!("{number:04}-mm-{new}.patch")), bytes.as_bytes()).unwrap(), after)
}

/// `line 10` becomes `ten`, then `line 30` becomes `thirty`.
fn two() -> (String, Vec<Patch>) {
    let before = numbered(40);
    let (first, middle) = edit(1, &before, 10, "ten");
    let (second, _) = edit(2, &middle, 30, "thirty");
    (before, vec![first, second])
}

fn altered(patch: &Patch, from: &str, to: &str) -> Patch {
    let text = String::from_utf8(patch.bytes.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    parse(&patch.path, text.replacen(from, to, 1).as_bytes()).unwrap()
}

#[test]
fn every_committed_series_agrees_with_itself() {
    for name in Target::names(&patches()).unwrap() {
        let target = Target::load(&patches(), &name).unwrap();
        let folders = ["compat", "series"].into_iter().chain(target.extra.iter().map(|row| row.patches.as_str()));
        for folder in folders {
            consistent(&series::load(&target.folder(folder).unwrap()).unwrap()).unwrap();
        }
    }
}

#[test]
fn ids_are_recomputed_and_the_first_that_differs_is_told() {
    let (before, series) = two();
    let (_dir, repo, base) = repo(&before);
    assert_eq!(consistent(&series).unwrap(), 1);
    assert_eq!(blobs(&repo, base, &series).unwrap().1, 4);

    let post = &series[1].files[0].index.as_ref().unwrap().1;
    let wrong = [series[0].clone(), altered(&series[1], &format!("..{post}"), "..123456789abc")];
    let error = blobs(&repo, base, &wrong).unwrap_err();
    assert_eq!(error.exit_code(), 102);
    let error = error.to_string();
    assert!(error.contains("0002-mm-thirty.patch: mm/x.c: after it is blob"), "{error}");
    assert!(error.contains(post) && error.contains("the index line says 123456789abc"), "{error}");

    let pre = series[1].files[0].index.as_ref().unwrap().0.clone();
    let wrong = [series[0].clone(), altered(&series[1], &format!("index {pre}"), "index 123456789abc")];
    assert!(blobs(&repo, base, &wrong).unwrap_err().to_string().contains("before it is blob"));
    assert!(consistent(&wrong).unwrap_err().to_string().contains("the patch before left"));
}

#[test]
fn counts_that_are_wrong_are_told() {
    let (_, series) = two();
    let told = |from: &str, to: &str| {
        let wrong = [series[0].clone(), altered(&series[1], from, to)];
        consistent(&wrong).unwrap_err().to_string()
    };
    assert!(told("PATCH 2/2", "PATCH 3/3").contains("says 3/3, it is 2/2"));
    assert!(told("PATCH 2/2", "PATCH").contains("has no number, it is 2/2"));
    assert!(told("1 insertion(+)", "2 insertions(+)").contains("the diffstat says 2 insertions, the hunks have 1"));
    assert!(told("1 file changed, ", "").contains("no diffstat"));
    assert!(told("index ", "similarity index ").contains("no index line"));
    assert!(told(" mm/x.c | 2 +-", " mm/y.c | 2 +-").contains("names mm/y.c where the patch has mm/x.c"));
    assert!(
        told(" mm/x.c | 2 +-", " mm/x.c | 3 +-").contains("mm/x.c: the diffstat says 3 +-, the hunks have 2 lines")
    );
    assert!(told(" mm/x.c | 2 +-\n", "").contains("lists 0 files, the patch changes 1"));
    let header = told("@@ -27,7 +27,7 @@", "@@ -27,7 +29,7 @@");
    assert!(header.contains("its new text begins at line 29; by the hunks before it, it is line 27"), "{header}");
}

#[test]
fn an_id_that_is_too_short_to_tell_is_refused() {
    let (before, series) = two();
    let (_dir, repo, base) = repo(&before);
    let (pre, post) = series[0].files[0].index.clone().unwrap();
    let short = [altered(&series[0], &format!("{pre}..{post}"), &format!("{}..{}", &pre[..4], &post[..4]))];
    let error = blobs(&repo, base, &short).unwrap_err().to_string();
    assert!(error.contains("too short an id"), "{error}");
}

#[test]
fn a_patch_of_nobody_or_of_no_day_is_refused() {
    let (_, series) = two();
    let told =
        |from: &str, to: &str| consistent(&[altered(&series[0], from, to), series[1].clone()]).unwrap_err().to_string();
    assert!(told("From: Ada <ada@example.org>\n", "").contains("does not say who wrote it"));
    assert!(told("Date: Tue", "Date: Someday").contains("does not say when it was written"));
    assert!(told("From: Ada", "From: Ad\u{e1}").contains("letters beyond ASCII"));
    assert!(told("Why.", "W\u{e9}.").contains("letters beyond ASCII"));
    let whole = altered(&series[0], "From: Ada", "From: =?UTF-8?q?J=C3=B6rg?=");
    assert_eq!((whole.author.name.as_str(), whole.author.email.as_str()), ("J\u{f6}rg", "ada@example.org"));
    consistent(&[whole, series[1].clone()]).unwrap();
}

#[test]
fn a_hunk_whose_header_names_another_line_is_refused_on_the_tree() {
    let (before, series) = two();
    let (_dir, repo, base) = repo(&before);
    let wrong = [altered(&series[0], "@@ -7,7 +7,7 @@", "@@ -8,7 +8,7 @@")];
    let error = blobs(&repo, base, &wrong).unwrap_err().to_string();
    assert!(error.contains("1 of its hunks at another line"), "{error}");
}

fn moved(steps: &[Step]) -> Vec<&Moved> {
    steps.iter().map(|step| &step.moved).collect()
}

#[test]
fn on_its_own_base_a_series_stays_as_it_is() {
    let (before, series) = two();
    let (_dir, repo, base) = repo(&before);
    let steps = refresh(&repo, base, &series).unwrap();
    assert_eq!(moved(&steps), [&Moved::Same, &Moved::Same]);
    let bytes: Vec<&[u8]> = steps.iter().map(|step| step.bytes.as_deref().unwrap()).collect();
    assert_eq!(bytes, series.iter().map(|patch| patch.bytes.as_slice()).collect::<Vec<_>>());
}

/// The steps on a base that is `change`d, and what the new files make of it.
fn on(change: impl Fn(&str) -> String) -> (Vec<Step>, String) {
    let (before, series) = two();
    let (_dir, repo, _) = repo(&before);
    let base = commit(&repo, &[("mm/x.c", &change(&before)), ("Makefile", "m\n")], None);
    let steps = refresh(&repo, base, &series).unwrap();
    let files: Vec<Patch> = steps
        .iter()
        .filter_map(|step| step.bytes.as_deref())
        .map(|bytes| parse(Path::new("new.patch"), bytes).unwrap())
        .collect();
    consistent(&files).unwrap();
    let (side, _) = blobs(&repo, base, &files).unwrap();
    let made = text(&repo, side, "mm/x.c");
    (steps, made)
}

#[test]
fn a_series_moves_with_the_code_around_it() {
    let (steps, made) = on(|before| format!("new first line\n{before}"));
    assert_eq!(moved(&steps), [&Moved::Shifted, &Moved::Shifted]);
    assert!(made.starts_with("new first line\nline 1\n") && made.contains("\nten\n") && made.contains("\nthirty\n"));
    let new = String::from_utf8(steps[0].bytes.clone().unwrap()).unwrap();
    assert!(
        new.contains("@@ -8,7 +8,7 @@") && new.contains("\nWhy.\n---\n") && new.ends_with("-- \n2.47.3\n\n"),
        "{new}"
    );
}

#[test]
fn what_the_author_says_behind_the_rule_stays() {
    let (before, mut series) = two();
    let (_dir, repo, _) = repo(&before);
    let base = commit(&repo, &[("mm/x.c", &format!("new first line\n{before}")), ("Makefile", "m\n")], None);
    series[0] = altered(&series[0], "---\n mm", "---\nChanges in v2: none.\n\n mm");
    let steps = refresh(&repo, base, &series).unwrap();
    let new = String::from_utf8(steps[0].bytes.clone().unwrap()).unwrap();
    assert!(new.contains("---\nChanges in v2: none.\n\n mm/x.c | 2 +-\n 1 file changed"), "{new}");
}

#[test]
fn a_hunk_is_not_put_into_a_copy_of_its_code() {
    let copied = |before: &str| {
        let copy: String = (27..34).map(|i| format!("line {i}\n")).collect();
        let pad: String = (0..24).map(|i| format!("pad {i}\n")).collect();
        format!("{pad}{copy}{before}")
    };
    let (before, series) = two();
    let (_dir, repo, _) = repo(&before);
    let base = commit(&repo, &[("mm/x.c", &copied(&before)), ("Makefile", "m\n")], None);
    // The copy is nearer to the line that the hunk names than the code itself.
    let fits = series::fits(&repo, base, &series[1..]).unwrap();
    assert!(fits[0].fit.applies(), "{}", fits[0].fit);
    let steps = refresh(&repo, base, &series).unwrap();
    assert_eq!(steps[0].moved, Moved::Shifted);
    let Moved::Conflict(told) = &steps[1].moved else { panic!("{:?}", steps[1].moved) };
    assert!(told[0].contains("mm/x.c: its lines are there more than once"), "{told:?}");
}

#[test]
fn changed_context_is_merged_and_said() {
    let (steps, made) = on(|before| before.replace("line 8\n", "another 8\n"));
    assert_eq!(moved(&steps), [&Moved::Merged, &Moved::Shifted]);
    assert!(made.contains("another 8\nline 9\nten\n"), "{made}");
}

#[test]
fn a_conflict_is_told_with_its_place() {
    let (steps, _) = on(|before| before.replace("line 10\n", "quite another\n"));
    let Moved::Conflict(places) = &steps[0].moved else { panic!("{:?}", steps[0].moved) };
    assert!(places[0].contains("mm/x.c:10: there is\n    quite another\nthe patch wants\n    ten"), "{places:?}");
    assert_eq!(steps[0].bytes, None);
    assert!(steps[1].bytes.is_some(), "the second one does not need the first");
}

#[test]
fn what_is_already_in_is_said_and_the_rest_counted_anew() {
    let (steps, _) = on(|before| before.replace("line 10\n", "ten\n"));
    assert!(matches!(&steps[0].moved, Moved::AlreadyIn(how) if how.contains("already in")), "{:?}", steps[0].moved);
    let second = String::from_utf8(steps[1].bytes.clone().unwrap()).unwrap();
    assert!(second.contains("Subject: [PATCH 1/1] mm: thirty"), "{second}");
}

#[test]
fn a_folder_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let series = dir.path().join("series");
    let file = |name: &str| File { name: name.to_owned(), bytes: name.as_bytes().to_vec() };
    folder::create(&series, &[file("0001-a.patch"), file("0002-b.patch")]).unwrap();
    assert_eq!(folder::create(&series, &[file("0001-c.patch")]).unwrap_err().exit_code(), 2);
    folder::replace(&series, &[file("0001-c.patch")]).unwrap();
    let names = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(&series), ["0001-c.patch"]);
    assert!(folder::replace(&series, &[file("../out.patch")]).is_err());
    assert_eq!((names(&series), names(dir.path())), (vec!["0001-c.patch".into()], vec!["series".into()]));
    // What is no patch is nobody's to lose.
    fs::write(series.join("README"), "kept").unwrap();
    folder::replace(&series, &[file("0001-d.patch")]).unwrap();
    assert_eq!(fs::read_to_string(series.join("README")).unwrap(), "kept");
    assert!(series.join("0001-d.patch").exists() && !series.join("0001-c.patch").exists());
}

#[test]
fn checkpatch_is_read_by_type() {
    let output = "0003-x.patch:42: WARNING:LONG_LINE: line length of 110 exceeds 100 columns\n\
                  0003-x.patch:129: ERROR:MISSING_SIGN_OFF: Missing Signed-off-by: line(s)\n\
                  0003-x.patch:7: CHECK:PARENTHESIS_ALIGNMENT: Alignment should match open parenthesis\ntotal: 1 errors\n";
    let complaints = complaints(output);
    let classes: Vec<&str> = complaints.iter().map(|complaint| complaint.class.as_str()).collect();
    assert_eq!(classes, ["LONG_LINE", "MISSING_SIGN_OFF", "PARENTHESIS_ALIGNMENT"]);
    assert_eq!(complaints[0].text, "line 42: WARNING:LONG_LINE: line length of 110 exceeds 100 columns");
}

#[test]
fn the_compilers_command_only_warns() {
    assert_eq!(warnings::command_file("virt/kvm/kvm_main.c").as_deref(), Some("virt/kvm/.kvm_main.o.cmd"));
    assert_eq!(warnings::command_file("include/linux/mm.h"), None);
    let kept = "savedcmd_mm/shmem.o := ccache gcc -Wp,-MMD,mm/.shmem.o.d -Wall -DX=$(pound)1  -c -o mm/shmem.o \
                /src/mm/shmem.c ; ./tools/objtool/objtool --orc mm/shmem.o\n\nsource_mm/shmem.o := /src/mm/shmem.c\n";
    let command = warnings::command(kept).unwrap();
    assert!(
        command.starts_with("ccache gcc -Wall -DX=#1 ") && command.ends_with(" -Wno-error -o /dev/null"),
        "{command}"
    );
    // A build without W=1 turns it off by name, and then -Wextra does not turn it on.
    assert!(command.contains(" -Wunused-but-set-variable "), "{command}");
    assert!(command.contains("-Wextra") && !command.contains("objtool") && !command.contains("-MMD"), "{command}");
}

#[test]
fn a_warning_that_moved_is_not_new() {
    let read = |lines: &str| warnings::warnings(lines);
    let before = read("/src/mm/x.c: In function 'f':\n/src/mm/x.c:10:5: warning: unused variable 'a' [-Wunused]\n");
    let moved = read("mm/x.c:12:5: warning: unused variable 'a' [-Wunused]\n");
    assert_eq!(warnings::new(&before, &moved), Vec::<String>::new());
    let twice = [moved.clone(), moved].concat();
    assert_eq!(warnings::new(&before, &twice), ["x.c: unused variable 'a' [-Wunused]"]);
}

#[test]
fn diffstats_are_those_of_git() {
    let mut checked = 0;
    for target in Target::names(&patches()).unwrap() {
        let target = Target::load(&patches(), &target).unwrap();
        for patch in xtask::series::load(&target.series().unwrap()).unwrap() {
            let files: Vec<_> = patch.files.iter().map(Changed::of).collect();
            let stat = diffstat::render(&files);
            assert!(String::from_utf8_lossy(&patch.bytes).contains(&format!("\n{stat}\n")), "{stat}{}", patch.subject);
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} patches");
}

#[test]
fn a_hunk_that_moves_is_told_with_its_function() {
    // A label is nearer, but no function.
    let before = numbered(40).replace("line 30\n", "int f(void)\n").replace("line 31\n", "out:\n");
    let (patch, _) = edit(1, &before, 35, "x");
    let (_dir, repo, base) = repo(&before);
    let moved = commit(&repo, &[("mm/x.c", &format!("new\n{before}"))], Some(base));
    let steps = refresh(&repo, moved, &[patch]).unwrap();
    let text = String::from_utf8(steps[0].bytes.clone().unwrap()).unwrap();
    assert!(text.contains("@@ -33,7 +33,7 @@ int f(void)\n"), "{text}");
}
