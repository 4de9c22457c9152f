// SPDX-License-Identifier: GPL-2.0-only
//! A series goes into a mailbox and comes out again, whatever else is in there.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use xtask::series::mbox::{self, Chosen, read};
use xtask::target::Target;

const COVER: &[u8] =
    b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n\
    Date: Tue, 9 Sep 2014 16:00:00 +0200\nSubject: [PATCH 0/2] both\n\nWhy both.\n";

fn patch(tags: &str, body: &str) -> Vec<u8> {
    format!(
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nDate: Tue, 9 \
         Sep 2014 16:00:00 +0200\nSubject: [{tags}] mm: do it\n\n{body}\n---\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 \
         @@\n-a\n+b\n-- \n2.47.3\n\n"
    )
    .into_bytes()
}

fn write(cover: &[u8], patches: &[Vec<u8>]) -> Vec<u8> {
    mbox::write(cover, patches).concat()
}

fn contents(chosen: &Chosen) -> Vec<&[u8]> {
    chosen.files.iter().map(|file| file.bytes.as_slice()).collect()
}

fn patches() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("patches")
}

#[test]
fn every_committed_series_comes_out_as_it_went_in() {
    for name in Target::names(&patches()).unwrap() {
        let files = Target::load(&patches(), &name).unwrap().series().unwrap();
        if files.is_empty() {
            continue;
        }
        let bytes: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let chosen = read(&write(COVER, &bytes)).unwrap();
        assert_eq!(contents(&chosen), bytes, "{name}");
        let names: Vec<String> =
            files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(chosen.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>(), names);
        assert_eq!(chosen.passed_over, ["[PATCH 0/2] both"]);
    }
}

#[test]
fn messages_are_threaded_and_the_same_each_time() {
    let patches = [patch("PATCH 1/2", "One."), patch("PATCH 2/2", "Two.")];
    let text = String::from_utf8(write(COVER, &patches)).unwrap();
    assert_eq!(text, String::from_utf8(write(COVER, &patches)).unwrap());
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Message-ID: ")).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(text.matches(&format!("In-Reply-To: {}", ids[0])).count(), 2);
}

#[test]
fn a_line_that_begins_with_from_begins_no_message() {
    let body = "From here on it waits.\n\nFrom me Mon Sep 17 00:00:00 2001\n>From there, too.";
    let patches = [patch("PATCH 1/2", body), patch("PATCH 2/2", "Two.")];
    assert_eq!(contents(&read(&write(COVER, &patches)).unwrap()), patches);
}

#[test]
fn only_what_would_begin_a_message_is_quoted() {
    let told = |body: &str| {
        let text = String::from_utf8(write(COVER, &[patch("PATCH 1/1", body)])).unwrap();
        text.lines().find(|line| line.contains("ere on")).unwrap().to_owned()
    };
    assert_eq!(told("From here on it waits."), "From here on it waits.");
    assert_eq!(told(">From here on it waits."), ">>From here on it waits.");
    assert_eq!(told("From there on Mon Sep 17 00:00:00 2001"), ">From there on Mon Sep 17 00:00:00 2001");
    // Git takes this for a beginning, too.
    assert_eq!(told("From there on Mon Sep 17 9:00:00 2001"), ">From there on Mon Sep 17 9:00:00 2001");
}

#[test]
fn a_patch_file_without_its_first_line_is_a_message_all_the_same() {
    let plain = patch("PATCH 1/1", "One.");
    let at = plain.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    assert_eq!(contents(&read(&write(COVER, &[plain[at..].to_vec()])).unwrap()), [plain.as_slice()]);
}

#[test]
fn carriage_returns_of_a_patch_are_kept_and_those_of_the_mail_taken_off() {
    let ours = patch("PATCH 1/1", "A line with one.\r\nAnd one without.");
    let mailbox = write(COVER, std::slice::from_ref(&ours));
    assert_eq!(contents(&read(&mailbox).unwrap()), [ours.as_slice()]);
    let plain = patch("PATCH 1/1", "One.");
    let text = String::from_utf8(write(COVER, std::slice::from_ref(&plain))).unwrap();
    assert_eq!(contents(&read(text.replace('\n', "\r\n").as_bytes()).unwrap()), [plain.as_slice()]);
}

/// Real git takes what we write: each message becomes the commit that its patch says.
#[test]
fn git_am_makes_the_commits() {
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(dir.path()).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(args);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command.output()
    };
    if git(&["--version"]).is_err() {
        eprintln!("skipped: this host has no git");
        return;
    }
    let done = |args: &[&str]| {
        let output = git(args).unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    done(&["init", "-q"]);
    fs::write(dir.path().join("x"), "a\n").unwrap();
    done(&["add", "x"]);
    done(&["commit", "-qm", "base"]);
    let body = "From here on nobody waits.\n\nJ\u{f6}rg agrees.";
    let mime =
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\nFrom here";
    let first = String::from_utf8(patch("PATCH 1/2", body)).unwrap();
    let first = first.replace("From: A <", "From: =?UTF-8?q?J=C3=B6rg?= <").replacen("\nFrom here", mime, 1);
    let second = String::from_utf8(patch("PATCH 2/2", "Two.")).unwrap().replace("-a\n+b", "-b\n+c");
    let patches = [first.into_bytes(), second.into_bytes()];
    let [_, messages] = mbox::write(COVER, &patches);
    fs::write(dir.path().join("mbox"), messages).unwrap();
    done(&["am", "-q", "mbox"]);
    let log = done(&["log", "--reverse", "--format=%an|%ae|%ad|%s|%b", "--date=iso-strict", "-2"]);
    let expected = format!(
        "J\u{f6}rg|a@example.org|2014-09-09T16:00:00+02:00|mm: do it|{body}\n\nA|a@example.org|2014-09-09T16:00:00+02:00|mm: do it|Two.\n\n"
    );
    assert_eq!(log, expected);
    assert_eq!(fs::read_to_string(dir.path().join("x")).unwrap(), "c\n");
}

