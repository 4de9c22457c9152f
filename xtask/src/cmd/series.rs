// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask series`: a verb a function, glue only.

use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context, anyhow};
use git2::Repository;
use serde::Serialize;

use crate::cache::{Cache, Work};
use crate::cli::{OnTree, SeriesArgs, SeriesVerb, VerifyArgs};
use crate::error::Error;
use crate::measure;
use crate::progress::Progress;
use crate::series;
use crate::series::verify;
use crate::source::{self, Base, LinuxArg, Request};
use crate::target::{SourceKind, Target};

/// Runs the verb.
///
/// # Errors
/// As [`Error`] lists.
pub fn run(args: &SeriesArgs, checkout: &Path) -> Result<u8, Error> {
    match &args.verb {
        SeriesVerb::Verify(args) => verify(args, checkout),
        _ => todo!(),
    }
}

fn load(on: &OnTree, checkout: &Path) -> Result<(Target, Option<LinuxArg>), Error> {
    let target = Target::load(&checkout.join("patches"), &on.target)?;
    let linux = on.linux.as_deref();
    Ok((target, linux.map(|text| text.parse().unwrap_or_else(|never: Infallible| match never {}))))
}

/// The tree, in a work area that is ours as long as the first value lives.
fn obtain(request: &Request, progress: &Progress) -> Result<(Work, Repository, Base), Error> {
    let cache = Cache::open()?;
    let work = cache.work(&measure::key(request), progress)?;
    let base = source::obtain(&work, &cache, request, progress)?;
    let git = work.git();
    let repository = Repository::open_bare(&git).with_context(|| format!("cannot open {}", git.display()))?;
    Ok((work, repository, base))
}

/// What `verify` found in one folder of patches.
#[derive(Serialize)]
struct Verified {
    folder: String,
    patches: usize,
    /// Blob ids that were compared.
    ids: usize,
}

/// What `verify` prints with `--json`.
#[derive(Serialize)]
struct VerifyReport {
    target: String,
    /// The tree's version; `null` if the patches were only compared with each other.
    version: Option<String>,
    folders: Vec<Verified>,
}

fn verify(args: &VerifyArgs, checkout: &Path) -> Result<u8, Error> {
    let (target, linux) = load(&args.on, checkout)?;
    let progress = Progress::new(args.quiet);
    let tree = match (&linux, target.source.kind) {
        (None, SourceKind::User) => None,
        _ => Some(obtain(&measure::request(Some(&target), linux.as_ref())?, &progress)?),
    };
    let mut start = tree.as_ref().map(|(_, _, base)| base.commit);
    let mut folders = Vec::new();
    let extra = target.extra.iter().map(|row| row.patches.as_str());
    for folder in ["compat", "series"].into_iter().chain(extra) {
        let patches = series::load(&target.folder(folder)?)?;
        let mut ids = verify::consistent(&patches)?;
        if let (Some((_, repository, _)), Some(base)) = (&tree, start) {
            let (end, compared) = verify::blobs(repository, base, &patches)?;
            ids = compared;
            // All other folders are made for a tree that has the toolchain's fixes.
            if folder == "compat" {
                start = Some(end);
            }
        }
        if !patches.is_empty() {
            folders.push(Verified { folder: folder.to_owned(), patches: patches.len(), ids });
        }
    }
    if folders.is_empty() {
        return Err(Error::NothingSelected(anyhow!("{} has no patches", target.name)));
    }
    let version = tree.map(|(_, _, base)| base.version);
    tell_verified(&VerifyReport { target: target.name, version, folders }, args.json)
}

fn tell_verified(report: &VerifyReport, json: bool) -> Result<u8, Error> {
    if json {
        println!("{}", serde_json::to_string(report).context("cannot serialise the result")?);
        return Ok(0);
    }
    for Verified { folder, patches, ids } in &report.folders {
        let name = format!("{}/{folder}", report.target);
        match &report.version {
            Some(version) => println!("{name}: {patches} patches, {ids} blob ids are those of {version}"),
            None => println!(
                "{name}: {patches} patches agree with each other in {ids} ids; without --linux nothing else is checked"
            ),
        }
    }
    Ok(0)
}
