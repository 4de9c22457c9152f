// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask series`: a verb a function, glue only.

mod check;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use git2::Repository;
use serde::Serialize;

use crate::cache::{Cache, Work};
use crate::cli::{ExportArgs, ImportArgs, OnTree, RefreshArgs, SeriesArgs, SeriesVerb, VerifyArgs};
use crate::error::Error;
use crate::file;
use crate::measure;
use crate::progress::Progress;
use crate::report::cover::cover;
use crate::review::submission;
use crate::series;
use crate::series::mbox::{self, File};
use crate::series::refresh::{self, Moved};
use crate::series::verify;
use crate::source::{self, Base, LinuxArg, Request};
use crate::store;
use crate::target::{SourceKind, Target};
use crate::verdict::Verdict;

/// Runs the verb.
///
/// # Errors
/// As [`Error`] lists.
pub fn run(args: &SeriesArgs, checkout: &Path) -> Result<u8, Error> {
    match &args.verb {
        SeriesVerb::Verify(args) => verify(args, checkout),
        SeriesVerb::Check(args) => check::run(args, checkout),
        SeriesVerb::Refresh(args) => refresh(args, checkout),
        SeriesVerb::Export(args) => export(args, checkout),
        SeriesVerb::Import(args) => import(args),
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
    verdict: Verdict,
    exit: u8,
    /// The tree's version; `null` if the patches were only compared with each other.
    version: Option<String>,
    folders: Vec<Verified>,
}

/// With `--json` an error that stands for a verdict is an object on standard output
/// too, so that a reader always finds one.
fn verify(args: &VerifyArgs, checkout: &Path) -> Result<u8, Error> {
    let result = verified(args, checkout);
    if let (true, Err(error)) = (args.json, &result)
        && let Some(verdict) = error.verdict()
    {
        let (target, exit, reason) = (&args.on.target, verdict.exit_code(), error.to_string());
        let told = serde_json::json!({ "target": target, "verdict": verdict, "exit": exit, "reasons": [reason] });
        println!("{told}");
    }
    result
}

fn verified(args: &VerifyArgs, checkout: &Path) -> Result<u8, Error> {
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
        let mut on_tree = None;
        // On a tree first: it tells which of two patches that disagree is wrong.
        if let (Some((_, repository, _)), Some(base)) = (&tree, start) {
            let (end, compared) = verify::blobs(repository, base, &patches)?;
            on_tree = Some(compared);
            // All other folders are made for a tree that has the toolchain's fixes.
            if folder == "compat" {
                start = Some(end);
            }
        }
        let among_themselves = verify::consistent(&patches)?;
        let ids = on_tree.unwrap_or(among_themselves);
        if !patches.is_empty() {
            folders.push(Verified { folder: folder.to_owned(), patches: patches.len(), ids });
        }
    }
    if folders.is_empty() {
        return Err(Error::NothingSelected(anyhow!("{} has no patches", target.name)));
    }
    let version = tree.map(|(_, _, base)| base.version);
    let verdict = Verdict::Pass;
    let report = VerifyReport { target: target.name, verdict, exit: verdict.exit_code(), version, folders };
    tell_verified(&report, args.json)
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

fn refresh(args: &RefreshArgs, checkout: &Path) -> Result<u8, Error> {
    let (target, linux) = load(&args.on, checkout)?;
    let progress = Progress::new(args.quiet);
    let (_work, repository, base) = obtain(&measure::request(Some(&target), linux.as_ref())?, &progress)?;
    let start = series::commit_side(&repository, base.commit, &series::load(&target.compat()?)?)?;
    let files = target.series()?;
    let steps = refresh::refresh(&repository, start, &series::load(&files)?)?;
    println!("{} on {}:", target.name, base.version);
    let mut unmoved = 0;
    for (step, number) in steps.iter().zip(1..) {
        println!("  {number}/{} {}: {}", steps.len(), step.subject, told(&step.moved));
        let dropped = args.drop_merged && matches!(step.moved, Moved::AlreadyIn(_));
        unmoved += usize::from(step.bytes.is_none() && !dropped);
    }
    if unmoved > 0 {
        let is_in = steps.iter().any(|step| matches!(step.moved, Moved::AlreadyIn(_)));
        let hint = if is_in && !args.drop_merged { "; --drop-merged drops what is already in" } else { "" };
        return Err(Error::Apply(anyhow!(
            "{unmoved} of {} patches cannot be moved to {}; nothing was written{hint}",
            steps.len(),
            base.version
        )));
    }
    let changed = steps.len() - steps.iter().filter(|step| step.moved == Moved::Same).count();
    if changed == 0 || args.dry_run {
        println!("{changed} files to be written{}", if args.dry_run { "; not written" } else { "" });
        return Ok(0);
    }
    let kept = steps.into_iter().zip(&files).filter_map(|(step, file)| {
        let name = file.file_name()?.to_string_lossy().into_owned();
        step.bytes.map(|bytes| (name, bytes))
    });
    let new: Vec<File> =
        kept.zip(1..).map(|((name, bytes), number)| File { name: counted(&name, number), bytes }).collect();
    let dir = target.dir.join("series");
    series::folder::replace(&dir, &new)?;
    println!("{changed} files changed; {} has {} patches", dir.display(), new.len());
    Ok(0)
}

/// `0003-x.patch` as the second: `0002-x.patch`.
fn counted(name: &str, number: usize) -> String {
    let rest = name.trim_start_matches(|char: char| char.is_ascii_digit());
    format!("{number:04}{rest}")
}

fn told(moved: &Moved) -> String {
    match moved {
        Moved::Same => "unchanged".to_owned(),
        Moved::Shifted => "moved".to_owned(),
        Moved::Merged => "merged: look at it".to_owned(),
        Moved::AlreadyIn(how) => format!("already in: {how}"),
        Moved::Conflict(places) => format!("conflicts\n    {}", places.join("\n").replace('\n', "\n    ")),
    }
}

fn export(args: &ExportArgs, checkout: &Path) -> Result<u8, Error> {
    let target = Target::load(&checkout.join("patches"), &args.target)?;
    let patches = series::load(&target.series()?)?;
    if patches.is_empty() {
        return Err(Error::NothingSelected(anyhow!("{} has no series", target.name)));
    }
    // What is no whole mail message becomes none by being put into a mailbox.
    verify::consistent(&patches)?;
    let references = store::read_references(checkout)?;
    let reference = references.iter().find(|reference| reference.target == target.name);
    let notes = std::fs::read_to_string(target.dir.join("NOTES.md")).unwrap_or_default();
    let cover = cover(&target, &patches, &notes, reference);
    let files: Vec<Vec<u8>> = patches.into_iter().map(|patch| patch.bytes).collect();
    let [cover, messages] = mbox::write(&cover, &files);
    let mbox = if args.with_cover { [cover.clone(), messages].concat() } else { messages };
    if args.output == Path::new("-") {
        std::io::stdout().write_all(&mbox).context("cannot write to standard output")?;
        if !args.with_cover {
            eprintln!("the cover letter is left out, as `git am` would stop at it: --with-cover, or --output FILE");
        }
        return Ok(0);
    }
    file::write(&args.output, &mbox)?;
    eprintln!("wrote {} patches to {}", files.len(), args.output.display());
    if !args.with_cover {
        let mut beside = args.output.clone().into_os_string();
        beside.push(".cover");
        file::write(Path::new(&beside), &cover)?;
        eprintln!("wrote the cover letter to {}", beside.display());
    }
    Ok(0)
}

fn import(args: &ImportArgs) -> Result<u8, Error> {
    let name = args.mbox.display();
    let mut bytes = Vec::new();
    let limit = mbox::MAX_BYTES as u64 + 1;
    if args.mbox == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let opened =
            std::fs::File::open(&args.mbox).with_context(|| format!("cannot open {name}")).map_err(Error::Usage)?;
        opened.take(limit).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    }
    let sent = submission::of_mail(&bytes).map_err(|error| match error {
        Error::Usage(error) => Error::Usage(error.context(format!("{name}"))),
        Error::Apply(error) => Error::Apply(error.context(format!("{name}"))),
        error => error,
    })?;
    let mut files = Vec::new();
    for entry in sent.entries {
        // Refused before anything is written: a path in it may lead anywhere.
        entry.parsed.map_err(|why| Error::Apply(anyhow!("{}", why.join("\n"))))?;
        files.push(File { name: entry.name, bytes: entry.bytes });
    }
    series::folder::create(&args.into, &files)?;
    for passed in &sent.passed_over {
        eprintln!("passed over: {passed}");
    }
    println!("wrote {} patches to {}", files.len(), args.into.display());
    Ok(0)
}