#[test]
fn the_newest_complete_revision_is_taken_in_order() {
    let old = [patch("PATCH 1/1", "Old.")];
    let newer = [patch("PATCH v2 2/2", "Two."), patch("PATCH v2 1/2", "One.")];
    let cut = [patch("PATCH v3 1/2", "Never sent whole.")];
    let reply = patch("PATCH v2 1/2", "x");
    let reply = String::from_utf8(reply).unwrap().replace("Subject: [", "Subject: Re: [").into_bytes();
    let all: Vec<Vec<u8>> = [&old[..], &newer, &cut, &[reply]].concat();
    let chosen = read(&write(COVER, &all)).unwrap();
    assert_eq!(contents(&chosen), [newer[1].as_slice(), newer[0].as_slice()]);
    assert_eq!(chosen.files[0].name, "0001-mm-do-it.patch");
    let told = chosen.passed_over.join("\n");
    assert!(told.contains("revision 1 with 1 patches") && told.contains("revision 3 with 1 patches"), "{told}");
    assert!(told.contains("Re: [PATCH v2 1/2]"), "{told}");
}

#[test]
fn what_is_missing_is_said() {
    let told = |messages: &[Vec<u8>]| read(&write(COVER, messages)).unwrap_err().to_string();
    assert!(told(&[patch("PATCH 1/3", "x"), patch("PATCH 3/3", "x")]).contains("(3 patches) is missing: 2"));
    assert!(told(&[]).contains("no message is a patch"));
    let twice = told(&[patch("PATCH 1/1", "x"), patch("PATCH 1/1", "y")]);
    assert!(twice.contains("patch 1/1 of revision 1, and they differ"), "{twice}");
    assert!(read(b"").is_err());
}

#[test]
fn encoded_bodies_and_foreign_headers_become_a_plain_patch() {
    let mail = |encoding: &str, body: &str| {
        format!(
            "From ada@example.org Tue Sep  9 16:00:00 2014\r\nReceived: from x by y\r\nSubject: =?UTF-8?q?=5BPATCH_1/1?= \
             =?UTF-8?q?=5D_mm=3A_do_it?=\r\nFrom: Ada <ada@example.org>\r\nContent-Type: text/plain; \
             charset=UTF-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
        )
    };
    let diff = "---\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a =b\n+\u{e9}\n";
    let quoted =
        mail("quoted-printable", &diff.replace("=b", "=3Db").replace('\u{e9}', "=C3=A9").replace('\n', "\r\n"));
    let base64 =
        mail("base64", "LS0tCmRpZmYgLS1naXQgYS94IGIveAotLS0gYS94CisrKyBiL3gKQEAgLTEgKzEgQEAKLWEgPWIK\r\nK8OpCg==\r\n");
    let plain = mail("8bit", &diff.replace('\n', "\r\n"));
    for mail in [quoted, base64, plain] {
        let chosen = read(mail.as_bytes()).unwrap();
        let text = String::from_utf8(chosen.files[0].bytes.clone()).unwrap();
        assert!(text.ends_with(diff), "{text}");
        assert!(!text.contains("Received") && !text.contains('\r') && text.contains("From: Ada"), "{text}");
        assert_eq!(chosen.files[0].name, "0001-mm-do-it.patch");
        xtask::patch::parse(Path::new("x.patch"), text.as_bytes()).unwrap();
    }
}

#[test]
fn a_subject_is_never_a_path() {
    let mail = String::from_utf8(patch("PATCH 1/1", "x")).unwrap();
    for (subject, name) in
        [("../../etc/passwd", "0001-.-.-etc-passwd.patch"), ("/a//b.c:", "0001-a-b.c.patch"), ("…", "0001-.patch")]
    {
        let mail = mail.replace("mm: do it", subject);
        assert_eq!(read(mail.as_bytes()).unwrap().files[0].name, name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_comes_out_as_it_went_in(body in "([>From a-z:0-9é=\r\n]|From x 10:10:10 2014|>From ){0,200}") {
        let patches = [patch("PATCH 1/2", &body), patch("PATCH 2/2", "Two.")];
        let chosen = read(&write(COVER, &patches)).unwrap();
        prop_assert_eq!(contents(&chosen), patches.to_vec());
    }

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(read(&bytes));
    }
}
