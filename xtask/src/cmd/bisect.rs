// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bisect`: which commit, patch or kernel made others wait.
//!
//! Owns: what the arguments mean, those of a resumed bisection included, and what is
//! printed where. Nothing is decided here but what comes next.

mod subject;

use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Parser;
use sha2::{Digest, Sha256};

use super::lab::{self, Tools};
use crate::bisect::driver::{Driver, End, Limits};
use crate::bisect::effect::{Metric, Wanted};
use crate::bisect::evidence::Direction;
use crate::bisect::items::{Items, Kind};
use crate::bisect::journal::{self, Event, Header, Journal};
use crate::bisect::kernels::{Bench, Kernels};
use crate::bisect::policy::{Endpoints, Policy};
use crate::bisect::report::{self, Report};
use crate::cli::{BisectArgs, BootArgs, Cli, Command, Find};
use crate::error::Error;
use crate::kbuild;
use crate::store;
use subject::Subject;

/// Runs it; the exit code is the report's.
///
/// # Errors
/// As [`Error`] lists.
pub fn run(args: &BisectArgs, checkout: &Path) -> Result<u8, Error> {
    let result = match &args.resume {
        None => begin(args, &std::env::args().collect::<Vec<_>>(), checkout),
        Some(wanted) => resume(args, wanted, checkout),
    };
    if matches!(result, Err(Error::Interrupted)) {
        eprintln!("what was seen is kept: go on with `cargo xtask bisect --resume`");
    }
    result
}

/// A new bisection; of a series the hunks of the patch that was found, too.
fn begin(args: &BisectArgs, argv: &[String], checkout: &Path) -> Result<u8, Error> {
    let subject = subject::of(args, checkout)?;
    let bench = bench(args, checkout)?;
    let policy = policy(args);
    let items = subject.items.stored();
    let mut header = Header::new(argv.to_vec(), store::revision(checkout), instrument(&bench, args)?, policy, items);
    header.replayed.clone_from(&subject.replayed);
    let journal = Journal::create(checkout, header)?;
    bench.progress.say(format!("bisection {}", journal.id()));
    end(args, &bench, subject, journal, checkout)
}

/// Searches to the end, tells it, and goes on inside of what was found.
fn end(args: &BisectArgs, bench: &Bench, subject: Subject, mut journal: Journal, checkout: &Path) -> Result<u8, Error> {
    let report = search(args, bench, subject, &mut journal)?;
    print(&report, args.boot.manners.json)?;
    let (exit, argv) = (report.exit, journal.header.argv.clone());
    drop(journal);
    match inner(args, &report) {
        Some((args, words)) if exit == 0 => {
            // The patch is the answer; that some hunks of it cannot stand alone takes nothing from it.
            let argv: Vec<String> = argv.into_iter().chain(words).collect();
            begin(&args, &argv, checkout).map(|_| exit)
        }
        _ => Ok(exit),
    }
}

/// After a patch its hunks, where it has several and the reader is a person.
fn inner(args: &BisectArgs, report: &Report) -> Option<(BisectArgs, [String; 2])> {
    let item = report.culprit.as_ref()?.item;
    if report.kind != Kind::Patches || args.boot.manners.json {
        return None;
    }
    let words = ["--patch".to_owned(), item.to_string()];
    Some((BisectArgs { patch: Some(item), ..args.clone() }, words))
}

/// The same command line again, with the record that it began.
fn resume(now: &BisectArgs, wanted: &str, checkout: &Path) -> Result<u8, Error> {
    let dir = journal::find(checkout, wanted)?;
    let mut journal = Journal::reopen(&dir)?;
    let recorded = match Cli::try_parse_from(&journal.header.argv).map(|cli| cli.command) {
        Ok(Command::Bisect(args)) => *args,
        _ => return Err(Error::Usage(anyhow!("the command line that began {} is none today", dir.display()))),
    };
    let boot = BootArgs { manners: now.boot.manners, ..recorded.boot };
    let args = BisectArgs { boot, budget: now.budget.or(recorded.budget), resume: None, ..recorded };
    let subject = subject::of(&args, checkout)?;
    if let Some(how) = subject.items.differs(&journal.header.items) {
        return Err(Error::Usage(anyhow!(
            "the {} have changed since the bisection {} was begun: {how}; begin anew, or put the old ends back",
            subject.items.kind.nouns(),
            journal.id()
        )));
    }
    let bench = bench(&args, checkout)?;
    if instrument(&bench, &args)? != journal.header.instrument {
        return Err(Error::Usage(anyhow!(
            "selftests, configuration or accelerator have changed since the bisection {} was begun: its answers were \
             another instrument's; begin anew",
            journal.id()
        )));
    }
    journal.unfinish()?;
    journal.append(Event::Resumed { at: jiff::Timestamp::now().to_string() })?;
    bench.progress.say(format!("bisection {}, {} tests made before", journal.id(), journal.tests().count()));
    end(&args, &bench, subject, journal, checkout)
}

