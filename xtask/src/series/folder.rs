// SPDX-License-Identifier: GPL-2.0-only
//! A folder of patch files that is replaced as a whole.
//!
//! Owns: the way there: the new folder is made beside the old one and takes its
//! place in one rename, or two on a file system that cannot exchange. Must not: know what
//! is in the files, or lose one that is no patch.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::mbox::File;
use crate::error::Error;
use crate::file;

/// Writes the files into a new folder `dir`.
///
/// # Errors
/// [`Error::Usage`] if there is something in it already; it cannot be written.
pub fn create(dir: &Path, files: &[File]) -> Result<(), Error> {
    let taken = dir.exists() && !is_empty(dir)?;
    if taken {
        return Err(Error::Usage(anyhow!("{} is there and not empty: name another folder", dir.display())));
    }
    Ok(replace(dir, files)?)
}

/// Writes the files into the folder `dir` in place of what is there.
///
/// # Errors
/// It cannot be written; what was there before is still there.
pub fn replace(dir: &Path, files: &[File]) -> anyhow::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    file::make_dir(parent)?;
    let failed = || format!("cannot write the folder {}", dir.display());
    let scratch = tempfile::Builder::new().prefix(".series-").tempdir_in(parent).with_context(failed)?;
    let (new, old) = (scratch.path().join("new"), scratch.path().join("old"));
    std::fs::create_dir(&new).with_context(failed)?;
    for file in files {
        if file.name.contains('/') || file.name.starts_with('.') {
            bail!("{:?} cannot name a file", file.name);
        }
        file::write(&new.join(&file.name), &file.bytes)?;
    }
    if dir.exists() {
        keep_others(dir, &new).with_context(failed)?;
        if renameat2(AT_FDCWD, &new, AT_FDCWD, dir, RenameFlags::RENAME_EXCHANGE).is_ok() {
            return Ok(());
        }
        std::fs::rename(dir, &old).with_context(failed)?;
    }
    let moved = std::fs::rename(&new, dir).with_context(failed);
    if moved.is_err() && old.exists() {
        std::fs::rename(&old, dir).with_context(failed)?;
    }
    moved
}

/// Copies what is no patch.
fn keep_others(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            continue;
        }
        if !path.is_file() {
            bail!("{} is neither a patch nor a plain file: move it elsewhere", path.display());
        }
        std::fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn is_empty(dir: &Path) -> anyhow::Result<bool> {
    let mut entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    Ok(entries.next().is_none())
}
