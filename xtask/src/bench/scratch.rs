// SPDX-License-Identifier: GPL-2.0-only
//! The folders that a bench works in, and their removal.
//!
//! ```text
//! root/bench/lock     one bench at a time: two would measure each other
//! root/bench/run-*/   what it works in: caches of its own, repositories
//! ```
//!
//! Owns: `bench/` in the cache folder. It is on the cache's file system, so that a
//! download or a pack is lent by a hard link. Must not: write to what is lent.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use git2::Repository;
use tempfile::TempDir;

use crate::cache::{Cache, Lock};
use crate::error::Error;
use crate::file;
use crate::progress::Progress;

/// Begins the name of every folder that is removed.
const PREFIX: &str = "run-";

/// Longer than the other bench can take to end after a Ctrl-C, no longer.
const LOCK_DEADLINE: Duration = Duration::from_secs(30);

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    _lock: Lock,
}

impl Scratch {
    /// A new one in the cache folder; removes what a killed bench has left.
    ///
    /// # Errors
    /// Another bench is running, or the folder cannot be made.
    pub fn new(cache: &Cache, progress: &Progress) -> Result<Self, Error> {
        let root = cache.root.join("bench");
        file::make_dir(&root)?;
        let lock = Lock::acquire_within(&root.join("lock"), &root.display().to_string(), LOCK_DEADLINE, progress)?;
        let list = || format!("cannot clear {}", root.display());
        for entry in fs::read_dir(&root).with_context(list)? {
            let entry = entry.with_context(list)?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_dir_all(entry.path()).with_context(list)?;
            }
        }
        Ok(Self { dir: folder(&root)?, _lock: lock })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A folder in it that is removed earlier.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self) -> anyhow::Result<TempDir> {
        folder(self.path())
    }
}

fn folder(root: &Path) -> anyhow::Result<TempDir> {
    let make = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root);
    make.with_context(|| format!("cannot make a folder in {}", root.display()))
}

/// Gives the cache `to` the downloads of the cache `from`, and nothing else: the
/// files themselves by hard links, and the lists with their times, so that the
/// archive is not asked.
///
/// # Errors
/// A file cannot be read or written.
pub fn lend_sources(from: &Path, to: &Path) -> anyhow::Result<()> {
    let (from, to) = (from.join("sources"), to.join("sources"));
    for entry in walkdir::WalkDir::new(&from).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let name = entry.path().strip_prefix(&from)?;
        let is_download = entry.depth() == 1 && name != OsStr::new("lock");
        let is_list = name.starts_with("apt") && name.extension() == Some(OsStr::new("json"));
        if !entry.file_type().is_file() || !(is_download || is_list) {
            continue;
        }
        let copy = to.join(name);
        if let Some(dir) = copy.parent() {
            file::make_dir(dir)?;
        }
        let lend = || -> std::io::Result<()> {
            if is_download && fs::hard_link(entry.path(), &copy).is_ok() {
                return Ok(());
            }
            fs::copy(entry.path(), &copy)?;
            let time = fs::metadata(entry.path())?.modified()?;
            fs::File::options().append(true).open(&copy)?.set_modified(time)
        };
        lend().with_context(|| format!("cannot copy {} to {}", entry.path().display(), copy.display()))?;
    }
    Ok(())
}

/// A new bare repository in `dir` that borrows the objects of the folder `objects`.
///
/// # Errors
/// It cannot be made.
pub fn borrow(dir: &Path, objects: &Path) -> anyhow::Result<Repository> {
    let make = || -> anyhow::Result<Repository> {
        Repository::init_bare(dir)?;
        let alternates = dir.join("objects/info/alternates");
        file::make_dir(&dir.join("objects/info"))?;
        file::write(&alternates, format!("{}\n", objects.display()).as_bytes())?;
        Ok(Repository::open_bare(dir)?)
    };
    make().with_context(|| format!("cannot make the repository {}", dir.display()))
}

/// A new bare repository in `dir` with the packs of the folder `objects`, which
/// came with the imported source, and without its loose objects, which are what
/// we have made of it since.
///
/// # Errors
/// It cannot be made.
pub fn packs_only(dir: &Path, objects: &Path) -> anyhow::Result<()> {
    let make = || -> anyhow::Result<()> {
        Repository::init_bare(dir)?;
        let packs = dir.join("objects/pack");
        file::make_dir(&packs)?;
        for entry in fs::read_dir(objects.join("pack"))? {
            let entry = entry?;
            let copy: PathBuf = packs.join(entry.file_name());
            if fs::hard_link(entry.path(), &copy).is_err() {
                fs::copy(entry.path(), &copy)?;
            }
        }
        Ok(())
    };
    make().with_context(|| format!("cannot make the repository {}", dir.display()))
}
