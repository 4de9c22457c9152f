// SPDX-License-Identifier: GPL-2.0-only
//! A plain folder as a kernel tree.
//!
//! Owns: the walk, what counts as a product of a build rather than source, and
//! noticing changes by size and time, as make does. Files that did not change
//! since the last import are not read again. Must not: write into the folder.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use git2::Oid;
use sha2::{Digest, Sha256};

use super::archive::Emit;
use super::import::{Content, Imported, Item};
use crate::cache::Work;
use crate::error::Error;
use crate::file;

/// A file that was changed so shortly before the walk may change again without
/// another time stamp; it is read at every import.
const RACY_NS: i128 = 2_000_000_000;

/// A file of the folder, as it was at the walk.
pub(crate) struct Found {
    path: Vec<u8>,
    mode: u32,
    size: u64,
    /// Nanoseconds since 1970.
    mtime: i128,
}

/// Every source file below `dir`, sorted by path.
///
/// # Errors
/// A folder cannot be read.
pub(crate) fn walk(dir: &Path) -> anyhow::Result<Vec<Found>> {
    let mut files = Vec::new();
    let walker = walkdir::WalkDir::new(dir).min_depth(1).into_iter().filter_entry(|entry| {
        let path = entry.path().strip_prefix(dir).unwrap_or(entry.path());
        !is_product(path.as_os_str().as_bytes(), entry.file_type().is_dir())
    });
    for entry in walker {
        let entry = entry.with_context(|| format!("cannot read the folder {}", dir.display()))?;
        let kind = entry.file_type();
        if kind.is_dir() {
            continue;
        }
        let data = entry.metadata().with_context(|| format!("cannot stat {}", entry.path().display()))?;
        let mode = match (kind.is_symlink(), kind.is_file(), data.mode() & 0o100 != 0) {
            (true, ..) => 0o120_000,
            (_, true, true) => 0o100_755,
            (_, true, false) => 0o100_644,
            _ => continue,
        };
        let path = entry.path().strip_prefix(dir)?.as_os_str().as_bytes().to_vec();
        let mtime = i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec());
        files.push(Found { path, mode, size: data.len(), mtime });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// What a build in the folder itself leaves: make refuses a separate build of a
/// tree with these, and they are no source.
fn is_product(path: &[u8], is_dir: bool) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    if is_dir {
        return name == b".git"
            || name == b".tmp_versions"
            || path == b"include/config"
            || path == b"include/generated"
            || (path.starts_with(b"arch/") && path.ends_with(b"/include/generated"));
    }
    let compiled = [&b".o"[..], b".a", b".ko", b".cmd", b".o.d", b".mod", b".order", b".symvers"];
    name == b".config"
        || name == b".config.old"
        || name == b"vmlinux"
        || name == b".git"
        || compiled.iter().any(|suffix| name.ends_with(suffix))
}

/// What tells this state of the folder from others.
pub(crate) fn fingerprint(dir: &Path, files: &[Found]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(&file.path);
        hash.update(format!("\0{:o} {} {}\0", file.mode, file.size, file.mtime));
    }
    format!("folder {} {}", dir.display(), hex::encode(hash.finalize()))
}

/// Gives every file to `emit`, those that the index knows without reading them.
///
/// # Errors
/// A file cannot be read, and those of `emit`.
pub(crate) fn read(dir: &Path, files: &[Found], index: &Index, emit: &mut Emit<'_>) -> Result<(), Error> {
    for file in files {
        crate::interrupt::check()?;
        let content = match index.known(file) {
            Some(id) => Content::Known(id),
            None => Content::Bytes(content(&dir.join(os_path(&file.path)), file.mode)?),
        };
        emit(Item { path: file.path.clone(), mode: file.mode, content })?;
    }
    Ok(())
}

fn os_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn content(path: &Path, mode: u32) -> anyhow::Result<Vec<u8>> {
    let read = if mode == 0o120_000 {
        std::fs::read_link(path).map(|target| target.as_os_str().as_bytes().to_vec())
    } else {
        std::fs::read(path)
    };
    read.with_context(|| format!("cannot read {}", path.display()))
}

/// The object of every file, as of the last import: `git`'s index in small.
#[derive(Default)]
pub(crate) struct Index {
    files: HashMap<Vec<u8>, (Oid, String)>,
}

impl Index {
    /// The last import's index; empty if there is none that belongs to `dir` and whose objects we have.
    pub(crate) fn load(work: &Work, dir: &Path) -> Self {
        Self::try_load(work, dir).unwrap_or_default()
    }

    fn try_load(work: &Work, dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(work.dir.join("folder-index")).ok()?;
        let mut records = bytes.split(|&byte| byte == 0);
        // The first record names the folder, and the commit whose objects the others are.
        let head = String::from_utf8(records.next()?.to_vec()).ok()?;
        let (commit, path) = head.split_once(' ')?;
        if path != dir.to_string_lossy() {
            return None;
        }
        let repo = git2::Repository::open_bare(work.git()).ok()?;
        repo.find_commit(Oid::from_str(commit).ok()?).ok()?;
        let mut files = HashMap::new();
        while let (Some(id), Some(state), Some(path)) = (records.next(), records.next(), records.next()) {
            let id = Oid::from_str(std::str::from_utf8(id).ok()?).ok()?;
            files.insert(path.to_vec(), (id, String::from_utf8(state.to_vec()).ok()?));
        }
        Some(Self { files })
    }

    /// The object of an unchanged file. The top Makefile is always read: it states the version.
    fn known(&self, file: &Found) -> Option<Oid> {
        let (id, known) = self.files.get(&file.path).filter(|_| file.path != b"Makefile")?;
        (*known == state(file)).then_some(*id)
    }

    /// Replaces the index by what was imported now.
    pub(crate) fn store(
        work: &Work,
        dir: &Path,
        files: &[Found],
        walked: i128,
        imported: &Imported,
    ) -> anyhow::Result<()> {
        let ids: HashMap<&[u8], Oid> = imported.leaves.iter().map(|(path, _, id)| (path.as_slice(), *id)).collect();
        let mut bytes = format!("{} {}\0", imported.base.commit, dir.to_string_lossy()).into_bytes();
        for file in files.iter().filter(|file| file.mtime < walked - RACY_NS) {
            let id = ids.get(file.path.as_slice()).ok_or_else(|| anyhow!("{} was lost", file.path.escape_ascii()))?;
            bytes.extend(format!("{id}\0{}\0", state(file)).into_bytes());
            bytes.extend(&file.path);
            bytes.push(0);
        }
        file::write(&work.dir.join("folder-index"), &bytes)
    }
}

fn state(file: &Found) -> String {
    format!("{:o} {} {}", file.mode, file.size, file.mtime)
}
