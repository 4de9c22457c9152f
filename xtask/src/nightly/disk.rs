// SPDX-License-Identifier: GPL-2.0-only
//! What goes off the disk when there is too much.
//!
//! First build folders and source trees of the cache, the longest unused first: they are
//! made again from what the cache has. Then runs and reviews, the oldest first. Never: downloads,
//! finished kernels, the committed evidence, the newest run in which a target passed in a
//! variant, a run that may still be at work, a record that this xtask cannot read, and
//! what another process has locked.
//!
//! Owns: what counts, the order, and removing. A folder is renamed before it is removed,
//! so that a kill leaves nothing that looks whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::{is_recent, is_young};
use crate::cache::{Cache, Lock};
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;
use crate::store::{self, Disk, Pruned, Stored};
use crate::variant::Variant;
use crate::verdict::Verdict;

/// Folders that are on their way out.
const GOING: &str = ".pruned-";

/// An empty folder is not worth a word.
pub(crate) const WORTH: u64 = 64 << 10;

/// Something that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place.
    pub path: PathBuf,
    /// For people.
    pub what: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// The lock of whoever works in it, and when somebody did.
    pub lock: Option<(PathBuf, SystemTime)>,
}

/// Removes what is too much of the cache and of `checkout`'s results. `night` is the id
/// of the run that is made.
///
/// # Errors
/// A folder cannot be read or removed; [`Error::Interrupted`].
pub fn prune(
    cache: &Cache,
    checkout: &Path,
    night: Option<&str>,
    budget: u64,
    progress: &Progress,
) -> Result<Disk, Error> {
    let results = checkout.join("results");
    sweep(cache, &results)?;
    let before = used(&cache.root)?.saturating_add(used(&results)?);
    let mut disk = Disk { budget, before, after: before, pruned: Vec::new() };
    if before <= budget {
        return Ok(disk);
    }
    let items = builds(cache)?.into_iter().chain(old_records(checkout, night)?);
    for item in items {
        if disk.after <= budget {
            break;
        }
        interrupt::check()?;
        if let Some(_lock) = locked(&item)? {
            remove(&item.path)?;
            disk.after = disk.after.saturating_sub(item.bytes);
            progress.say(format!("pruned: {}, {}", item.what, bytesize::ByteSize(item.bytes)));
            disk.pruned.push(Pruned { what: item.what, bytes: item.bytes });
        }
    }
    Ok(disk)
}

/// The lock of the item, or the fact that it needs none; `None` if another has it.
pub(crate) fn locked(item: &Item) -> Result<Option<Option<Lock>>, Error> {
    let Some((path, used)) = &item.lock else { return Ok(Some(None)) };
    match Lock::acquire_within(path, &item.what, Duration::ZERO, &Progress::silent()) {
        Ok(lock) => {
            // To be pruned is not to be used.
            let file = std::fs::File::options().write(true).open(path);
            let restored = file.and_then(|file| file.set_modified(*used));
            restored.with_context(|| format!("cannot set the time of {}", path.display()))?;
            Ok(Some(Some(lock)))
        }
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(_) => Ok(None),
    }
}

/// Bytes that a folder takes on the disk: a file of several names once, holes not. What
/// goes away while we look is not there.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn used(dir: &Path) -> Result<u64, Error> {
    let (mut seen, mut bytes) = (HashSet::new(), 0_u64);
    for entry in walkdir::WalkDir::new(dir).into_iter().filter_map(Result::ok) {
        let Ok(data) = entry.metadata() else { continue };
        if data.nlink() < 2 || data.is_dir() || seen.insert((data.dev(), data.ino())) {
            bytes = bytes.saturating_add(data.blocks().saturating_mul(512));
        }
        interrupt::check()?;
    }
    Ok(bytes)
}

