// SPDX-License-Identifier: GPL-2.0-only
//! From an argument to a submission: a file, a folder, standard input, or a range.
//!
//! Owns: reading, with limits on what is read. Must not: follow what is in it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use git2::{Email, EmailCreateOptions, Oid, Repository, Sort};

use crate::cli::ReviewArgs;
use crate::error::Error;
use crate::review::submission::{self, MAX_PATCHES, Submission};
use crate::series::mbox;
use crate::source::LinuxArg;

/// Of a folder these are read.
const KINDS: [&str; 5] = ["patch", "diff", "eml", "mbox", "mbx"];

/// Reads what the argument names.
pub(super) fn read(args: &ReviewArgs, linux: Option<&LinuxArg>) -> Result<Submission, Error> {
    let path = Path::new(&args.series);
    let named = |error: Error| match error {
        Error::Usage(error) => Error::Usage(error.context(args.series.clone())),
        Error::Apply(error) => Error::Apply(error.context(args.series.clone())),
        error => error,
    };
    if args.series == "-" {
        return submission::of_mail(&limited(std::io::stdin(), "standard input")?).map_err(named);
    }
    if path.is_dir() {
        return submission::of_files(&folder(path)?).map_err(named);
    }
    if path.exists() {
        let opened = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()));
        return submission::of_mail(&limited(opened.map_err(Error::Usage)?, &args.series)?).map_err(named);
    }
    if !args.series.contains("..") {
        return Err(Error::Usage(anyhow!("there is no {}, and it is no range of commits A..B", path.display())));
    }
    let repository = args.git.clone().or_else(|| linux.map(|linux| linux.path.clone()));
    let repository = repository.ok_or_else(|| {
        Error::Usage(anyhow!("the range {} is of which repository? Say --git PATH, or --linux PATH", args.series))
    })?;
    submission::of_files(&range(&repository, &args.series)?).map_err(named)
}

/// One byte more than is allowed, so that too much is noticed.
fn limited(from: impl Read, name: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    from.take(mbox::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    Ok(bytes)
}

fn folder(dir: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", dir.display()))?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if path.is_file() && kind.is_some_and(|kind| KINDS.contains(&kind)) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::Usage(anyhow!("{} has no file named .{}", dir.display(), KINDS.join(", ."))));
    }
    let mut left = mbox::MAX_BYTES as u64;
    let mut files = Vec::new();
    for path in paths {
        let opened = std::fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut bytes = Vec::new();
        let read = opened.take(left + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        left = left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| Error::Usage(anyhow!("{} is larger than {} bytes", dir.display(), mbox::MAX_BYTES)))?;
        files.push(bytes);
    }
    Ok(files)
}

/// Each commit of a range as the mail that `git format-patch` makes of it.
fn range(path: &Path, range: &str) -> Result<Vec<Vec<u8>>, Error> {
    let usage = |error: git2::Error| Error::Usage(anyhow!("{range} in {}: {}", path.display(), error.message()));
    let repo = Repository::open(path).map_err(usage)?;
    let mut walk = repo.revwalk().map_err(usage)?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).map_err(usage)?;
    walk.push_range(range).map_err(usage)?;
    let ids: Vec<Oid> = walk.take(MAX_PATCHES + 1).collect::<Result<_, _>>().map_err(usage)?;
    if ids.is_empty() || ids.len() > MAX_PATCHES {
        let count = if ids.is_empty() { "no commit".to_owned() } else { format!("more than {MAX_PATCHES} commits") };
        return Err(Error::NothingSelected(anyhow!("{range} has {count}")));
    }
    let mail = |(at, &id): (usize, &Oid)| -> Result<Vec<u8>, Error> {
        let commit = repo.find_commit(id).map_err(usage)?;
        if commit.parent_count() != 1 {
            return Err(Error::Usage(anyhow!("{range}: {id} is no change of one parent; a series has no merges")));
        }
        let parent = commit.parent(0).and_then(|parent| parent.tree()).map_err(usage)?;
        let tree = commit.tree().map_err(usage)?;
        let diff = repo.diff_tree_to_tree(Some(&parent), Some(&tree), None).map_err(usage)?;
        let (summary, body) = (commit.summary().ok().flatten(), commit.body().ok().flatten());
        let (summary, body) = (summary.unwrap_or("no subject"), body.unwrap_or_default());
        let mut options = EmailCreateOptions::new();
        options.always_number(true);
        let mail = Email::from_diff(&diff, at + 1, ids.len(), &id, summary, body, &commit.author(), &mut options);
        Ok(mail.map_err(usage)?.as_slice().to_vec())
    };
    ids.iter().enumerate().map(mail).collect()
}
