// SPDX-License-Identifier: GPL-2.0-only
//! A user's git clone as a kernel tree.
//!
//! Owns: resolving `PATH[@REV]` to a commit. The clone is only read: its objects
//! are borrowed (`objects/info/alternates`), and what is not committed there
//! becomes a commit in the repository of ours. Checkout, index and refs of the
//! clone stay as they are. Worktrees and bare clones are clones too.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use git2::build::TreeUpdateBuilder;
use git2::{Commit, Delta, Diff, DiffOptions, ErrorCode, FileMode, Oid, Repository, Signature, Tree};

use super::import::own_repository;
use super::{Base, checkout, kernel};
use crate::cache::Work;
use crate::error::Error;

/// More names than this are slower than a look at all files.
const FEW: usize = 1000;

/// Is this folder a clone (or a worktree, or a bare clone)? The folders above it do not count.
pub(crate) fn is_clone(path: &Path) -> bool {
    path.join(".git").exists() || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

/// The commit of `rev`, or without one of HEAD with the uncommitted changes of tracked files.
///
/// # Errors
/// No such revision, no kernel, a clone that git does not trust (usage), or the
/// repository of ours cannot be written.
pub(crate) fn obtain(work: &Work, path: &Path, rev: Option<&str>) -> Result<Base, Error> {
    let clone = open(path)?;
    let commit = resolve(&clone, path, rev)?;
    let objects = clone.commondir().join("objects");
    let objects = std::fs::canonicalize(&objects).with_context(|| format!("cannot find {}", objects.display()))?;
    let own = own_repository(work, Some(&objects))?;
    let head =
        own.find_commit(commit.id()).with_context(|| format!("cannot read the objects of {}", path.display()))?;
    let short = &commit.id().to_string()[..12];
    let (id, origin) = match rev {
        None if !clone.is_bare() => {
            let (id, changed) = uncommitted(&clone, &own, path, &head)?;
            let with = match changed {
                0 => String::new(),
                1 => " with 1 uncommitted file".to_owned(),
                changed => format!(" with {changed} uncommitted files"),
            };
            (id, format!("{}@{short}{with}", path.display()))
        }
        _ => (head.id(), format!("{}@{short}", path.display())),
    };
    let version = version(&own, id, &origin)?;
    Ok(Base { commit: id, version, origin })
}

/// Opens a clone, to be read only.
///
/// # Errors
/// No clone, or one that git does not trust (usage).
pub(crate) fn open(path: &Path) -> Result<Repository, Error> {
    Repository::open(path).map_err(|error| {
        let hint = if error.code() == ErrorCode::Owner {
            format!(
                "; it belongs to another user: `git config --global --add safe.directory {}` says that you trust it",
                path.display()
            )
        } else {
            String::new()
        };
        Error::Usage(anyhow!("cannot open the git clone {}: {}{hint}", path.display(), error.message()))
    })
}

/// The commit of a revision; HEAD if left out.
///
/// # Errors
/// No such revision (usage).
pub(crate) fn resolve<'a>(clone: &'a Repository, path: &Path, rev: Option<&str>) -> Result<Commit<'a>, Error> {
    let rev = rev.unwrap_or("HEAD");
    let object = clone.revparse_single(rev).and_then(|object| object.peel_to_commit());
    object.map_err(|error| {
        Error::Usage(anyhow!("the git clone {} has no commit `{rev}`: {}", path.display(), error.message()))
    })
}

/// HEAD's commit, or one of ours on top of it with what the checkout has changed,
/// and how many files that are.
fn uncommitted(clone: &Repository, own: &Repository, path: &Path, head: &Commit<'_>) -> Result<(Oid, usize), Error> {
    let failed = || format!("cannot compare the checkout {} with its HEAD", path.display());
    let root = clone.workdir().with_context(failed)?.to_owned();
    let suspects = checkout::suspects(clone, own, &root, &own.find_tree(head.tree_id()).with_context(failed)?)?;
    if suspects.as_ref().is_some_and(Vec::is_empty) {
        return Ok((head.id(), 0));
    }
    Ok(commit_changes(clone, own, &root, head, suspects.as_deref()).with_context(failed)?)
}

