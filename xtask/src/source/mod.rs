// SPDX-License-Identifier: GPL-2.0-only
//! Where a kernel tree comes from: Debian's archive, a git clone, a folder, a tarball.
//!
//! Owns: turning a request into a commit in the work folder's repository of ours.
//! Must not: change anything outside the cache folder; a user's clone is only read.

mod apt;
mod archive;
mod checkout;
mod debian;
mod folder;
pub(crate) mod git;
mod import;
mod kernel;
mod pack;
mod version;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};

pub use apt::Tools;
pub use debian::obtain as obtain_with;

use crate::cache::{Cache, Work};
use crate::error::Error;
use crate::progress::Progress;

/// A kernel tree, as a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The commit, in the work folder's repository of ours.
    pub commit: git2::Oid,
    /// What its Makefile says, e.g. `6.1.192`.
    pub version: String,
    /// For people: the exact package and version, or the path and commit.
    pub origin: String,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Request {
    /// The newest of a series in Debian's archive.
    Debian(DebianSource),
    /// Any tree that the user names.
    Linux(LinuxArg),
}

/// A series in Debian's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianSource {
    /// The package, e.g. `linux-source-6.1`, or the source package `linux`.
    pub package: String,
    /// The series, e.g. `6.1`: the newest version `6.1.*` is taken.
    pub series: String,
    /// Where to look, e.g. `bookworm` and `bookworm-security`.
    pub suites: Vec<String>,
    /// Which kind of package it is.
    pub kind: PackageKind,
    /// The exact version, if there still is one; else the newest.
    pub version: Option<String>,
}

/// Which kind of package holds the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackageKind {
    /// `linux-source-X.Y`: a `.deb` with Debian's patched tree in it.
    Binary,
    /// `linux`: only its `.orig.tar.xz` is taken, upstream's tree.
    Source,
}

/// The value of `--linux`: `PATH[@REV]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinuxArg {
    /// A git clone, a folder, or an archive.
    pub path: PathBuf,
    /// A revision of the clone.
    pub rev: Option<String>,
}

impl FromStr for LinuxArg {
    type Err = std::convert::Infallible;

    /// A path may have an `@` in it, and so may a revision (`HEAD@{1}`): the longest
    /// part before an `@` that exists is the path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if Path::new(text).exists() {
            return Ok(Self { path: text.into(), rev: None });
        }
        let splits = || text.char_indices().filter(|(_, c)| *c == '@').map(|(at, _)| (&text[..at], &text[at + 1..]));
        let split = splits().rfind(|(path, _)| Path::new(path).exists()).or_else(|| splits().next());
        Ok(match split {
            Some((path, rev)) if !path.is_empty() => Self { path: path.into(), rev: Some(rev.into()) },
            _ => Self { path: text.into(), rev: None },
        })
    }
}

/// Gets the tree: from the archive, from the cache, or from where the user says.
///
/// # Errors
/// Usage: no such path or revision, or not a kernel. Infra: no network and nothing
/// cached, a damaged archive, a full disk; nothing half made stays.
pub fn obtain(work: &Work, cache: &Cache, request: &Request, progress: &Progress) -> Result<Base, Error> {
    match request {
        Request::Debian(source) => debian::obtain(work, cache, source, &Tools::default(), progress),
        Request::Linux(arg) => linux(work, arg, progress),
    }
}

fn linux(work: &Work, arg: &LinuxArg, progress: &Progress) -> Result<Base, Error> {
    let path = std::fs::canonicalize(&arg.path)
        .map_err(|error| Error::Usage(anyhow!("--linux: there is nothing at {}: {error}", arg.path.display())))?;
    if git::is_clone(&path) {
        return git::obtain(work, &path, arg.rev.as_deref());
    }
    if let Some(rev) = &arg.rev {
        return Err(Error::Usage(anyhow!(
            "--linux: {} is no git clone, so it has no revision `{rev}`",
            path.display()
        )));
    }
    if path.is_dir() { folder(work, &path, progress) } else { file(work, &path, progress) }
}

fn folder(work: &Work, path: &Path, progress: &Progress) -> Result<Base, Error> {
    let name = path.display().to_string();
    // Before the walk: a home folder given by mistake has more files than a kernel.
    let makefile = std::fs::read(path.join("Makefile")).ok();
    if makefile.and_then(|bytes| kernel::version(&bytes)).is_none() {
        return Err(kernel::not_a_kernel(&name));
    }
    let walked = now();
    let files = folder::walk(path)?;
    let subject = import::Subject { identity: folder::fingerprint(path, &files), origin: name.clone(), name: &name };
    if let Some(base) = import::earlier(work, &subject.identity) {
        return Ok(base);
    }
    let phase = progress.phase_like(format!("import {name}"), format!("importing {name}"));
    // Objects that only a clone lent are gone with it, so the index comes after that.
    import::own_repository(work, None)?;
    let index = folder::Index::load(work, path);
    let imported = import::import(work, &subject, |emit| folder::read(path, &files, &index, emit))?;
    folder::Index::store(work, path, &files, walked, &imported)?;
    phase.done(&imported.base.version);
    Ok(imported.base)
}

fn file(work: &Work, path: &Path, progress: &Progress) -> Result<Base, Error> {
    let data = std::fs::metadata(path).with_context(|| format!("cannot stat {}", path.display()))?;
    let changed = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let identity = format!("file {} {} {}", path.display(), data.len(), changed.as_nanos());
    archive_file(work, path, identity, path.display().to_string(), progress)
}

/// Imports an archive, unless this very one has been.
fn archive_file(
    work: &Work,
    path: &Path,
    identity: String,
    origin: String,
    progress: &Progress,
) -> Result<Base, Error> {
    if let Some(base) = import::earlier(work, &identity) {
        return Ok(base);
    }
    let length = std::fs::metadata(path).with_context(|| format!("cannot stat {}", path.display()))?.len();
    let phase = progress.phase(format!("unpacking {origin}"));
    phase.length(length);
    let (count, finished) = (Arc::new(AtomicU64::new(0)), AtomicBool::new(false));
    let name = path.display().to_string();
    let subject = import::Subject { identity, origin, name: &name };
    let imported = std::thread::scope(|scope| {
        // Dropped however the import ends, else the scope would wait for ever.
        let _done = Raise(&finished);
        scope.spawn(|| {
            while !finished.load(Ordering::Relaxed) {
                phase.position(count.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        import::import(work, &subject, |emit| archive::read(path, &count, emit))
    })?;
    phase.done(&imported.base.version);
    Ok(imported.base)
}

/// Sets a flag when dropped.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Nanoseconds since 1970, as in a file's times.
fn now() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| i128::try_from(age.as_nanos()).unwrap_or(0))
}
