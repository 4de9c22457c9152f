// SPDX-License-Identifier: GPL-2.0-only
//! The tool's own budgets, measured on this machine.
//!
//! ```text
//! Ask ─warm up→ Bench ─again · boot · edit · steps · cold→ Row… → Report ─render→ text · JSON
//! ```
//!
//! Owns: the order of the measurements. `budget` and `report` are pure; the rest
//! runs this very program as a child, as a user would, and its steps directly.
//! Must not: fail for a missed budget. A time on a busy machine is a fact to be
//! printed, never a test: only what could not be measured at all is an error.

pub mod budget;
pub mod cold;
pub mod edit;
pub mod report;
mod runs;
pub mod scratch;
mod steps;
mod vng;
mod warm;

use std::path::Path;

use anyhow::{Context, anyhow};
use git2::{Oid, Repository};

use crate::cache::Cache;
use crate::error::Error;
use crate::measure;
use crate::progress::Progress;
use crate::side::Side;
use crate::store::{Host, RunInfo};
use crate::target::Target;
use budget::{Budget, Row};
use report::Report;
use runs::Runner;
use scratch::Scratch;
use warm::Fork;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The target's name.
    pub target: String,
    /// Samples of each row but the cold one.
    pub runs: u32,
    /// Samples of the cold row; `None` leaves it out.
    pub cold: Option<u32>,
    /// Keys of the rows that are measured; none for all.
    pub rows: Vec<String>,
}

impl Ask {
    /// Is any of these rows to be measured?
    #[must_use]
    pub fn wants(&self, rows: &[&Budget]) -> bool {
        self.rows.is_empty() || rows.iter().any(|row| self.rows.iter().any(|key| key == row.key))
    }

    /// An error for a key that no row has.
    fn check(&self) -> Result<(), Error> {
        let unknown = self.rows.iter().find(|key| budget::ALL.iter().all(|row| row.key != key.as_str()));
        let Some(unknown) = unknown else { return Ok(()) };
        let keys: Vec<&str> = budget::ALL.iter().map(|row| row.key).collect();
        Err(Error::NothingSelected(anyhow!("no row is named {unknown:?}; there are {}", keys.join(", "))))
    }
}

/// What all rows need.
struct Bench<'a> {
    runner: Runner,
    cache: &'a Cache,
    scratch: &'a Scratch,
    progress: &'a Progress,
    target: &'a Target,
    /// The target's work area.
    key: String,
    /// The target's source without any patch, in the work area's repository.
    base: Oid,
    runs: u32,
}

/// Measures everything.
///
/// # Errors
/// The target cannot be tested at all, another bench is running, or we are
/// interrupted. A row that fails for itself is in the report.
pub fn measure(ask: &Ask, checkout: &Path, progress: &Progress) -> Result<Report, Error> {
    ask.check()?;
    let target = Target::load(&checkout.join("patches"), &ask.target)?;
    let key = measure::key(&measure::request(Some(&target), None)?);
    let cache = Cache::open()?;
    let scratch = Scratch::new(&cache, progress)?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let runner = Runner { program, checkout: checkout.to_owned(), target: target.name.clone() };

    let phase = progress.phase_like(format!("warm up {}", target.name), format!("{}: warming up", target.name));
    let first = runner.test(&cache.root, &[], &[])?;
    phase.done(format!("{:.1} s", first.wall));
    let base = base(&cache, &key, &first.info, target.compat()?.len(), progress)?;
    let runs = ask.runs;
    let bench = Bench { runner, cache: &cache, scratch: &scratch, progress, target: &target, key, base, runs };

    let rows = rows(&bench, ask)?;
    let version = first.info.targets.first().map(|target| target.version.clone()).unwrap_or_default();
    Ok(Report { target: target.name.clone(), version, accel: first.info.accel, host: Host::this(), rows })
}

/// The rows that are asked for, in the order in which they are shown.
fn rows(bench: &Bench<'_>, ask: &Ask) -> Result<Vec<Row>, Error> {
    use budget::{AGAIN, BOOT, BOOT_VNG, COLD, EDIT, OWN_SHARE};
    let [mut again, mut boots, mut edit, mut steps, mut cold] = [const { Vec::new() }; 5];
    if ask.wants(&[&AGAIN, &OWN_SHARE]) {
        again.extend(warm::again(bench)?);
    }
    if ask.wants(&[&BOOT]) {
        boots.push(warm::boot(bench)?);
    }
    if ask.wants(&[&BOOT_VNG]) {
        boots.push(vng::boot(bench)?);
    }
    let fork = Fork::new(bench)?;
    if ask.wants(&[&EDIT]) {
        edit.push(warm::edit(bench, &fork)?);
    }
    if ask.wants(&budget::STEPS) {
        steps = steps::rows(bench, &fork)?;
    }
    if ask.wants(&[&COLD]) {
        cold.push(cold::row(bench, ask.cold)?);
    }
    Ok([cold, again, edit, boots, steps].concat())
}

/// The commit that the sides are made of: below the baseline's, which has one
/// commit more for each patch of `compat/`.
fn base(cache: &Cache, key: &str, info: &RunInfo, compat: usize, progress: &Progress) -> Result<Oid, Error> {
    let sides = info.targets.iter().flat_map(|target| &target.sides);
    let baseline = sides.into_iter().find(|side| side.side == Side::Baseline.name());
    let baseline = &baseline.context("a run has no baseline")?.commit;
    let git = cache.work(key, progress)?.git();
    let find = || -> Result<Oid, git2::Error> {
        let mut commit = Repository::open_bare(&git)?.find_commit(Oid::from_str(baseline)?)?.id();
        for _ in 0..compat {
            commit = Repository::open_bare(&git)?.find_commit(commit)?.parent_id(0)?;
        }
        Ok(commit)
    };
    Ok(find().map_err(|error| anyhow!("cannot find {baseline} in {}: {error}", git.display()))?)
}
