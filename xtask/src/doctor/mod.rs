// SPDX-License-Identifier: GPL-2.0-only
//! What a host must have, whether it has it, and how it gets it.
//!
//! Owns: the table of requirements and the answer to it. `probe` looks,
//! `install` changes the host. Must not: change anything by itself; `check` only
//! looks, and `ensure` installs only what the user has agreed to.

mod install;
mod probe;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::Serialize;

pub use install::{Rights, command, install};
pub use table::{Need, Probe, REQUIREMENTS, Requirement};

use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;

/// Where a host is looked at; the tests look at an invented one.
#[derive(Debug, Clone)]
pub struct Host {
    /// `PATH`.
    pub path: OsString,
    /// The cache folder, which need not exist yet.
    pub cache: PathBuf,
    /// `/proc/meminfo`.
    pub meminfo: PathBuf,
    /// `/dev/kvm`.
    pub kvm: PathBuf,
}

impl Host {
    /// This host, with its cache folder.
    #[must_use]
    pub fn this(cache: &Path) -> Self {
        Self {
            path: std::env::var_os("PATH").unwrap_or_default(),
            cache: cache.to_owned(),
            meminfo: PathBuf::from("/proc/meminfo"),
            kvm: PathBuf::from("/dev/kvm"),
        }
    }
}

/// How much to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Without the rows that compile something: well under a second.
    Quick,
    /// Everything.
    Full,
}

/// How a requirement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there.
    Ok,
    /// It is not there, and nothing works without it.
    Missing,
    /// It is not there, and something is slower or not possible without it.
    Optional,
}

/// One row's answer.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The row's name.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was seen: a version, a path, or what is wrong.
    pub found: String,
    /// What it is needed for.
    pub why: &'static str,
    /// Debian package that brings it.
    pub package: Option<&'static str>,
    /// What to do; empty if all is well.
    pub mend: String,
}

/// Looks at every row, at all of them at once: most wait for a program that says its version.
///
/// # Errors
/// Only [`Error::Interrupted`]: what cannot be looked at is a finding.
pub fn check(host: &Host, depth: Depth) -> Result<Vec<Finding>, Error> {
    let rows = REQUIREMENTS.iter().filter(|row| depth == Depth::Full || !row.slow);
    let findings = std::thread::scope(|scope| {
        let look = |row: &'static Requirement| (row, scope.spawn(|| probe::look(&row.probe, host)));
        let looks: Vec<_> = rows.map(look).collect();
        let join = |(row, look): (&'static Requirement, std::thread::ScopedJoinHandle<'_, _>)| {
            finding(row, look.join().unwrap_or_else(|_| Err("the probe panicked".to_owned())))
        };
        looks.into_iter().map(join).collect()
    });
    interrupt::check()?;
    Ok(findings)
}

fn finding(row: &Requirement, seen: Result<String, String>) -> Finding {
    let (state, found, mend) = match (seen, row.need) {
        (Ok(found), _) => (State::Ok, found, String::new()),
        (Err(found), Need::Must) => (State::Missing, found, mend(row)),
        (Err(found), Need::May) => (State::Optional, found, mend(row)),
    };
    Finding { name: row.name, state, found, why: row.why, package: row.package, mend }
}

fn mend(row: &Requirement) -> String {
    match row.package {
        Some(package) if row.mend.is_empty() => format!("apt-get install {package}"),
        _ => row.mend.to_owned(),
    }
}

/// The rows that must be mended before anything works.
#[must_use]
pub fn missing(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.state == State::Missing).collect()
}

/// Checks quickly, installs what is missing if the user agrees, and checks again.
///
/// # Errors
/// [`Error::Infra`] with the exact command if we may not install, or with the
/// mends of what is still missing.
pub fn ensure(host: &Host, yes: bool, progress: &Progress) -> Result<(), Error> {
    let findings = check(host, Depth::Quick)?;
    if missing(&findings).is_empty() {
        return Ok(());
    }
    install(&missing(&findings), yes, progress)?;
    demand(&check(host, Depth::Quick)?)
}

/// An error that names what is missing, each with its mend.
///
/// # Errors
/// [`Error::Infra`] unless all mandatory requirements are there.
pub fn demand(findings: &[Finding]) -> Result<(), Error> {
    let missing = missing(findings);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.iter().fold(String::new(), |list, finding| {
        format!("{list}\n    {}: {}; {}: {}", finding.name, finding.found, finding.why, finding.mend)
    });
    Err(Error::Infra(anyhow!("this host lacks what is needed:{list}")))
}
