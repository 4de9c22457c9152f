// SPDX-License-Identifier: GPL-2.0-only
//! The source folder that make sees, switched from commit to commit.
//!
//! Owns: the folder, whole. Only files that differ are written, so that make stays
//! incremental from side to side. A state file beside the folder says which commit
//! is in it, or which ones may be mixed in it while a switch is under way, so that
//! the switch after a kill repairs what differs. What a person edits in the folder
//! is not looked for: it stays until a switch touches that file.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};
use git2::{ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::file;
use crate::interrupt;

/// Files that a thread takes at a time: neighbours lie together in a pack.
const CHUNK: usize = 64;

/// What a switch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switched {
    /// Files written.
    pub written: usize,
    /// Files removed.
    pub removed: usize,
}

/// What may be in the folder.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Each file is as in one of these commits. One commit: the folder is clean.
    /// None: anything may be in it.
    commits: Vec<String>,
}

/// A file as a commit has it.
#[derive(Debug, Clone)]
struct Wanted {
    path: PathBuf,
    id: Oid,
    mode: i32,
}

/// Makes the folder `src` equal to the commit `to` of `repo`. The caller holds the
/// lock of the work folder that both are in.
///
/// # Errors
/// The commit or a file of it cannot be read, a file cannot be written, or we are
/// interrupted; the next switch repairs what is left.
pub fn switch(repo: &Repository, src: &Path, to: Oid) -> Result<Switched, Error> {
    let path = state_path(src)?;
    let known = src.is_dir().then(|| read_state(&path)).flatten().filter(|commits| !commits.is_empty());
    if known.as_deref() == Some(&[to]) {
        return Ok(Switched::default());
    }
    let new = tree(repo, to)?;
    let old = known.map(|commits| commits.iter().map(|&commit| tree(repo, commit)).collect::<Result<Vec<_>, _>>());
    let switched = match old {
        Some(Ok(old)) => {
            let mut mixed = read_state(&path).unwrap_or_default();
            mixed.retain(|commit| *commit != to);
            mixed.push(to);
            write_state(&path, &mixed)?;
            differing(repo, src, &old, &new)?
        }
        // No state, or a commit that is gone with the clone that lent it.
        _ => {
            write_state(&path, &[])?;
            file::make_dir(src)?;
            everything(repo, src, &new)?
        }
    };
    write_state(&path, &[to])?;
    Ok(switched)
}

/// Paths in which two trees differ, `before` by its id; `None` if that cannot be said.
#[must_use]
pub fn changed(repo: &Repository, before: &str, now: Oid) -> Option<Vec<PathBuf>> {
    let tree = |id| repo.find_tree(id).ok();
    let diff = repo.diff_tree_to_tree(Some(&tree(Oid::from_str(before).ok()?)?), Some(&tree(now)?), None).ok()?;
    let paths = diff.deltas().flat_map(|delta| [delta.old_file().path(), delta.new_file().path()]);
    Some(paths.collect::<Option<Vec<_>>>()?.into_iter().map(Path::to_owned).collect())
}

fn state_path(src: &Path) -> anyhow::Result<PathBuf> {
    let name = src.file_name().with_context(|| format!("{} cannot be a source folder", src.display()))?;
    let mut name = name.to_owned();
    name.push(".state");
    Ok(src.with_file_name(name))
}

fn read_state(path: &Path) -> Option<Vec<Oid>> {
    let state: State = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    state.commits.iter().map(|commit| Oid::from_str(commit).ok()).collect()
}

fn write_state(path: &Path, commits: &[Oid]) -> anyhow::Result<()> {
    let state = State { commits: commits.iter().map(Oid::to_string).collect() };
    file::write(path, &serde_json::to_vec(&state).context("cannot write the state of the source folder")?)
}

fn tree(repo: &Repository, commit: Oid) -> anyhow::Result<Tree<'_>> {
    let tree = repo.find_commit(commit).and_then(|commit| commit.tree());
    tree.with_context(|| format!("cannot read the commit {commit} in {}", repo.path().display()))
}

