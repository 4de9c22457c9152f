// SPDX-License-Identifier: GPL-2.0-only
//! The command itself, on a tree of three files: no kernel, no virtual machine.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use xtask::series::warnings;

/// A tree that is a git repository, and a cache and a home of its own.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["home", "cache", "linux/mm", "linux/Documentation"] {
            std::fs::create_dir_all(world.path(name)).unwrap();
        }
        let files = [
            ("Makefile", "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\nEXTRAVERSION =\n"),
            ("Kbuild", "\n"),
            ("Kconfig", "\n"),
            ("mm/x.c", "one\ntwo\nthree\n"),
        ];
        for (name, text) in files {
            world.write(name, text);
        }
        git2::Repository::init(world.path("linux")).unwrap();
        world.commit("base");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("linux").join(name), text).unwrap();
    }

    fn commit(&self, message: &str) -> String {
        let repo = git2::Repository::open(self.path("linux")).unwrap();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::new("Ada", "ada@example.org", &git2::Time::new(1_757_944_800, 120)).unwrap();
        let parent = repo.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap().to_string()
    }

    /// Exit code, standard output, standard error.
    fn review(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::cargo_bin("xtask").unwrap();
        command.args(["review", "--quiet", "--no-build"]).args(words).current_dir(self.dir.path());
        command.env("HOME", self.path("home")).env("KVM_GUP_IO_CACHE", self.path("cache"));
        let output = command.timeout(std::time::Duration::from_secs(120)).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn linux(&self, rev: &str) -> String {
        format!("{}@{rev}", self.path("linux").display())
    }
}

#[test]
fn a_range_of_commits_is_a_series() {
    let world = World::new();
    let base = git2::Repository::open(world.path("linux")).unwrap().head().unwrap().target().unwrap().to_string();
    world.write("mm/x.c", "one\nzwei\nthree\n");
    world.commit("mm: first \u{fc}\n\nWhy.");
    world.write("mm/x.c", "one\nzwei\ndrei\n");
    let tip = world.commit("mm: second\n\nWhy.");
    let (exit, out, err) = world.review(&[&format!("{base}..{tip}"), "--linux", &world.linux(&base), "--json"]);
    assert_eq!(exit, 0, "{out}{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |key: &str| {
        json["patches"].as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("subject"), of("applies")),
        (vec!["mm: first \u{fc}".into(), "mm: second".into()], vec!["exact".into(), "exact".into()])
    );
    assert_eq!(json["not_booted"], "--no-build was given");

    // On the tip itself all of it is in already.
    let (exit, out, _) = world.review(&[&format!("{base}..{tip}"), "--linux", &world.linux(&tip)]);
    assert_eq!((exit, out.matches("already in").count() >= 2), (102, true), "{out}");
    let (exit, _, err) = world.review(&["base..nowhere", "--linux", &world.linux(&base)]);
    assert_eq!(exit, 2, "{err}");
    let (exit, _, err) = world.review(&[&format!("{tip}..{tip}"), "--linux", &world.linux(&base)]);
    assert!(exit == 4 && err.contains("has no commit"), "{err}");
}

fn mail(number: &str, body: &str) -> String {
    format!(
        "From x Mon Sep 15 16:00:00 2025\nFrom: Ada <ada@example.org>\nSubject: [PATCH {number}] mm: x\n\nWhy.\n---\n{body}-- \n2.47\n\n"
    )
}

