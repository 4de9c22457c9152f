// SPDX-License-Identifier: GPL-2.0-only
//! A matrix cut into jobs that need nothing of each other.
//!
//! A job is a target in one configuration: its sides are compared with each other, and
//! so belong to one machine. Which machine runs which is a CI engine's work.
//!
//! Owns: the names of jobs, and what is printed of them (schema 1: extend it, never
//! rename). Pure. Must not: run one.

use anyhow::anyhow;
use serde::Serialize;

use crate::error::Error;
use crate::matrix::Choice;
use crate::side::Side;
use crate::target::{SourceKind, Target};
use crate::variant::Variant;

/// Minutes of two cores for a side: a cold build and a boot under emulation, as measured
/// for the committed evidence, and rounded up.
const MINUTES_A_SIDE: [(Variant, u32); 2] = [(Variant::Measure, 6), (Variant::Debug, 14)];

/// About how many minutes a target takes, with nothing built before.
#[must_use]
pub fn minutes(target: &Target, config: Variant) -> u32 {
    let guess = MINUTES_A_SIDE.iter().find(|(of, _)| *of == config).map_or(0, |(_, minutes)| *minutes);
    guess * u32::try_from(Side::usual(target, config).len()).unwrap_or(u32::MAX)
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Version of this format.
    pub schema: u32,
    /// Oldest kernel first.
    pub jobs: Vec<Job>,
    /// Targets without a job, each with what it would take.
    pub left_out: Vec<String>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// For `matrix --job`.
    pub id: String,
    /// A folder of patches/.
    pub target: String,
    /// `measure` or `debug`.
    pub config: Variant,
    /// What it builds and boots.
    pub sides: Vec<String>,
    /// About how long it takes, with nothing built before.
    pub minutes: u32,
    /// The user has to name a tree for it, with `--linux TARGET=PATH`.
    pub wants_linux: bool,
}

/// The jobs of these targets in all configurations.
#[must_use]
pub fn plan(choice: &Choice) -> Plan {
    let of = |(target, _): &(Target, _)| MINUTES_A_SIDE.map(|(config, _)| job(target, config));
    Plan { schema: 1, jobs: choice.chosen.iter().flat_map(of).collect(), left_out: choice.left_out.clone() }
}

fn job(target: &Target, config: Variant) -> Job {
    let sides: Vec<String> = Side::usual(target, config).iter().map(|side| side.name().to_owned()).collect();
    Job {
        id: id(&target.name, config),
        target: target.name.clone(),
        config,
        minutes: minutes(target, config),
        sides,
        wants_linux: target.source.kind == SourceKind::User,
    }
}

fn id(target: &str, config: Variant) -> String {
    format!("{target}-{}", config.name())
}

/// Target and configuration of a job's name.
///
/// # Errors
/// [`Error::NothingSelected`]: there is no such job; all are named.
pub fn named(targets: &[String], wanted: &str) -> Result<(String, Variant), Error> {
    let all = || targets.iter().flat_map(|target| MINUTES_A_SIDE.map(|(config, _)| (target, config)));
    let found = all().find(|(target, config)| id(target, *config) == wanted);
    found.map(|(target, config)| (target.clone(), config)).ok_or_else(|| {
        let names: Vec<String> = all().map(|(target, config)| id(target, config)).collect();
        Error::NothingSelected(anyhow!("there is no job {wanted:?}; there are: {}", names.join(", ")))
    })
}
