// SPDX-License-Identifier: GPL-2.0-only
//! Which files of a checkout may differ from its HEAD, looked over on all cores.
//!
//! Owns: the comparison of every file's state with what the clone's index noted of
//! it, by git's own rules (Documentation/technical/racy-git.txt): a file is read only
//! if its size, times or mode are others, or if it was written so shortly before the
//! index that a later write could have left the same time. Must not: write into the
//! clone, or say what is different: that is libgit2's, which is asked about these
//! files alone and not about all 80,000, one after the other.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};
use git2::{Index, IndexEntry, IndexEntryExtendedFlag, IndexEntryFlag, ObjectType, Oid, Repository};

use crate::interrupt;

/// Entries that a thread takes at a time: neighbours lie in the same folder.
const CHUNK: usize = 512;

/// The longest tick of a kernel's coarse clock, which a file's times come from (HZ = 100).
const TICK_NS: i128 = 10_000_000;

/// `IndexEntry::flags`: the stage of a merge; 0 of a file without conflict.
const STAGE: u16 = 0x3000;

/// What the user's git is told to believe.
#[derive(Debug, Clone, Copy)]
struct Trust {
    /// `core.fileMode`: is the executable bit meant?
    mode: bool,
    /// `core.trustctime`, and not `core.checkStat=minimal`.
    ctime: bool,
    /// Not `core.checkStat=minimal`.
    nanoseconds: bool,
}

/// Paths that may differ from the tree `head`, which `own` can read; `None` if the index
/// cannot vouch for any of them (a merge under way, files that are only intended).
///
/// # Errors
/// The index or a changed file cannot be read, or we are interrupted.
pub(super) fn suspects(
    clone: &Repository,
    own: &Repository,
    root: &Path,
    head: &git2::Tree<'_>,
) -> Result<Option<Vec<PathBuf>>, crate::error::Error> {
    let mut index = clone.index().context("cannot read the clone's index")?;
    let entries: Vec<IndexEntry> = index.iter().collect();
    let intended = IndexEntryExtendedFlag::INTENT_TO_ADD.bits();
    if entries.iter().any(|entry| entry.flags & STAGE != 0 || entry.flags_extended & intended != 0) {
        return Ok(None);
    }
    let Some(mut paths) = staged(&mut index, own, head) else { return Ok(None) };
    let written = index.path().and_then(|path| path.metadata().ok()).map_or(0, |data| mtime(&data));
    let config = clone.config().context("cannot read the clone's configuration")?;
    let minimal = config.get_string("core.checkstat").is_ok_and(|value| value.eq_ignore_ascii_case("minimal"));
    let trust = Trust {
        mode: config.get_bool("core.filemode").unwrap_or(true),
        ctime: !minimal && config.get_bool("core.trustctime").unwrap_or(true),
        nanoseconds: !minimal,
    };
    paths.extend(changed(&entries, root, written, trust)?);
    paths.sort();
    paths.dedup();
    Ok(Some(paths))
}

/// What the index has that HEAD has not, or otherwise. The tree that the index stands for
/// is written into the repository of ours; git keeps most of it beside the index.
fn staged(index: &mut Index, own: &Repository, head: &git2::Tree<'_>) -> Option<Vec<PathBuf>> {
    let tree = index.write_tree_to(own).ok()?;
    if tree == head.id() {
        return Some(Vec::new());
    }
    let tree = own.find_tree(tree).ok()?;
    let diff = own.diff_tree_to_tree(Some(head), Some(&tree), None).ok()?;
    let files = diff.deltas().flat_map(|delta| [delta.old_file().path(), delta.new_file().path()].map(own_path));
    Some(files.flatten().collect())
}

fn own_path(path: Option<&Path>) -> Option<PathBuf> {
    path.map(Path::to_owned)
}

/// Files that are not what the index noted.
fn changed(
    entries: &[IndexEntry],
    root: &Path,
    written: i128,
    trust: Trust,
) -> Result<Vec<PathBuf>, crate::error::Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<(), crate::error::Error> {
        loop {
            interrupt::check()?;
            let begin = next.fetch_add(CHUNK, Ordering::Relaxed);
            let end = entries.len().min(begin + CHUNK);
            let Some(chunk) = entries.get(begin..end).filter(|chunk| !chunk.is_empty()) else { return Ok(()) };
            for entry in chunk {
                let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
                if differs(entry, &root.join(path), written, trust)? {
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(path.to_owned());
                }
            }
        }
    };
    std::thread::scope(|scope| -> Result<(), crate::error::Error> {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a thread that looks a checkout over panicked"))??;
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn differs(entry: &IndexEntry, path: &Path, written: i128, trust: Trust) -> anyhow::Result<bool> {
    let vouched = entry.flags & IndexEntryFlag::VALID.bits() != 0
        || entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0;
    // A submodule is no source of ours.
    if vouched || entry.mode == 0o160_000 {
        return Ok(false);
    }
    let Ok(data) = std::fs::symlink_metadata(path) else { return Ok(true) };
    if mode(&data, entry.mode, trust) != entry.mode {
        return Ok(true);
    }
    if noted(entry, &data, trust) && mtime(&data) + TICK_NS < written {
        return Ok(false);
    }
    let content = if data.is_symlink() {
        std::fs::read_link(path).map(|target| target.as_os_str().as_bytes().to_vec())
    } else {
        std::fs::read(path)
    };
    let content = content.with_context(|| format!("cannot read {}", path.display()))?;
    let id = Oid::hash_object(ObjectType::Blob, &content).context("cannot hash a file")?;
    Ok(id != entry.id)
}

/// Git's mode of a file; the one that is noted, where the executable bit means nothing.
fn mode(data: &std::fs::Metadata, noted: u32, trust: Trust) -> u32 {
    match (data.is_symlink(), data.is_file()) {
        (true, _) => 0o120_000,
        (_, true) if !trust.mode && noted & 0o170_000 == 0o100_000 => noted,
        (_, true) if data.mode() & 0o100 != 0 => 0o100_755,
        (_, true) => 0o100_644,
        _ => 0,
    }
}

/// Are size and times those that the index noted? It has 32 bits for each.
fn noted(entry: &IndexEntry, data: &std::fs::Metadata, trust: Trust) -> bool {
    let same = |noted: git2::IndexTime, seconds: i64, nanoseconds: i64| {
        noted.seconds() == low(seconds).cast_signed() && (!trust.nanoseconds || noted.nanoseconds() == low(nanoseconds))
    };
    entry.file_size == low(data.size().cast_signed())
        && same(entry.mtime, data.mtime(), data.mtime_nsec())
        && (!trust.ctime || same(entry.ctime, data.ctime(), data.ctime_nsec()))
}

/// The lowest 32 bits.
fn low(value: i64) -> u32 {
    (value.cast_unsigned() & u64::from(u32::MAX)) as u32
}

/// Nanoseconds since 1970.
fn mtime(data: &std::fs::Metadata) -> i128 {
    i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec())
}