#[test]
fn all_patches_are_told_of_in_every_form() {
    let world = World::new();
    let edit = |file: &str, from: &str, to: &str| {
        format!("--- a/{file}\n+++ b/{file}\n@@ -1,3 +1,3 @@\n one\n-{from}\n+{to}\n three\n")
    };
    let mails = mail("1/3", &edit("mm/x.c", "never", "was"))
        + &mail("2/3", &edit("mm/x.c", "two", "zwei"))
        + &mail("3/3", "--- a/Kconfig\n+++ b/Kconfig\n@@ -1 +1 @@\n-\n+x\n");
    let path = world.path("x.mbox");
    std::fs::write(&path, &mails).unwrap();
    let [linux, path, reply] =
        [world.path("linux"), path, world.path("reply.md")].map(|path| path.display().to_string());
    let (exit, out, err) = world.review(&[&path, "--linux", &linux, "--markdown", &reply]);
    assert_eq!(exit, 102, "{out}{err}");
    for word in [
        "mm/x.c hunk 1 of 1 (@@ -1,3 +1,3 @@) does not apply",
        "it expects `never`",
        "not built: patch 1 does not apply",
    ] {
        assert!(out.contains(word), "{out}");
    }
    assert!(std::fs::read_to_string(reply).unwrap().contains("**apply-failed** (exit 102)"));
    let (_, b4, _) = world.review(&[&path, "--linux", &linux, "--b4"]);
    let b4: serde_json::Value = serde_json::from_str(&b4).unwrap();
    assert_eq!(b4[0]["summary"], "1: no; 2: exact; 3: exact");
    // Even what is refused whole is an array for b4, and an object for others.
    std::fs::write(world.path("no.mbox"), "Subject: hello\n\n@@ -1,2 +1,2 @@\n one\n").unwrap();
    let no = world.path("no.mbox").display().to_string();
    let (exit, out, _) = world.review(&[&no, "--linux", &linux, "--b4"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &told[0]["status"]), (102, &"fail".into()));
    let (_, out, _) = world.review(&[&no, "--linux", &linux, "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["exit"], 102);
}

#[test]
fn a_rule_of_the_build_is_not_built_unless_trusted() {
    let world = World::new();
    std::fs::write(world.path("x.mbox"), mail("1/1", "--- a/Kconfig\n+++ b/Kconfig\n@@ -1 +1 @@\n-\n+x\n")).unwrap();
    let [linux, path] = [world.path("linux"), world.path("x.mbox")].map(|path| path.display().to_string());
    let (exit, out, _) = world.review(&[&path, "--linux", &linux]);
    assert!(
        exit == 125 && out.contains("patch 1 changes Kconfig, which a build may run on this machine"),
        "{exit} {out}"
    );
    let (exit, out, _) = world.review(&[&path, "--linux", &linux, "--trust"]);
    assert_eq!(exit, 0, "{out}");
}

#[test]
fn make_is_given_plain_names_only() {
    assert_eq!(warnings::command_file("mm/x.c").unwrap(), "mm/.x.o.cmd");
    for none in ["mm/x.h", "mm/a b.c", "mm/a;b.c", "mm/$(b).c", "mm/a -f b.c"] {
        assert_eq!(warnings::command_file(none), None, "{none}");
    }
}

#[test]
fn sparse_reads_what_the_compiler_read() {
    let note = "savedcmd_mm/x.o := ccache gcc -Wp,-MMD,mm/.x.o.d -nostdinc -Iinclude -D__KERNEL__ '-DKBUILD_MODNAME=\"x\"' -c -o mm/x.o mm/x.c ; ./tools/objtool mm/x.o\n";
    let command = warnings::sparse(note, Path::new("/usr/bin/sparse")).unwrap();
    assert!(command.starts_with("/usr/bin/sparse -D__linux__ ") && command.contains(" -Wbitwise "), "{command}");
    assert!(command.ends_with("-nostdinc -Iinclude -D__KERNEL__ '-DKBUILD_MODNAME=\"x\"' mm/x.c"), "{command}");
    let said = "mm/x.c:7:3: warning: incorrect type in argument\nmm/x.c:9:1: error: undefined identifier\n";
    assert_eq!(warnings::warnings(said), ["x.c: incorrect type in argument", "x.c: undefined identifier"]);
}

/// Mail is read by programs that were not made for strangers: checkpatch.pl puts what
/// looks like the name of a file into a shell's command, wherever it stands.
#[test]
fn no_program_is_given_what_a_shell_would_act_on() {
    let world = World::new();
    std::fs::create_dir(world.path("linux/scripts")).unwrap();
    let script = r#"
        for my $line (<STDIN>, do { open(my $f, '<', $ARGV[-1]); <$f> }) {
            system("true $1") if $line =~ /^\+\+\+\s+(\S+)/;
        }
        print "x:1: WARNING:GIT_DIR: $ENV{GIT_DIR}\n";
        exit 1;
    "#;
    world.write("scripts/checkpatch.pl", script);
    world.commit("with checkpatch");
    let pwned = world.path("pwned");
    let edit = "--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n";
    let bad = format!("+++ b/x;touch${{IFS}}{}\n\n{edit}", pwned.display());
    let bad = mail("1/1", "").replace("Why.\n---\n", &format!("Why.\n---\n{bad}"));
    for (name, text) in [("good.mbox", mail("1/1", edit)), ("bad.mbox", bad)] {
        std::fs::write(world.path(name), text).unwrap();
    }
    let [linux, good, bad] = ["linux", "good.mbox", "bad.mbox"].map(|name| world.path(name).display().to_string());
    let (exit, out, err) = world.review(&[&good, "--linux", &linux]);
    assert!(exit == 125 && out.contains("WARNING:GIT_DIR: /nonexistent"), "{exit} {out}{err}");
    let (exit, out, err) = world.review(&[&bad, "--linux", &linux]);
    assert!(exit == 125 && out.contains("not run"), "{exit} {out}{err}");
    assert!(out.contains("line 7: checkpatch.pl would give to a shell"), "{out}");
    assert!(!pwned.exists(), "a mail has run a command");
}