/// The build folders and source trees of the cache, the longest unused first.
pub(crate) fn builds(cache: &Cache) -> Result<Vec<Item>, Error> {
    let work = cache.root.join("work");
    let mut items: Vec<(SystemTime, Item)> = Vec::new();
    for area in folders(&work)? {
        let key = area.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock = work.join(format!("{key}.lock"));
        // Who takes a lock writes into it.
        let data = std::fs::metadata(&lock).or_else(|_| std::fs::metadata(&area));
        let time = data.and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        for build in folders(&area)? {
            let name = build.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kind = match name.as_str() {
                "src" => "source tree",
                build if build == "build" || build.starts_with("build-") => "build folder",
                _ => continue,
            };
            let what = format!("the {kind} work/{key}/{name}");
            let bytes = used(&build)?;
            if bytes < WORTH {
                continue;
            }
            items.push((time, Item { bytes, path: build, what, lock: Some((lock.clone(), time)) }));
        }
    }
    items.sort_by(|one, other| (one.0, &one.1.path).cmp(&(other.0, &other.1.path)));
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

/// The runs and reviews that may go, oldest first.
pub(crate) fn old_records(checkout: &Path, night: Option<&str>) -> Result<Vec<Item>, Error> {
    let (history, now) = (store::everything(checkout)?, jiff::Timestamp::now());
    let runs = old(&history, night, now).into_iter().map(|id| (id, store::RUNS, "run"));
    let reviews = old_reviews(checkout, now)?.into_iter().map(|id| (id, store::REVIEWS, "review"));
    let mut records: Vec<_> = runs.chain(reviews).collect();
    records.sort();
    let item = |(id, place, what): (String, &str, &str)| -> Result<Item, Error> {
        let path = checkout.join(place).join(&id);
        Ok(Item { bytes: used(&path)?, what: format!("the {what} {id}"), path, lock: None })
    };
    records.into_iter().map(item).collect()
}

/// The folders of reviews that nobody works at any more. Other folders are not ours.
fn old_reviews(checkout: &Path, now: jiff::Timestamp) -> anyhow::Result<Vec<String>> {
    let reviews = folders(&checkout.join(store::REVIEWS))?;
    let ids = reviews.iter().filter_map(|dir| dir.file_name()?.to_str());
    let ended = |id: &&str| store::claimed(id).is_some_and(|at| !is_recent(at, now));
    Ok(ids.filter(ended).map(str::to_owned).collect())
}

/// Of the runs, which are the oldest first, the ids of those that nothing depends on.
#[must_use]
pub fn old(history: &[Stored], night: Option<&str>, now: jiff::Timestamp) -> Vec<String> {
    let good = last_good(history);
    let at_work = |run: &Stored| run.outcome.is_none() && is_young(&run.info, now);
    let free = history.iter().filter(|run| night != Some(run.id.as_str()) && !at_work(run));
    free.filter(|run| !good.contains(run.id.as_str())).map(|run| run.id.clone()).collect()
}

/// The newest run in which each target passed, in each variant.
fn last_good(history: &[Stored]) -> BTreeSet<&str> {
    let mut good: BTreeMap<(Variant, &str), &str> = BTreeMap::new();
    for run in history.iter().filter(|run| !run.info.is_review()) {
        for target in run.outcome.iter().flat_map(|outcome| &outcome.targets) {
            if target.verdict == Verdict::Pass {
                good.insert((run.info.variant, &target.target), &run.id);
            }
        }
    }
    good.into_values().collect()
}

/// Removes what a kill left of an earlier pruning.
pub(crate) fn sweep(cache: &Cache, results: &Path) -> anyhow::Result<()> {
    let places = folders(&cache.root.join("work"))?.into_iter().chain([
        cache.root.join("sources"),
        results.join("runs"),
        results.join("reviews"),
    ]);
    for place in places {
        let Ok(entries) = std::fs::read_dir(&place) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(GOING)) {
                away(&path)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let real = |path: &PathBuf| path.symlink_metadata().is_ok_and(|data| data.is_dir());
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(real).collect())
}

pub(crate) fn remove(dir: &Path) -> anyhow::Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let going = dir.with_file_name(format!("{GOING}{name}"));
    std::fs::rename(dir, &going).with_context(|| format!("cannot rename {}", dir.display()))?;
    away(&going)
}

/// A folder with all that is in it, or a file.
fn away(path: &Path) -> anyhow::Result<()> {
    let is_dir = path.symlink_metadata().is_ok_and(|data| data.is_dir());
    let removed = if is_dir { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}