/// The same of a checkout of which only `suspects` may differ; all may if left out.
fn commit_changes(
    clone: &Repository,
    own: &Repository,
    root: &Path,
    head: &Commit<'_>,
    suspects: Option<&[PathBuf]>,
) -> anyhow::Result<(Oid, usize)> {
    let tree = clone.find_tree(head.tree_id())?;
    let mut options = DiffOptions::new();
    // The clone's index is only read; git itself would write fresher times into it.
    options.update_index(false).include_untracked(false).ignore_submodules(true).include_typechange(true);
    for suspect in suspects.unwrap_or_default().iter().filter(|_| suspects.is_some_and(|all| all.len() <= FEW)) {
        options.pathspec(suspect).disable_pathspec_match(true);
    }
    let diff = clone.diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options))?;
    let (update, changed) = collect(own, root, &diff, &own.find_tree(head.tree_id())?)?;
    let Some(mut update) = update else { return Ok((head.id(), 0)) };
    let tree = own.find_tree(update.create_updated(own, &own.find_tree(head.tree_id())?)?)?;
    if tree.id() == head.tree_id() {
        return Ok((head.id(), 0));
    }
    let who = Signature::new("kvm-gup-io", "kvm-gup-io@invalid", &head.time())?;
    let id = own.commit(None, &who, &who, "uncommitted changes\n", &tree, &[head])?;
    Ok((id, changed))
}

fn collect(
    own: &Repository,
    root: &Path,
    diff: &Diff<'_>,
    head: &Tree<'_>,
) -> anyhow::Result<(Option<TreeUpdateBuilder>, usize)> {
    let mut update = TreeUpdateBuilder::new();
    let mut changed = 0;
    for delta in diff.deltas() {
        let file = if delta.status() == Delta::Deleted { delta.old_file() } else { delta.new_file() };
        let path = file.path().or_else(|| delta.old_file().path()).context("a changed file has no name")?;
        if delta.status() == Delta::Unmodified {
            continue;
        }
        match read(&root.join(path))? {
            Some((bytes, mode)) => {
                update.upsert(path, own.blob(&bytes)?, mode);
            }
            None if head.get_path(path).is_ok() => {
                update.remove(path);
            }
            None => continue,
        }
        changed += 1;
    }
    Ok(((changed > 0).then_some(update), changed))
}

/// A file of the checkout as git would store it; `None` if it is gone or is a folder now.
fn read(path: &Path) -> anyhow::Result<Option<(Vec<u8>, FileMode)>> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let show = || format!("cannot read {}", path.display());
    let data = match std::fs::symlink_metadata(path) {
        Ok(data) => data,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(show),
    };
    if data.is_symlink() {
        let target = std::fs::read_link(path).with_context(show)?;
        return Ok(Some((target.as_os_str().as_bytes().to_vec(), FileMode::Link)));
    }
    if !data.is_file() {
        return Ok(None);
    }
    let mode = if data.permissions().mode() & 0o100 == 0 { FileMode::Blob } else { FileMode::BlobExecutable };
    Ok(Some((std::fs::read(path).with_context(show)?, mode)))
}

fn version(repo: &Repository, commit: Oid, origin: &str) -> Result<String, Error> {
    let tree = repo.find_commit(commit).and_then(|commit| commit.tree()).context("cannot read the commit's tree")?;
    let makefile = tree.get_name("Makefile").and_then(|entry| repo.find_blob(entry.id()).ok());
    let version = makefile.and_then(|makefile| kernel::version(makefile.content()));
    version.filter(|_| tree.get_name("Kbuild").is_some()).ok_or_else(|| kernel::not_a_kernel(origin))
}
