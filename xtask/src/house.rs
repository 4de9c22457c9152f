// SPDX-License-Identifier: GPL-2.0-only
//! What lies on the disk: in the cache folder, and among the results.
//!
//! Owns: what is counted, and what may go when a user wants room. The rules of what
//! stays are those of a night (`nightly::disk`). Must not: ask, or print.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::cache::Cache;
use crate::error::Error;
use crate::interrupt;
use crate::nightly::disk::{self, Item};
use crate::store;

/// What is to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Build folders, source trees, finished kernels.
    pub builds: bool,
    /// Downloads, and the repositories made of them.
    pub sources: bool,
    /// Runs that nothing depends on.
    pub runs: bool,
}

/// What went, and what did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is gone.
    pub gone: Vec<Item>,
    /// What another process works with.
    pub busy: Vec<Item>,
}

/// Everything that a wish is about, with its size.
///
/// # Errors
/// A folder cannot be read; [`Error::Interrupted`].
pub fn items(cache: &Cache, checkout: &Path, wish: Wish) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    if wish.builds {
        items.extend(disk::builds(cache)?);
        items.extend(parts(cache, "kernels", "finished kernels")?);
    }
    if wish.sources {
        items.extend(parts(cache, "git", "repository")?);
        items.extend(downloads(cache)?);
    }
    if wish.runs {
        items.extend(disk::old_records(checkout, None)?);
    }
    Ok(items)
}

/// Removes what nobody works with.
///
/// # Errors
/// Something cannot be removed; [`Error::Interrupted`]. What is gone then is gone.
pub fn remove(items: Vec<Item>) -> Result<Cleaned, Error> {
    let mut cleaned = Cleaned::default();
    for item in items {
        interrupt::check()?;
        match disk::locked(&item)? {
            Some(_lock) => {
                disk::remove(&item.path)?;
                cleaned.gone.push(item);
            }
            None => cleaned.busy.push(item),
        }
    }
    Ok(cleaned)
}

/// This part of every work area.
fn parts(cache: &Cache, part: &str, what: &str) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    for area in disk::folders(&cache.root.join("work"))? {
        let path = area.join(part);
        let bytes = disk::used(&path)?;
        if bytes < disk::WORTH {
            continue;
        }
        let key = name(&area);
        let lock = area.with_file_name(format!("{key}.lock"));
        let time = modified(&lock);
        items.push(Item { path, what: format!("the {what} work/{key}/{part}"), bytes, lock: Some((lock, time)) });
    }
    Ok(items)
}

fn downloads(cache: &Cache) -> Result<Vec<Item>, Error> {
    let dir = cache.root.join("sources");
    let lock = dir.join("lock");
    let mut items = Vec::new();
    let Ok(entries) = std::fs::read_dir(&dir) else { return Ok(items) };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| *path != lock) {
        let what = format!("the download sources/{}", name(&path));
        items.push(Item { bytes: disk::used(&path)?, what, path, lock: Some((lock.clone(), modified(&lock))) });
    }
    items.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(items)
}

/// A place, and what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Relative to the cache folder, or to the checkout.
    pub what: String,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// The cache folder's parts, and the results.
///
/// # Errors
/// A folder cannot be listed; [`Error::Interrupted`].
pub fn places(cache: &Cache, checkout: &Path) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    let mut add = |path: &Path, what: String| -> Result<(), Error> {
        let bytes = disk::used(path)?;
        if bytes > 0 {
            places.push(Place { what, bytes });
        }
        Ok(())
    };
    let mut dirs = disk::folders(&cache.root)?;
    dirs.sort();
    for dir in dirs {
        if dir.ends_with("work") {
            continue;
        }
        add(&dir, name(&dir))?;
    }
    let mut areas = disk::folders(&cache.root.join("work"))?;
    areas.sort();
    for area in areas {
        let mut parts = disk::folders(&area)?;
        parts.sort();
        for part in parts {
            add(&part, format!("work/{}/{}", name(&area), name(&part)))?;
        }
    }
    for results in [store::RUNS, store::REVIEWS, "results/bisect"] {
        add(&checkout.join(results), results.to_owned())?;
    }
    Ok(places)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn modified(path: &PathBuf) -> SystemTime {
    std::fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
