// SPDX-License-Identifier: GPL-2.0-only
//! virtme-ng absent, too old, or broken: said before anything is built.

use std::path::{Path, PathBuf};

use predicates::prelude::*;
use predicates::str::contains;

use super::xtask;

/// A checkout that has the target, and a vng that says this.
fn fake(home: &Path, script: &str) -> PathBuf {
    let path = home.join("vng");
    // By another process: a descriptor of ours would make it "busy" (ETXTBSY).
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#, "sh"]).arg(&path).arg(script);
    assert!(shell.status().unwrap().success());
    path
}

fn run(home: &Path, args: &[&str]) -> assert_cmd::assert::Assert {
    let patches = home.join("checkout/patches");
    if !patches.exists() {
        std::fs::create_dir_all(home.join("checkout")).unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patches");
        std::os::unix::fs::symlink(ours, &patches).unwrap();
    }
    xtask(home, args).env("HOME", home).env("PATH", "/usr/bin:/bin").env_remove("PIPX_BIN_DIR").assert()
}

#[test]
fn without_it_both_commands_say_how_to_get_it() {
    let home = tempfile::tempdir().unwrap();
    let vng = home.path().join("vng").display().to_string();
    for args in [vec!["shell", "v6.1"], vec!["test", "v6.1", "--runner", "vng"]] {
        let args = [args, vec!["--vng", &vng]].concat();
        run(home.path(), &args).code(110).stdout("").stderr(contains("`pipx install virtme-ng` brings it"));
    }
    assert!(!home.path().join("cache/work").exists(), "something was built");
    // A reader of JSON finds an object all the same.
    let json = ["test", "v6.1", "--runner", "vng", "--vng", &vng, "--json"];
    run(home.path(), &json).code(110).stdout(contains("\"verdict\":\"infra\""));
}

#[test]
fn one_that_is_too_old_or_broken_is_said_in_its_words() {
    let home = tempfile::tempdir().unwrap();
    let vng = fake(home.path(), "echo virtme-ng 1.9").display().to_string();
    let told = contains("the oldest that has been proved is 1.42").and(contains("pipx upgrade virtme-ng"));
    run(home.path(), &["test", "v6.1", "--runner", "vng", "--vng", &vng]).code(110).stderr(told);
    fake(home.path(), "echo no module named virtme >&2; exit 1");
    run(home.path(), &["shell", "--vng", &vng]).code(110).stderr(contains("no module named virtme"));
}

#[test]
fn a_shell_wants_a_terminal_and_a_watch_a_kernel() {
    let home = tempfile::tempdir().unwrap();
    let vng = fake(home.path(), "echo virtme-ng 1.42").display().to_string();
    run(home.path(), &["shell", "--vng", &vng]).code(2).stderr(contains("a shell wants a terminal"));
    let folder = home.path().display().to_string();
    run(home.path(), &["watch", "--linux", &folder]).code(2).stderr(contains("only a kernel's source folder"));
    run(home.path(), &["watch"]).code(2).stderr(contains("--linux"));
}
