// SPDX-License-Identifier: GPL-2.0-only
//! How hunks meet files, and that applying and reversing are each other's opposite.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

use std::path::Path;

use proptest::prelude::*;
use xtask::patch::{FileState, Fitted, HunkFit, Patch, PatchFit, fit, fit_patch, parse};

fn numbered(n: usize) -> String {
    (1..=n).map(|i| format!("line {i}\n")).collect()
}

/// A patch from `old` to `new` as git writes it.
fn patch_of(old: &str, new: &str) -> Patch {
    let mut options = git2::DiffOptions::new();
    let from = Some(Path::new("mm/x.c"));
    let mut diff = git2::Patch::from_buffers(old.as_bytes(), from, new.as_bytes(), from, Some(&mut options)).unwrap();
    parse(Path::new("0001-x.patch"), &diff.to_buf().unwrap()).unwrap()
}

fn try_on(patch: &Patch, file: Option<&str>) -> Fitted {
    let state = file.map(|text| FileState { mode: 0o100_644, bytes: text.as_bytes().to_vec() });
    fit_patch(patch, |_| Ok::<_, std::convert::Infallible>(state.clone())).unwrap()
}

fn result(fitted: &Fitted) -> String {
    let (_, state) = &fitted.changes[0];
    String::from_utf8(state.as_ref().unwrap().bytes.clone()).unwrap()
}

fn changed() -> Patch {
    patch_of(&numbered(40), &numbered(40).replace("line 20\n", "line 20\nnew 20\n"))
}

#[test]
fn a_hunk_fits_where_it_says() {
    let fitted = try_on(&changed(), Some(&numbered(40)));
    assert_eq!(fit(&changed().files[0].hunks[0], numbered(40).as_bytes()), HunkFit::Exact { line: 18 });
    assert_eq!(result(&fitted), numbered(40).replace("line 20\n", "line 20\nnew 20\n"));
    assert_eq!(fitted.fit.to_string(), "patch 0001-x.patch applies");
}

#[test]
fn a_hunk_that_fits_further_down_is_an_offset() {
    let shifted = format!("top\ntop\n{}", numbered(40));
    assert_eq!(fit(&changed().files[0].hunks[0], shifted.as_bytes()), HunkFit::Offset { line: 20, by: 2 });
    let fitted = try_on(&changed(), Some(&shifted));
    assert!(fitted.fit.to_string().ends_with("applies, 1 of its hunks at another line than they say"));
    assert_eq!(result(&fitted), shifted.replace("line 20\n", "line 20\nnew 20\n"));
}

#[test]
fn fuzz_is_an_answer_of_its_own_and_refused() {
    for (odd, by) in [("line 18\n", 1), ("line 19\n", 2)] {
        let file = numbered(40).replace(odd, "odd\n");
        let fitted = try_on(&changed(), Some(&file));
        assert!(matches!(fitted.fit, PatchFit::Fuzz { by: found, .. } if found == by), "{}", fitted.fit);
        let text = fitted.fit.to_string();
        let start = "patch 0001-x.patch: mm/x.c hunk 1 of 1 (@@ -18,6 +18,7 @@";
        assert!(text.starts_with(start) && text.contains(&format!("only with fuzz {by}")), "{text}");
        assert!(fitted.changes.is_empty());
    }
}

#[test]
fn what_is_in_already_reverses_or_at_least_is_recognised() {
    let new = numbered(40).replace("line 20\n", "line 20\nnew 20\n");
    let reverses = try_on(&changed(), Some(&new)).fit;
    assert!(matches!(reverses, PatchFit::Reverses(_)), "{reverses}");
    assert!(reverses.to_string().contains("is already in: the whole patch reverses cleanly"));
    let already = try_on(&changed(), Some(&new.replace("line 18\n", "odd\n"))).fit;
    assert!(matches!(already, PatchFit::AlreadyIn(_)), "{already}");
    assert!(already.to_string().contains("hunk 1 of 1 (@@ -18,6 +18,7 @@"), "{already}");
}

#[test]
fn a_patch_that_is_in_is_not_applied_a_second_time_elsewhere() {
    // The old text is there once more, further down.
    let block = "a\nb\nc\nd\ne\nf\n";
    let old = format!("{block}{block}");
    let new = format!("a\nb\nc\nnew\nd\ne\nf\n{block}");
    let old = format!("top\n{old}");
    let new = format!("top\n{new}");
    let fit = try_on(&patch_of(&old, &new), Some(&new)).fit;
    assert!(matches!(fit, PatchFit::Reverses(_)), "{fit}");
}

