// SPDX-License-Identifier: GPL-2.0-only
//! `--quiet`, `--verbose`, `--color`: before a command's name and behind it.

use std::path::Path;

use clap::Parser;
use predicates::prelude::*;
use predicates::str::contains;
use xtask::cli::{Cli, Command};
use xtask::manners::{ColorChoice, Level};

const RED: &str = "\u{1b}[31m";

#[test]
fn they_are_taken_on_both_sides_of_a_commands_name() {
    for words in [["-q", "test"], ["test", "-q"], ["--quiet", "bench"], ["bench", "--quiet"], ["du", "-q"]] {
        let cli = Cli::try_parse_from(["xtask"].iter().chain(&words)).unwrap();
        assert_eq!(cli.everywhere.manners().level, Level::Quiet, "{words:?}");
    }
    let cli = Cli::try_parse_from(["xtask", "-q", "test"]).unwrap();
    let Command::Test(args) = &cli.command else { panic!("not test") };
    assert!(args.measure.boot.manners.quiet);
    let cli = Cli::try_parse_from(["xtask", "results", "list", "-v", "--color", "never"]).unwrap();
    assert_eq!((cli.everywhere.manners().level, cli.everywhere.color), (Level::Verbose, ColorChoice::Never));
    assert!(Cli::try_parse_from(["xtask", "-q", "-v", "du"]).is_err());
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/matrix").display().to_string();
    let show = |args: &[&str], variable: Option<&str>| {
        let home = tempfile::tempdir().unwrap();
        let mut command = super::xtask(home.path(), &["results", "show", &stored]);
        command.args(args).envs(variable.map(|name| (name, "1"))).assert().get_output().stdout.clone()
    };
    let colored = |bytes: Vec<u8>| contains("\u{1b}[").eval(&String::from_utf8(bytes).unwrap());
    assert!(!colored(show(&[], None)));
    assert!(colored(show(&["--color", "always"], None)), "{RED}");
    assert!(colored(show(&["--color", "always"], Some("NO_COLOR"))));
    assert!(!colored(show(&["--color", "never"], None)));
}

#[test]
fn verbose_shows_the_commands() {
    let home = tempfile::tempdir().unwrap();
    super::xtask(home.path(), &["doctor", "-v"])
        .assert()
        .stderr(predicates::str::is_match(r"(?m)^\$ .*make --version$").unwrap());
    super::xtask(home.path(), &["doctor"]).assert().stderr(contains("make --version").not());
}
