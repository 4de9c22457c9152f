// SPDX-License-Identifier: GPL-2.0-only
//! The waits of a working day: test again, boot, edit a file and test.
//!
//! Owns: these rows. Each run is a whole `cargo xtask test` of its own; what the
//! tool itself costs is what QEMU, make and cargo leave of it.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use git2::Oid;

use super::Bench;
use super::budget::{self, Row};
use super::edit;
use super::runs::sample;
use super::scratch::borrow;
use crate::cache::{Cache, Work};
use crate::error::Error;
use crate::guest;
use crate::measure;
use crate::progress::Progress;
use crate::side::Side;
use crate::source::{LinuxArg, Request};
use crate::stats;

/// One run with nothing to do, in seconds.
struct Again {
    wall: f64,
    qemu: f64,
    cargo: f64,
}

/// `test` with nothing changed, and xtask's own share of it.
pub(super) fn again(bench: &Bench<'_>) -> Result<[Row; 2], Error> {
    let phase = bench.progress.phase("test again");
    phase.length(bench.runs.into());
    let (runs, troubles) = sample(bench.runs, |index| {
        let run = once_more(bench);
        phase.position(u64::from(index) + 1);
        run
    })?;
    phase.done(format!("{} runs", runs.len()));
    let mut wall = Row { notes: troubles, ..Row::new(&budget::AGAIN) };
    let mut own = Row::new(&budget::OWN_SHARE);
    wall.samples = runs.iter().map(|run| run.wall).collect();
    own.samples = runs.iter().map(|run| run.wall - run.qemu - run.cargo).collect();
    let median = |pick: fn(&Again) -> f64| stats::median(&runs.iter().map(pick).collect::<Vec<_>>());
    if let (Some(qemu), Some(cargo)) = (median(|run| run.qemu), median(|run| run.cargo)) {
        wall.notes.push(format!("of it QEMU {qemu:.2} s, cargo {cargo:.2} s, make nothing (medians)"));
    }
    if own.samples.is_empty() {
        own.notes.push("no run to take it from".to_owned());
    }
    Ok([wall, own])
}

fn once_more(bench: &Bench<'_>) -> Result<Again, Error> {
    let logs = bench.cache.work(&bench.key, bench.progress)?.logs();
    let cargo = Instant::now();
    guest::build(&bench.runner.checkout, &Progress::silent())?;
    let cargo = cargo.elapsed().as_secs_f64();
    let before = newest(&logs)?;
    let ran = bench.runner.test(&bench.cache.root, &[], &[])?;
    // Every make empties its log first.
    if newest(&logs)? != before {
        return Err(Error::Infra(anyhow!("something was built, see {}: that is no run again", logs.display())));
    }
    Ok(Again { wall: ran.wall, qemu: ran.qemu, cargo })
}

/// When a log in this folder was last written.
fn newest(logs: &Path) -> anyhow::Result<Option<SystemTime>> {
    let read = || format!("cannot read {}", logs.display());
    let mut newest = None;
    for entry in std::fs::read_dir(logs).with_context(read)? {
        newest = newest.max(Some(entry.and_then(|entry| entry.metadata()?.modified()).with_context(read)?));
    }
    Ok(newest)
}

/// QEMU's start to the first frame, in boots that do little else.
pub(super) fn boot(bench: &Bench<'_>) -> Result<Row, Error> {
    let phase = bench.progress.phase("boots");
    phase.length(bench.runs.into());
    let args = ["--side", Side::Baseline.name(), "--cell", "control.*", "--trials", "1"];
    let (boots, troubles) = sample(bench.runs, |index| {
        let ran = bench.runner.test(&bench.cache.root, &args, &[]);
        phase.position(u64::from(index) + 1);
        Ok(ran?.boots)
    })?;
    phase.done(format!("{} boots", boots.len()));
    Ok(Row { samples: boots.concat(), notes: troubles, ..Row::new(&budget::BOOT) })
}

/// A clone as a developer has one, and the cache in which its edits are tested.
pub(super) struct Fork {
    /// A bare repository.
    repository: PathBuf,
    cache: Cache,
    key: String,
}

impl Fork {
    /// Makes it; builds nothing.
    pub(super) fn new(bench: &Bench<'_>) -> Result<Self, Error> {
        let repository = bench.scratch.path().join("edit.git");
        let work = bench.cache.work(&bench.key, bench.progress)?;
        drop(borrow(&repository, &work.git().join("objects"))?);
        let cache = Cache::at(&bench.scratch.path().join("edit"))?;
        let key = measure::key(&Request::Linux(LinuxArg { path: repository.clone(), rev: None }));
        Ok(Self { repository, cache, key })
    }

    /// Its work folder, ours while nothing is tested.
    pub(super) fn work(&self, bench: &Bench<'_>) -> Result<Work, Error> {
        self.cache.work(&self.key, bench.progress)
    }

    fn test(&self, bench: &Bench<'_>, commit: Oid) -> Result<f64, Error> {
        let linux = format!("{}@{commit}", self.repository.display());
        let args = ["--linux", &linux, "--side", Side::Patched.name()];
        Ok(bench.runner.test(&self.cache.root, &args, &[])?.wall)
    }

    fn edit(&self, bench: &Bench<'_>) -> Result<f64, Error> {
        let repository = git2::Repository::open_bare(&self.repository).context("cannot open a repository of ours")?;
        // Of this moment: ccache remembers the edits of earlier benches.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let commit = edit::commit(&repository, bench.base, &format!("{:x}", now.as_nanos()))?;
        let wall = self.test(bench, commit)?;
        let log = self.work(bench)?.logs().join(format!("build-{}.log", Side::Patched.name()));
        let text = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
        if !edit::was_compiled(&text) {
            return Err(Error::Infra(anyhow!("the edit of {} was not compiled, see {}", edit::FILE, log.display())));
        }
        Ok(wall)
    }
}

/// One edited file to verdict. The first run, of the unedited tree, builds all and
/// does not count.
pub(super) fn edit(bench: &Bench<'_>, fork: &Fork) -> Result<Row, Error> {
    let phase = bench.progress.phase_like(format!("first build {}", bench.key), "a clone's first build");
    match fork.test(bench, bench.base) {
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(error) => return Ok(Row::failed(&budget::EDIT, error.to_string())),
        Ok(wall) => phase.done(format!("{wall:.1} s")),
    }
    let phase = bench.progress.phase("edited file to verdict");
    phase.length(bench.runs.into());
    let (samples, notes) = sample(bench.runs, |index| {
        let wall = fork.edit(bench);
        phase.position(u64::from(index) + 1);
        wall
    })?;
    phase.done(format!("{} edits", samples.len()));
    Ok(Row { samples, notes, ..Row::new(&budget::EDIT) })
}
