// SPDX-License-Identifier: GPL-2.0-only
//! Completions, asked of a real shell, and the manual pages.

use std::process::Command;

use predicates::prelude::*;
use predicates::str::contains;

use super::xtask;

/// What bash offers for these words behind `cargo`, with another completion of cargo's in place.
fn offered(words: &[&str]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let script = xtask(home.path(), &["completions", "bash"]).assert().success().get_output().stdout.clone();
    let file = home.path().join("completions.bash");
    std::fs::write(&file, script).unwrap();
    let last = words.last().unwrap();
    let ask = format!(
        "_cargo() {{ COMPREPLY=(build from-cargo); }}; complete -F _cargo cargo; source {0}; source {0}; \
         COMP_WORDS=(cargo {1}); COMP_CWORD={2}; COMP_LINE='cargo {1}'; COMP_POINT=${{#COMP_LINE}}; \
         _cargo_xtask cargo '{last}' '{3}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.display(),
        words.iter().map(|word| if word.is_empty() { "''" } else { word }).collect::<Vec<_>>().join(" "),
        words.len(),
        if words.len() > 1 { words[words.len() - 2] } else { "cargo" },
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(err, "", "{ask}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_behind_cargo_and_leaves_cargo_its_own() {
    assert_eq!(offered(&["xtask", "bis"]), ["bisect"]);
    assert!(offered(&["xtask", "test", "--s"]).contains(&"--side".to_owned()));
    assert_eq!(offered(&["xtask", "report", "--format", "kt"]), ["ktap"]);
    assert_eq!(offered(&["b"]), ["build", "from-cargo"]);
}

#[test]
fn the_other_shells_are_handed_over_to_and_no_more_are_offered() {
    let home = tempfile::tempdir().unwrap();
    xtask(home.path(), &["completions", "zsh"])
        .assert()
        .success()
        .stdout(contains("_cargo-xtask()").and(contains("compdef _cargo_xtask cargo")));
    xtask(home.path(), &["completions", "fish"]).assert().success().stdout(contains("complete -c cargo"));
    xtask(home.path(), &["completions", "elvish"]).assert().code(2).stdout("").stderr(contains("bash, zsh and fish"));
}

#[test]
fn there_is_a_page_for_each_command() {
    let home = tempfile::tempdir().unwrap();
    let first = xtask(home.path(), &["man"]).assert().success();
    first.stdout(contains(".TH cargo-xtask 1").and(contains("103  a kernel crashed")));
    let dir = home.path().join("man");
    xtask(home.path(), &["man", "--into", dir.to_str().unwrap()]).assert().success().stdout("");
    for page in ["cargo-xtask.1", "cargo-xtask-test.1", "cargo-xtask-series-verify.1"] {
        assert!(dir.join(page).is_file(), "{page}");
    }
}
