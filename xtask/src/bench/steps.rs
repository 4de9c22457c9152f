// SPDX-License-Identifier: GPL-2.0-only
//! The tool's own steps, called directly: they explain its share of a run.
//!
//! Owns: these rows; they have no budget. What belongs together is measured in
//! turns. Must not: touch the work area of the user's runs, where a switch of the
//! source would make the next build longer.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use git2::{Oid, Repository};
use selftests::plan::{Plan, select};

use super::Bench;
use super::budget::{self, Budget, Row};
use super::runs::sample;
use super::scratch::packs_only;
use super::warm::Fork;
use crate::error::Error;
use crate::guest;
use crate::initramfs;
use crate::progress::Progress;
use crate::series;
use crate::worktree;

/// Seconds of two steps that were measured in turns.
type Pair = (f64, f64);

pub(super) fn rows(bench: &Bench<'_>, fork: &Fork) -> Result<Vec<Row>, Error> {
    let phase = bench.progress.phase_like(format!("own steps {}", bench.runs), "own steps");
    let mut rows = vec![archive(bench)?];
    let (pairs, troubles) = sample(bench.runs, |_| side(bench))?;
    rows.extend(both(&budget::SIDE_NEW, &budget::SIDE_KNOWN, &pairs, troubles));
    let (pairs, troubles) = match switches(bench, fork) {
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(error) => (Vec::new(), vec![error.to_string()]),
        Ok(pairs) => (pairs, Vec::new()),
    };
    rows.extend(both(&budget::SWITCH_PATCHED, &budget::SWITCH_BASELINE, &pairs, troubles));
    phase.done(format!("{} runs each", bench.runs));
    Ok(rows)
}

fn both(one: &'static Budget, other: &'static Budget, pairs: &[Pair], troubles: Vec<String>) -> [Row; 2] {
    let row = |budget, pick: fn(&Pair) -> f64| Row {
        samples: pairs.iter().map(pick).collect(),
        notes: troubles.clone(),
        ..Row::new(budget)
    };
    [row(one, |pair| pair.0), row(other, |pair| pair.1)]
}

fn archive(bench: &Bench<'_>) -> Result<Row, Error> {
    let init = guest::build(&bench.runner.checkout, &Progress::silent())?;
    let cells = select(&[]).context("no cell is selected")?.cells;
    let plan = Plan::of(cells);
    let path = bench.scratch.path().join("initramfs.cpio");
    let (samples, notes) = sample(bench.runs, |_| {
        let started = Instant::now();
        initramfs::write(&path, &init, &plan)?;
        Ok(started.elapsed().as_secs_f64())
    })?;
    Ok(Row { samples, notes, ..Row::new(&budget::INITRAMFS) })
}

/// The patched side in a repository that has only the source, then once more.
fn side(bench: &Bench<'_>) -> Result<Pair, Error> {
    let folder = bench.scratch.folder()?;
    let work = bench.cache.work(&bench.key, bench.progress)?;
    packs_only(folder.path(), &work.git().join("objects"))?;
    let prepare = || -> Result<f64, Error> {
        let started = Instant::now();
        patched(bench, folder.path())?;
        Ok(started.elapsed().as_secs_f64())
    };
    Ok((prepare()?, prepare()?))
}

/// As a run prepares it: repository opened, patches read, commits made.
fn patched(bench: &Bench<'_>, git: &Path) -> Result<Oid, Error> {
    let mut files = bench.target.compat()?;
    files.extend(bench.target.series()?);
    series::commit_side(&open(git)?, bench.base, &series::load(&files)?)
}

/// Baseline to patched and back, in the clone's source folder.
fn switches(bench: &Bench<'_>, fork: &Fork) -> Result<Vec<Pair>, Error> {
    let work = fork.work(bench)?;
    let repository = open(&work.git())?;
    let baseline = series::commit_side(&repository, bench.base, &series::load(&bench.target.compat()?)?)?;
    let patched = patched(bench, &work.git())?;
    let switch = |to: Oid| -> Result<f64, Error> {
        let started = Instant::now();
        worktree::switch(&open(&work.git())?, &work.src(), to)?;
        Ok(started.elapsed().as_secs_f64())
    };
    switch(baseline)?;
    (0..bench.runs).map(|_| Ok((switch(patched)?, switch(baseline)?))).collect()
}

fn open(git: &Path) -> anyhow::Result<Repository> {
    Repository::open_bare(git).with_context(|| format!("cannot open our repository {}", git.display()))
}
