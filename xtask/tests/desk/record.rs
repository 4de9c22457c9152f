// SPDX-License-Identifier: GPL-2.0-only
//! `logs` and `open`.

use std::path::{Path, PathBuf};

use predicates::prelude::*;
use predicates::str::{contains, starts_with};

use super::{write, xtask};

/// A record whose console says what a terminal would obey.
fn record(home: &Path) -> PathBuf {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/matrix");
    let run = home.join("checkout/results/runs/20260102T000000Z-bbbbbb");
    for name in ["run.json", "outcome.json", "v6.1.target.toml", "v7.3.target.toml"] {
        if let Ok(bytes) = std::fs::read(stored.join(name)) {
            write(&run.join(name), &bytes);
        }
    }
    for boot in ["v6.1-baseline", "v6.1-patched", "v7.3-baseline", "v7.3-patched"] {
        write(&run.join(boot).join("argv.json"), b"[]");
        let said = format!("[    0.1] Linux {boot}\r\n\x1b[2J\x07end");
        write(&run.join(boot).join("console.raw"), said.as_bytes());
        write(&run.join(boot).join("qemu.stderr"), b"");
        let transcript = std::fs::read(stored.join(boot).join("transcript.json")).unwrap();
        write(&run.join(boot).join("transcript.json"), &transcript);
    }
    run
}

#[test]
fn logs_are_shown_below_their_paths_and_harmless() {
    let home = tempfile::tempdir().unwrap();
    let run = record(home.path());
    let console = run.join("v6.1-patched/console.raw").display().to_string();
    let all = xtask(home.path(), &["logs"]).assert().success();
    all.stdout(contains("Linux v6.1-baseline").and(contains("Linux v7.3-patched")).and(contains("qemu.stderr").not()));
    let text = format!("==> {console} <==\n[    0.1] Linux v6.1-patched\nend\n");
    xtask(home.path(), &["logs", "--boot", "v6.1-patched"]).assert().success().stdout(text);
    let paths = xtask(home.path(), &["logs", "20260102T000000Z-bbbbbb", "--boot", "v6.1-patched", "--paths"]).assert();
    paths.success().stdout(format!("{console}\n"));
}

#[test]
fn a_boot_or_run_that_is_not_there_is_told_with_those_that_are() {
    let home = tempfile::tempdir().unwrap();
    xtask(home.path(), &["logs"]).assert().code(4);
    record(home.path());
    let told = contains("has no boot \"v6.1\"; it has v6.1-baseline, v6.1-patched");
    xtask(home.path(), &["logs", "--boot", "v6.1"]).assert().code(4).stdout("").stderr(told);
    xtask(home.path(), &["open", "no-such-run"]).assert().code(4).stdout("").stderr(contains("no-such-run"));
}

#[test]
fn a_page_is_written_shown_and_named() {
    let home = tempfile::tempdir().unwrap();
    let run = record(home.path());
    let (browser, seen) = (home.path().join("browser"), home.path().join("seen"));
    // Written by another process: a descriptor of ours would make it "busy" (ETXTBSY).
    let script = format!("#!/bin/sh\necho \"$1\" > {}\n", seen.display());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", r#"printf '%s' "$2" > "$1" && chmod 755 "$1""#, "sh"]).arg(&browser).arg(script);
    assert!(shell.status().unwrap().success());
    let page = run.join("report.html");
    let named = format!("{}\n", page.display());
    xtask(home.path(), &["open"]).env("BROWSER", &browser).assert().success().stdout(named.clone());
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), named);
    assert!(starts_with("<!DOCTYPE html>").eval(&std::fs::read_to_string(&page).unwrap()));
    // Neither: the name is all.
    xtask(home.path(), &["open"]).env("PATH", "/nowhere").assert().success().stdout(named.clone()).stderr("");
    let broken = xtask(home.path(), &["open"]).env("BROWSER", "/bin/false").assert();
    broken.code(110).stdout(named).stderr(contains("exited with status 1"));
}