#[test]
fn a_patch_half_of_which_is_in_is_told_from_one_that_is_in() {
    let one = numbered(40).replace("line 5\n", "five\n");
    let both = one.replace("line 30\n", "thirty\n");
    let fit = try_on(&patch_of(&numbered(40), &both), Some(&one)).fit;
    assert!(fit.to_string().contains("hunk 1 of 2 (@@ -2,7 +2,7 @@"), "{fit}");
    assert!(fit.to_string().ends_with("is already in, but other parts of the patch are not"), "{fit}");
}

#[test]
fn a_conflict_names_the_hunk_and_the_first_line_that_differs() {
    let both = numbered(40).replace("line 5\n", "five\n").replace("line 30\n", "thirty\n");
    let file = numbered(40).replace("line 30\n", "trente\n");
    let fit = try_on(&patch_of(&numbered(40), &both), Some(&file)).fit.to_string();
    assert!(fit.starts_with("patch 0001-x.patch: mm/x.c hunk 2 of 2 (@@ -27,7 +27,7 @@"), "{fit}");
    assert!(fit.ends_with("does not apply: at line 30 it expects `line 30`, and the file has `trente`"), "{fit}");
}

#[test]
fn a_conflict_at_the_end_of_the_file_says_so() {
    let fit = try_on(&changed(), Some(&numbered(19))).fit.to_string();
    assert!(fit.ends_with("at line 20 it expects `line 20`, and the file has the end of the file"), "{fit}");
    let at_end = patch_of(&numbered(9), &format!("{}end\n", numbered(9)));
    let fit = try_on(&at_end, Some(&numbered(20))).fit;
    assert!(!fit.applies(), "{fit}");
}

#[test]
fn a_missing_newline_at_the_end_is_kept_and_added() {
    let (with, without) = ("a\nb\nc\n", "a\nb\nc");
    assert_eq!(result(&try_on(&patch_of(with, without), Some(with))), without);
    assert_eq!(result(&try_on(&patch_of(without, with), Some(without))), with);
    assert!(!try_on(&patch_of(without, "a\nb\nx"), Some(with)).fit.applies());
}

#[test]
fn new_and_removed_files_meet_what_is_there() {
    let new = b"diff --git a/n.c b/n.c\nnew file mode 100755\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1,2 @@\n+a\n+b\n";
    let new = parse(Path::new("p"), new).unwrap();
    let fitted = try_on(&new, None);
    assert_eq!(fitted.changes[0].1, Some(FileState { mode: 0o100_755, bytes: b"a\nb\n".to_vec() }));
    assert!(matches!(try_on(&new, Some("a\nb\n")).fit, PatchFit::Reverses(_)));
    assert!(try_on(&new, Some("x\n")).fit.to_string().contains("it is there already with another content"));
    let gone = b"--- a/n.c\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n";
    let gone = parse(Path::new("p"), gone).unwrap();
    assert_eq!(try_on(&gone, Some("a\nb\n")).changes, [("n.c".to_owned(), None)]);
    assert!(matches!(try_on(&gone, None).fit, PatchFit::Reverses(_)));
    assert!(!try_on(&gone, Some("a\nb\nc\n")).fit.applies());
    let fit = try_on(&changed(), None).fit.to_string();
    assert!(fit.ends_with("mm/x.c does not apply: the file is not in the tree"), "{fit}");
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![Just("a"), Just("b"), Just(""), Just("longer line"), Just("}")];
    (proptest::collection::vec(line, 0..30), any::<bool>()).prop_map(|(lines, newline)| {
        let text = lines.join("\n");
        if newline && !lines.is_empty() { text + "\n" } else { text }
    })
}

proptest! {
    #[test]
    fn applying_gives_the_new_text_and_reversing_the_old_one(old in lines(), new in lines()) {
        prop_assume!(old != new);
        let patch = patch_of(&old, &new);
        let there = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let applied = try_on(&patch, Some(&old));
        prop_assert!(applied.fit.applies(), "{}", applied.fit);
        prop_assert_eq!(result(&applied), new.clone());
        let mut back = patch.clone();
        back.files = patch.files.iter().map(xtask::patch::FilePatch::reversed).collect();
        let reversed = try_on(&back, there(&new).as_deref().or(Some("")));
        prop_assert!(reversed.fit.applies(), "{}", reversed.fit);
        prop_assert_eq!(result(&reversed), old);
    }
}