fn search(args: &BisectArgs, bench: &Bench, subject: Subject, journal: &mut Journal) -> Result<Report, Error> {
    let Subject { items, recipes, without, .. } = subject;
    let metric = args.metric.zip(args.threshold).map(|(quantity, threshold)| Metric { quantity, threshold });
    let wanted = Wanted { probes: args.probe.iter().map(|name| name.probe()).collect(), metric };
    let dir = journal.dir().to_owned();
    let earlier: Vec<_> = journal.tests().filter_map(|test| Some((plain(test)?, test.answer.clone()))).collect();
    let mut oracle = Kernels::new(bench, recipes, wanted, &dir, earlier);
    oracle.without = without;
    let limits = Limits {
        budget: args.budget,
        confirm: !args.no_confirm,
        remembered: kbuild::compiler_cache(),
        ..Limits::default()
    };
    let (progress, log) = (&bench.progress, &report::log as &dyn Fn(&Items, &Journal, Option<usize>) -> String);
    let end = Driver { items: &items, journal, oracle: &mut oracle, progress, limits, log }.run()?;
    let report = Report::new(&items, journal, &end);
    let markdown = report.markdown();
    if matches!(end, End::Paused { .. }) {
        return Ok(report);
    }
    let mut json = serde_json::to_vec_pretty(&report).context("cannot encode the report")?;
    json.push(b'\n');
    journal.finish(&json, &markdown)?;
    Ok(report)
}

/// The item of a test of an item as it is.
fn plain(test: &journal::Test) -> Option<usize> {
    match test.what {
        crate::bisect::oracle::What::Item { item } => Some(item),
        _ => None,
    }
}

fn bench(args: &BisectArgs, checkout: &Path) -> Result<Bench, Error> {
    let Tools { cache, progress, accel, plan, init } = lab::tools(&args.measure(), checkout)?;
    let (checkout, append) = (checkout.to_owned(), args.boot.append.clone());
    Ok(Bench { checkout, cache, progress, accel, plan, append, init })
}

fn policy(args: &BisectArgs) -> Policy {
    let direction = direction(args);
    let policy = if args.metric.is_some() { Policy::flaky(args.noise(), args.noise()) } else { Policy::honest() };
    let endpoints = if args.trust_endpoints || args.replay.is_some() { Endpoints::Trust } else { Endpoints::default() };
    Policy { direction, endpoints, ..policy }
}

/// A series is there to mend; else who broke it is looked for.
fn direction(args: &BisectArgs) -> Direction {
    match (args.find, &args.series) {
        (Some(Find::Fix), _) | (None, Some(_)) => Direction::Fix,
        _ => Direction::Break,
    }
}

/// Digest of everything of ours that decides an answer.
fn instrument(bench: &Bench, args: &BisectArgs) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(&bench.init);
    part(&serde_json::to_vec(&bench.plan).context("cannot encode the plan")?);
    part(args.boot.append.join("\n").as_bytes());
    part(format!("{:?} {:?} {:?}", args.probe, args.metric, args.threshold).as_bytes());
    part(bench.accel.kind.to_string().as_bytes());
    let folder = bench.checkout.join("kconfigs");
    for entry in walkdir::WalkDir::new(&folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path());
            part(&bytes.with_context(|| format!("cannot read {}", entry.path().display()))?);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

fn print(report: &Report, json: bool) -> Result<(), Error> {
    if json {
        println!("{}", serde_json::to_string(report).context("cannot encode the report")?);
    } else {
        print!("{}", report.text());
    }
    Ok(())
}
