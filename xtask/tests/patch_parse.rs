// SPDX-License-Identifier: GPL-2.0-only
//! The format of patch files, and what is refused in one.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

use std::path::Path;

use proptest::prelude::*;
use xtask::patch::{LineKind, Patch, PatchError, parse};

const MAIL: &str = include_str!("fixtures/0001-mail.patch");

fn parse_text(text: &str) -> Result<Patch, PatchError> {
    parse(Path::new("series/0001-x.patch"), text.as_bytes())
}

fn refusal(text: &str) -> String {
    parse_text(text).unwrap_err().to_string()
}

fn body(path: &str) -> String {
    format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n")
}

#[test]
fn a_mail_gives_author_date_subject_and_message() {
    let patch = parse_text(MAIL).unwrap();
    assert_eq!(patch.subject, "mm: do not wait for a folded subject line that goes on here");
    assert_eq!((patch.author.name.as_str(), patch.author.email.as_str()), ("Ada Lovelace", "ada@example.org"));
    assert_eq!(patch.author.when, Some((1_410_271_200, 120)));
    assert!(
        patch.message.starts_with("mm: do not wait")
            && patch.message.ends_with("Signed-off-by: Ada Lovelace <ada@example.org>\n")
    );
    assert!(!patch.message.contains("2 files changed"));
    assert_eq!(patch.bytes, MAIL.as_bytes());
}

#[test]
fn every_file_and_hunk_is_there() {
    let patch = parse_text(MAIL).unwrap();
    let names: Vec<_> =
        patch.files.iter().map(|file| (file.old.as_deref(), file.new.as_deref(), file.hunks.len())).collect();
    let expected = [
        (Some("mm/x.c"), Some("mm/x.c"), 2),
        (None, Some("mm/new.c"), 1),
        (Some("mm/old.c"), None, 1),
        (Some("run.sh"), Some("run.sh"), 0),
        (Some("a b.c"), Some("c.c"), 0),
    ];
    assert_eq!(names, expected);
    assert_eq!((patch.files[1].mode, patch.files[3].mode), (Some(0o100_644), Some(0o100_755)));
    let last = patch.files[0].hunks[1].lines.last().unwrap();
    assert_eq!((last.kind, last.text.as_slice()), (LineKind::Added, &b"end"[..]));
}

#[test]
fn a_plain_diff_is_a_patch_too() {
    let patch =
        parse_text("--- a/x.c\t2014-09-01 00:00:00\n+++ b/x.c\t2014-09-01 00:00:01\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
    assert_eq!((patch.subject.as_str(), patch.files[0].path()), ("0001-x", "x.c"));
}

#[test]
fn paths_that_leave_the_tree_are_refused_by_name() {
    for (path, why) in [
        ("../evil", "leads out of the tree"),
        ("mm/../../evil", "leads out of the tree"),
        ("/etc/passwd", "is absolute"),
        (".git/hooks/post-checkout", "reaches into .git"),
        (".GIT/config", "reaches into .git"),
    ] {
        let error = refusal(&body(path));
        assert!(
            error.contains("series/0001-x.patch") && error.contains(&format!("`{path}`")) && error.contains(why),
            "{error}"
        );
    }
    assert!(
        refusal("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n").contains("`/etc/passwd`, which is absolute")
    );
    assert!(refusal("--- ../x\n+++ ../x\n@@ -1 +1 @@\n-a\n+b\n").contains("leads out of the tree"));
    let rename = "diff --git a/x b/x\nsimilarity index 100%\nrename from x\nrename to ../y\n";
    assert!(refusal(rename).contains("`../y`, which leads out of the tree"));
    assert!(refusal("diff --git a/.git/x b/.git/x\nnew file mode 100755\n").contains("reaches into .git"));
    assert!(refusal("--- \"a/..\\057x\"\n+++ \"b/..\\057x\"\n@@ -1 +1 @@\n-a\n+b\n").contains("leads out of the tree"));
}

#[test]
fn hunks_that_do_not_agree_with_their_headers_are_refused() {
    let file = "--- a/x\n+++ b/x\n";
    for (hunk, what) in [
        (
            "@@ -1,3 +1,3 @@ f\n a\n-b\n+c\n",
            "line 7: hunk 1 (@@ -1,3 +1,3 @@ f) ends too early: 1 old and 1 new lines are missing",
        ),
        ("@@ -1,2 +1,2 @@\n a\n-b\n+c\n+d\n", "hunk 1 (@@ -1,2 +1,2 @@) has more lines than its header says"),
        ("@@ -1 +1,2 @@\n-a\n-b\n+c\n", "does not agree with its header"),
        ("@@ -1 +x @@\n-a\n+b\n", "a header that cannot be read"),
        ("@@ -1 +1 @@\n a\n", "changes nothing"),
    ] {
        let error = refusal(&format!("{file}{hunk}"));
        assert!(error.contains(what), "{error}");
    }
    assert!(refusal("@@ -1 +1 @@\n-a\n+b\n").contains("belongs to no file"));
}

#[test]
fn what_is_no_patch_is_refused() {
    assert!(refusal("From: a <a@b>\nSubject: [PATCH 0/2] cover\n\nhello\n").contains("changes no file"));
    assert!(refusal("").contains("changes no file"));
    let binary = "diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\n";
    assert!(refusal(binary).contains("line 3: a binary change"), "{}", refusal(binary));
    assert!(refusal("diff --git a/x b/x\nnew file mode 160000\n").contains("a submodule (mode 160000)"));
    assert!(refusal("diff --git a/x b/x\nnew file mode 120000\n").contains("a symbolic link (mode 120000)"));
    assert!(refusal("diff --git a/x b/x\nnew file mode 104755\n").contains("is not one of git's"));
}

#[test]
fn what_nobody_can_review_is_refused_before_it_costs_anything() {
    let file = |number: usize| format!("--- a/x{number}\n+++ b/x{number}\n@@ -1 +1 @@\n-a\n+b\n");
    let many: String = (0..2001).map(file).collect();
    assert!(refusal(&many).contains("more than 2000 files"), "{}", refusal(&many));
    let hunks = "@@ -1 +1 @@\n-a\n+b\n".repeat(5001);
    let told = refusal(&format!("--- a/x\n+++ b/x\n{hunks}"));
    assert!(told.contains("more than 5000 hunks"), "{told}");
}

/// The dearest answer is that nothing fits: of many hunks that is not searched for in
/// the whole of a long file.
#[test]
fn many_conflicts_in_a_long_file_take_seconds() {
    let hunks: String = (0..4000).map(|at| format!("@@ -{at},2 +{at},2 @@\n never {at}\n-was\n+is\n")).collect();
    let patch = parse(Path::new("p"), format!("--- a/x\n+++ b/x\n{hunks}").as_bytes()).unwrap();
    let file: String = (0..20_000).map(|at| format!("line {at}\n")).collect();
    let started = std::time::Instant::now();
    let fits = xtask::patch::fit_all(&patch.files[0].hunks, file.as_bytes());
    assert_eq!(fits.len(), 4000);
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(parse(Path::new("p"), &bytes));
    }

    #[test]
    fn a_damaged_patch_never_panics(at in 0..MAIL.len(), cut in 0..200_usize, with in "[ -~\\n]{0,20}") {
        let mut bytes = MAIL.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Ok(patch) = parse(Path::new("p"), &bytes) {
            for file in &patch.files {
                for hunk in &file.hunks {
                    drop(xtask::patch::fit(hunk, MAIL.as_bytes()));
                }
            }
        }
    }
}
