// SPDX-License-Identifier: GPL-2.0-only
//! The program as a user meets it: exit codes and words for what makes no sense.
//! Nothing here gets as far as a kernel.

use assert_cmd::Command;
use predicates::prelude::*;

fn xtask(args: &[&str]) -> assert_cmd::assert::Assert {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/cli-cache");
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(args).env("KVM_GUP_IO_CACHE", cache).assert()
}

#[test]
fn an_unknown_target_is_told_with_those_there_are() {
    xtask(&["test", "v9.9"])
        .code(4)
        .stdout("")
        .stderr(predicate::str::contains("no target is named \"v9.9\"").and(predicate::str::contains("v6.1, v6.12")));
}

#[test]
fn the_checkout_is_the_one_that_cargo_runs_it_in() {
    let other = tempfile::tempdir().unwrap();
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let told = xtask.args(["test", "v9.9"]).env("CARGO_MANIFEST_DIR", other.path().join("xtask")).assert();
    told.code(4).stderr(predicate::str::contains(other.path().join("patches").display().to_string()));
}

#[test]
fn a_filter_that_selects_nothing_is_told_before_any_work() {
    xtask(&["test", "--cell", "anno.*"]).code(4).stdout("").stderr(predicate::str::contains("matches no cell"));
}

#[test]
fn a_wrong_word_is_exit_2_and_shows_what_is_allowed() {
    xtask(&["test", "--accel", "fast"]).code(2).stdout("").stderr(predicate::str::contains("auto, tcg, kvm"));
    xtask(&["tset"]).code(2).stderr(predicate::str::contains("test"));
}

#[test]
fn a_run_that_is_not_there_is_exit_4() {
    xtask(&["judge", "no-such-run"]).code(4).stdout("").stderr(predicate::str::contains("no-such-run"));
}

#[test]
fn help_explains_the_exit_codes() {
    xtask(&["--help"]).success().stdout(predicate::str::contains("103  a kernel crashed or hung"));
}

#[test]
fn the_committed_evidence_can_be_reported_and_compared() {
    xtask(&["report", "reference/v6.1", "--format", "ktap"])
        .success()
        .stdout(predicate::str::starts_with("KTAP version 1\n1..1\n"));
    xtask(&["results", "show", "reference"]).success().stdout(predicate::str::contains("v6.1 pass"));
    xtask(&["results", "diff", "reference", "reference"]).success().stdout(predicate::str::contains(" persistent: "));
    xtask(&["results", "diff", "reference", "reference/v6.1"]).code(125).stdout(predicate::str::contains("missing"));
    xtask(&["report", "reference/v0.0"]).code(4).stdout("").stderr(predicate::str::contains("reference/v0.0"));
}

#[test]
fn the_rule_for_noise_is_in_the_help() {
    let rule = "more than 2 times the highest median of at least 3 earlier passed runs";
    xtask(&["results", "diff", "--help"]).success().stdout(predicate::str::contains(rule));
}
