// SPDX-License-Identifier: GPL-2.0-only
//! Files that are there whole or not at all.
//!
//! Owns: the one way in which this tool writes a small file: beside its place,
//! then renamed, so that no reader, no crash and no full disk leaves a half.
//! Must not: know what is in them.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

/// Makes a folder and those above it.
///
/// # Errors
/// It cannot be made.
pub fn make_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))
}

/// Writes a file that everybody may read.
///
/// # Errors
/// It cannot be written; what was there before is still there.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_mode(path, 0o644, bytes)
}

/// As [`write`], with these permissions.
///
/// # Errors
/// As [`write`].
pub fn write_mode(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let save = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".").tempfile_in(dir)?;
        file.write_all(bytes)?;
        // Not by the umask: a record is for others to read, too.
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        // A full disk may be noticed only when the data reaches it.
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    save().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"one").unwrap();
        write_mode(&path, 0o755, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no/such/file");
        let error = write(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("no/such/file"), "{error}");
        // A folder cannot be replaced by a file.
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(write(&dir.path().join("folder"), b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