/// Rewrites the files in which the new tree differs from any of the old ones.
fn differing(repo: &Repository, src: &Path, old: &[Tree<'_>], new: &Tree<'_>) -> Result<Switched, Error> {
    let mut paths = BTreeSet::new();
    for old in old {
        let diff = repo.diff_tree_to_tree(Some(old), Some(new), None).context("cannot compare two commits")?;
        for delta in diff.deltas() {
            paths.extend([delta.old_file().path(), delta.new_file().path()].into_iter().flatten().map(Path::to_owned));
        }
    }
    let (mut wanted, mut gone) = (Vec::new(), Vec::new());
    for path in paths {
        match new.get_path(&path) {
            Ok(entry) if entry.kind() == Some(ObjectType::Blob) => {
                wanted.push(Wanted { path, id: entry.id(), mode: entry.filemode() });
            }
            _ => gone.push(path),
        }
    }
    // First what goes: a folder may take the place of a file.
    let mut removed = 0;
    for path in &gone {
        removed += usize::from(remove(src, path)?);
    }
    let mut written = 0;
    for file in &wanted {
        interrupt::check()?;
        written += usize::from(put(repo, src, file, true)?);
    }
    Ok(Switched { written, removed })
}

/// Makes the whole folder right, whatever is in it; files that are right stay untouched.
fn everything(repo: &Repository, src: &Path, new: &Tree<'_>) -> Result<Switched, Error> {
    let mut wanted = Vec::new();
    new.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() == Some(ObjectType::Blob) {
            let name = std::ffi::OsStr::from_bytes(entry.name_bytes());
            wanted.push(Wanted { path: Path::new(dir).join(name), id: entry.id(), mode: entry.filemode() });
        }
        TreeWalkResult::Ok
    })
    .context("cannot walk a commit's tree")?;
    let removed = clear(src, &wanted)?;
    let dirs: BTreeSet<&Path> = wanted.iter().filter_map(|file| file.path.parent()).collect();
    for dir in dirs {
        file::make_dir(&src.join(dir))?;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let (next, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let git = repo.path();
    let work = || -> Result<(), Error> {
        // A repository handle belongs to one thread.
        let repo = Repository::open(git).context("cannot open the repository of ours")?;
        loop {
            interrupt::check()?;
            let begin = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(chunk) = wanted.get(begin..wanted.len().min(begin + CHUNK)).filter(|chunk| !chunk.is_empty())
            else {
                return Ok(());
            };
            for file in chunk {
                written.fetch_add(usize::from(put(&repo, src, file, false)?), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| -> Result<(), Error> {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a thread that writes the source folder panicked"))??;
        }
        Ok(())
    })?;
    Ok(Switched { written: written.into_inner(), removed })
}

/// Removes what is in no tree, and what has the place of a folder or file.
fn clear(src: &Path, wanted: &[Wanted]) -> anyhow::Result<usize> {
    let files: BTreeSet<&Path> = wanted.iter().map(|file| file.path.as_path()).collect();
    let dirs: BTreeSet<&Path> = wanted.iter().flat_map(|file| file.path.ancestors().skip(1)).collect();
    let mut removed = 0;
    let mut walker = walkdir::WalkDir::new(src).min_depth(1).into_iter();
    while let Some(entry) = walker.next() {
        let entry = entry.with_context(|| format!("cannot read {}", src.display()))?;
        let path = entry.path().strip_prefix(src)?;
        let is_dir = entry.file_type().is_dir();
        if if is_dir { dirs.contains(path) } else { files.contains(path) } {
            continue;
        }
        let gone = if is_dir { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
        gone.with_context(|| format!("cannot remove {}", entry.path().display()))?;
        removed += 1;
        if is_dir {
            walker.skip_current_dir();
        }
    }
    Ok(removed)
}

/// Removes a file, and the folders that it leaves empty.
fn remove(src: &Path, path: &Path) -> anyhow::Result<bool> {
    let file = src.join(path);
    let removed = match std::fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => false,
        Err(error) => return Err(error).with_context(|| format!("cannot remove {}", file.display())),
    };
    for dir in path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
        // Not empty, or gone already: both are as they should be.
        if std::fs::remove_dir(src.join(dir)).is_err() {
            break;
        }
    }
    Ok(removed)
}

/// Writes a file unless it is right as it is, which keeps its time stamp.
fn put(repo: &Repository, src: &Path, file: &Wanted, with_dir: bool) -> anyhow::Result<bool> {
    let path = src.join(&file.path);
    let blob = repo.find_blob(file.id).with_context(|| {
        format!(
            "cannot read {} from {}: if the source is a partial clone, `git fetch --refetch --no-filter` in it completes it",
            file.path.display(),
            repo.path().display()
        )
    })?;
    if is_right(&path, blob.content(), file.mode) {
        return Ok(false);
    }
    let write = || -> std::io::Result<()> {
        if let (true, Some(dir)) = (with_dir, path.parent()) {
            std::fs::create_dir_all(dir)?;
        }
        // A new file in the old one's place: nothing is written through a link.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if file.mode == 0o120_000 {
            return symlink(std::ffi::OsStr::from_bytes(blob.content()), &path);
        }
        let mode = if file.mode == 0o100_755 { 0o777 } else { 0o666 };
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?.write_all(blob.content())
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

fn is_right(path: &Path, content: &[u8], mode: i32) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let Ok(data) = std::fs::symlink_metadata(path) else { return false };
    if data.is_symlink() || mode == 0o120_000 {
        let target = std::fs::read_link(path).ok();
        return mode == 0o120_000 && target.is_some_and(|target| target.as_os_str().as_bytes() == content);
    }
    let executable = data.permissions().mode() & 0o100 != 0;
    data.is_file()
        && executable == (mode == 0o100_755)
        && data.len() == content.len() as u64
        && std::fs::read(path).is_ok_and(|there| there == content)
}
