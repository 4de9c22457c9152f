// SPDX-License-Identifier: GPL-2.0-only
//! Mails and patches that are wrong, or mean harm: each is refused in words that say
//! what is wrong with it, and nothing but words comes of it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod source_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{Oid, Repository};
use source_support::commit;
use xtask::review::submission::of_mail;
use xtask::series::fits;

/// Each fixture, and words of its refusal.
const TABLE: [(&str, &[&str]); 35] = [
    ("01-path-leads-out.mbox", &["leads out of the tree"]),
    ("02-path-is-absolute.mbox", &["`/etc/passwd`, which is absolute"]),
    ("03-path-in-git-folder.mbox", &["reaches into .git"]),
    ("04-path-with-nul.mbox", &["is not a file name"]),
    ("05-path-steers-the-terminal.mbox", &["is not a file name"]),
    ("06-symbolic-link.mbox", &["a symbolic link (mode 120000)"]),
    ("07-symbolic-link-in-index-line.mbox", &["a symbolic link (mode 120000)"]),
    ("08-submodule.mbox", &["a submodule (mode 160000)"]),
    ("09-weird-mode.mbox", &["the file mode 104755 is not one of git's"]),
    ("10-binary.mbox", &["a binary change, which is not supported"]),
    ("11-wrapped.mbox", &["hunk 1", "the line above is wrapped: `*task, unsigned long address)`", "`it` is the rest"]),
    ("12-entities.mbox", &["ends too early", "`&amp;` is HTML"]),
    ("13-cut-off.mbox", &["hunk 1 (@@ -1,9 +1,9 @@) ends too early"]),
    ("14-too-many-lines.mbox", &["hunk 1 (@@ -1,2 +1,2 @@) has more lines than its header says"]),
    ("15-huge-numbers.mbox", &["hunk 1 has a header that cannot be read"]),
    ("16-hunk-without-file.mbox", &["a hunk that belongs to no file"]),
    ("17-both-are-dev-null.mbox", &["/dev/null before and after"]),
    ("18-file-over-folder.mbox", &["mm does not apply: there is a folder of that name"]),
    ("19-file-below-file.mbox", &["mm/x.c/y does not apply: a folder of its path is a file"]),
    ("20-incomplete.mbox", &["of revision 1 (3 patches) is missing: 2"]),
    ("21-two-claim-one-place.mbox", &["two messages are patch 2/2 of revision 1, and they differ"]),
    ("22-html-only.mbox", &["no message is a patch"]),
    ("23-deep-mime.mbox", &["no message is a patch"]),
    ("24-bad-base64.mbox", &["no message is a patch"]),
    ("25-not-a-mail.mbox", &["no message is a patch"]),
    ("26-empty.mbox", &["no message is a patch"]),
    ("27-rename-leads-out.mbox", &["`../outside.c`, which leads out of the tree"]),
    ("28-copy-over-file.mbox", &["the file of the new name is there already"]),
    ("29-long-line.mbox", &["bytes in one line: refused"]),
    ("30-changes-nothing.mbox", &["hunk 1 (@@ -1,3 +1,3 @@) changes nothing"]),
    ("31-cover-letter-only.mbox", &["no message is a patch"]),
    (
        "32-archive-page.txt",
        &[
            "there are 2 hunks in it",
            "line 1: the text has no mail headers: is it a page of a mail archive?",
            "addresses have been cut short",
            "hunk 1 (@@ -1,4 +1,4 @@ static int a_function(struct task_struct *task, bool):\n",
            "line 14: the line above is wrapped",
            "`current-mm` seems to lack a `>` (`current->mm`)",
            "seems to lack an `&`",
            "hunk 2 (@@ -20,6 +20,6 @@ static int another(void)):\n",
            "line 24: it ends too early: 3 old and 3 new lines are missing",
        ],
    ),
    ("33-path-for-a-shell.mbox", &["`mm/a;touch${IFS}x;b.c`, which has characters that a shell or make acts on"]),
    ("34-path-for-make.mbox", &["`--eval=$(shell touch x).c`, which would be an option of the programs that get it"]),
    ("35-rename-for-a-shell.mbox", &["`mm/$(touch x).c`, which has characters that a shell or make acts on"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile")
}

fn tree() -> (tempfile::TempDir, Repository, Oid) {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repository::init_bare(dir.path()).unwrap();
    let base = commit(&repo, &[("mm/x.c", "one\ntwo\nthree\n"), ("mm/y.c", "y\n"), ("Makefile", "m\n")], None);
    (dir, repo, base)
}

/// All that is said of some bytes on their way onto a tree; empty if nothing is wrong.
fn refusal(bytes: &[u8]) -> String {
    let submission = match of_mail(bytes) {
        Ok(submission) => submission,
        Err(error) => return error.to_string(),
    };
    let mut told = Vec::new();
    let mut patches = Vec::new();
    for entry in submission.entries {
        match entry.parsed {
            Ok(patch) => patches.push(patch),
            Err(why) => told.extend(why),
        }
    }
    let (_dir, repo, base) = tree();
    let fits = fits(&repo, base, &patches).unwrap();
    told.extend(fits.iter().filter(|fitted| !fitted.fit.applies()).map(|fitted| fitted.fit.to_string()));
    told.join("\n")
}

#[test]
fn each_is_refused_in_words_that_say_why() {
    let mut committed: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    committed.sort();
    assert_eq!(committed, TABLE.map(|(name, _)| name), "the table and the folder differ");
    let mut wrong = Vec::new();
    for (name, words) in TABLE {
        let told = refusal(&std::fs::read(folder().join(name)).unwrap());
        let lacks = words.iter().filter(|word| !told.contains(**word));
        wrong.extend(lacks.map(|word| format!("{name} lacks {word:?}: {told}")));
        if told.contains('\u{1b}') {
            wrong.push(format!("{name} steers the terminal"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_patch_is_not_refused() {
    let good = "From: A <a@example.org>\nDate: Mon, 15 Sep 2025 16:00:00 +0200\nSubject: [PATCH] mm: x\n\nWhy.\n---\n\
                diff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n";
    assert_eq!(refusal(good.as_bytes()), "");
}

/// Every file below a folder.
fn listing(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let files = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().len())).collect()
}

/// The command itself, in a world of its own: it says something, ends by itself, and
/// leaves files nowhere but in its cache.
#[test]
fn the_command_writes_nowhere_else() {
    let world = tempfile::tempdir().unwrap();
    let [home, cache, linux, work] = ["home", "cache", "linux", "work"].map(|name| world.path().join(name));
    for dir in [&home, &cache, &linux, &work] {
        std::fs::create_dir(dir).unwrap();
    }
    let files = [
        ("Makefile", "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\nEXTRAVERSION =\n"),
        ("Kbuild", "\n"),
        ("Kconfig", "\n"),
    ];
    for (name, text) in files {
        std::fs::write(linux.join(name), text).unwrap();
    }
    std::fs::create_dir(linux.join("mm")).unwrap();
    std::fs::write(linux.join("mm/x.c"), "one\ntwo\nthree\n").unwrap();
    std::fs::write(linux.join("mm/y.c"), "y\n").unwrap();
    let before = listing(world.path());
    for (name, words) in TABLE {
        let started = Instant::now();
        let output = assert_cmd::Command::cargo_bin("xtask")
            .unwrap()
            .args(["review", "--no-build", "--quiet", "--linux"])
            .arg(&linux)
            .arg(folder().join(name))
            .current_dir(&work)
            .env("HOME", &home)
            .env("KVM_GUP_IO_CACHE", &cache)
            .timeout(Duration::from_secs(60))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let code =
            output.status.code().unwrap_or_else(|| panic!("{name} was killed after {:?}: {told}", started.elapsed()));
        assert!([2, 102].contains(&code), "{name} ends with {code}: {told}");
        assert!(told.contains(words[0]), "{name}: {told}\nlacks: {}", words[0]);
        assert!(!told.contains("panicked") && !told.contains('\u{1b}'), "{name}: {told}");
    }
    let after = listing(world.path());
    let strange: Vec<_> =
        after.keys().filter(|path| !path.starts_with(&cache) && !before.contains_key(*path)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
