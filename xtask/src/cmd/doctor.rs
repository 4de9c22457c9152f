// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask doctor`: what this host lacks, one line a requirement.
//!
//! Owns: the lines and the JSON. Must not: install; `test --yes` does.

use anyhow::Context;
use serde::Serialize;

use crate::cache::Cache;
use crate::cli::DoctorArgs;
use crate::doctor::{Depth, Finding, Host, State, check, demand, missing};
use crate::error::Error;

/// The machine-readable answer.
#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    ok: bool,
    requirements: &'a [Finding],
}

/// Checks and prints.
///
/// # Errors
/// [`Error::Infra`] if anything mandatory is missing.
pub fn run(args: &DoctorArgs) -> Result<u8, Error> {
    let findings = check(&Host::this(&Cache::open()?.root), Depth::Full)?;
    if args.json {
        let answer = Answer { schema: 1, ok: missing(&findings).is_empty(), requirements: &findings };
        println!("{}", serde_json::to_string(&answer).context("cannot serialise the answer")?);
    } else {
        for finding in &findings {
            println!("{}", line(finding));
        }
    }
    demand(&findings)?;
    Ok(0)
}

/// One requirement, one line.
#[must_use]
pub fn line(finding: &Finding) -> String {
    let Finding { name, found, why, mend, .. } = finding;
    match finding.state {
        State::Ok => format!("ok        {name:<21} {found}"),
        State::Missing => format!("missing   {name:<21} {found}; {why}: {mend}"),
        State::Optional => format!("optional  {name:<21} {found}; {why}: {mend}"),
    }
}
