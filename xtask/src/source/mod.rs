// SPDX-License-Identifier: GPL-2.0-only
//! Where a kernel tree comes from: Debian's archive, a git clone, a folder, a tarball.
//!
//! Owns: turning a request into a commit in the work folder's repository of ours.
//! Must not: change anything outside the cache folder; a user's clone is only read.

pub(crate) mod archive;
pub(crate) mod import;
pub(crate) mod kernel;
pub(crate) mod pack;

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

pub fn import_file(work: &crate::cache::Work, path: &std::path::Path) -> Result<Base, crate::error::Error> {
    let subject =
        import::Subject { identity: format!("file {}", path.display()), origin: path.display().to_string(), name: "x" };
    if let Some(base) = import::earlier(work, &subject.identity) {
        return Ok(base);
    }
    let count = Default::default();
    Ok(import::import(work, &subject, |emit| archive::read(path, &count, emit))?.base)
}
