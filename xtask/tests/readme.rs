// SPDX-License-Identifier: GPL-2.0-only
//! README, `--help` and the committed evidence say the same.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use xtask::cli::{Cli, Command, DEFAULT_TARGET, MatrixArgs, ResultsArgs, ResultsVerb};
use xtask::report::readme;
use xtask::store::read_references;
use xtask::storm::readme as storm;
use xtask::storm::run::{name, references};
use xtask::target::Target;
use xtask::verdict::Verdict;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text() -> String {
    let path = checkout().join("README.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_measured_table_is_that_of_the_committed_runs() {
    let references = read_references(&checkout()).unwrap();
    assert!(!references.is_empty(), "results/reference holds no evidence");
    readme::check(&text(), &references).unwrap();
}

#[test]
fn the_storms_are_those_of_the_committed_evidence() {
    let reports = references(&checkout()).unwrap();
    storm::check(&text(), &reports).unwrap();
    for report in &reports {
        assert_eq!(report.verdict, Verdict::Pass);
        let plot = checkout().join(format!("results/reference/{}.svg", name(report)));
        assert!(plot.is_file(), "{} is not there", plot.display());
    }
}

#[test]
fn every_verdict_is_explained_with_its_exit_code() {
    let text = text();
    for verdict in [
        Verdict::Pass,
        Verdict::Inconclusive,
        Verdict::Fail,
        Verdict::Invalid,
        Verdict::ApplyFailed,
        Verdict::BuildFailed,
        Verdict::Crashed,
        Verdict::Infra,
    ] {
        let row = format!("| {} | {verdict} |", verdict.exit_code());
        assert!(text.contains(&row), "README lacks the row {row:?}");
    }
}

#[test]
fn every_subcommand_that_readme_shows_exists_and_the_reverse() {
    let text = text();
    let cli = Cli::command();
    let names: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
    for name in &names {
        assert!(text.contains(&format!("cargo xtask {name}")), "README does not show `{name}`");
    }
    for word in text.split("cargo xtask ").skip(1).filter_map(|rest| rest.split_whitespace().next()) {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        assert!(names.contains(&word), "README shows `cargo xtask {word}`, which does not exist");
    }
}

#[test]
fn the_default_target_is_a_target() {
    let names = Target::names(&checkout().join("patches")).unwrap();
    assert!(names.iter().any(|name| name == DEFAULT_TARGET), "{names:?}");
}

#[test]
fn the_quoted_hold_is_the_default() {
    let hold = format!("withheld for up to {} ms", selftests::plan::HOLD_MS);
    assert!(text().contains(&hold), "README does not say {hold:?}");
}

#[test]
fn the_ci_files_give_commands_that_exist() {
    for name in ["github-actions.yml", "gitlab-ci.yml"] {
        let text = std::fs::read_to_string(checkout().join("docs/ci").join(name)).unwrap();
        let text = text.replace("\"${{ matrix.job.id }}\"", "v6.1-debug").replace("\\(.id)", "v6.1-debug");
        let mut seen = Vec::new();
        for rest in text.split("cargo xtask ").skip(1) {
            let line = rest.split(['|', ')', '"', '>', '\n']).next().unwrap_or_default();
            let words = ["xtask"].into_iter().chain(line.split_whitespace());
            let parsed = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
            seen.push(match parsed.command {
                Command::Matrix(MatrixArgs { plan: true, .. }) => "plan",
                Command::Matrix(MatrixArgs { job: Some(_), .. }) => "job",
                Command::Results(ResultsArgs { verb: ResultsVerb::Merge(_) }) => "merge",
                Command::Report(_) => continue,
                other => panic!("{name}: {line} is {other:?}"),
            });
        }
        assert_eq!(seen, ["plan", "job", "merge"], "{name}");
    }
}

/// A crontab takes what is shown, in README and in the help.
#[test]
fn the_line_of_a_crontab_is_a_command_that_exists() {
    let help = Cli::command().find_subcommand_mut("nightly").unwrap().render_long_help().to_string();
    let of =
        |text: &str| text.lines().find(|line| line.trim_start().starts_with("17 2 * * *")).unwrap().trim().to_owned();
    let line = of(&text());
    assert_eq!(line, of(&help));
    let words = line.split_once("cargo ").unwrap().1.split_whitespace();
    let Command::Nightly(args) = Cli::try_parse_from(words).unwrap().command else { panic!("{line}") };
    assert!(
        args.measure.boot.manners.yes
            && args.measure.boot.manners.quiet
            && args.budget.is_some()
            && args.disk.is_some(),
        "{args:?}"
    );
    // To cron, a per cent sign is the end of a line.
    assert!(!line.contains('%'), "{line}");
}
