// SPDX-License-Identifier: GPL-2.0-only
//! What the tests of sources and series share: small kernels, archives of them, repositories.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use xtask::cache::{Cache, Work};
use xtask::progress::Progress;

/// The top of a tree that passes for a kernel.
pub(crate) const MAKEFILE: &str = "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n";

/// A cache and a work folder in a temporary folder.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cache: Cache,
    pub(crate) work: Work,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let work = cache.work("v6.1", &Progress::silent()).unwrap();
        Self { dir, cache, work }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn linux(&self, arg: &str) -> Result<xtask::source::Base, xtask::error::Error> {
        let arg = arg.parse().unwrap();
        let request = xtask::source::Request::Linux(arg);
        xtask::source::obtain(&self.work, &self.cache, &request, &Progress::silent())
    }

    pub(crate) fn repo(&self) -> Repository {
        Repository::open_bare(self.work.git()).unwrap()
    }
}

/// Writes files, making folders.
pub(crate) fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A small kernel in a folder: a program, a link, two levels.
pub(crate) fn kernel(dir: &Path) {
    write(dir, "Makefile", MAKEFILE);
    write(dir, "Kbuild", "obj-y += mm/\n");
    write(dir, "mm/memory.c", &numbered(40));
    write(dir, "scripts/run.sh", "#!/bin/sh\n");
    let program = dir.join("scripts/run.sh");
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../mm", dir.join("scripts/mm")).unwrap();
}

/// `line 1` to `line n`.
pub(crate) fn numbered(n: usize) -> String {
    (1..=n).map(|i| format!("line {i}\n")).collect()
}

/// The folder as a tar archive with everything below `top`.
pub(crate) fn tar(dir: &Path, top: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all(top, dir).unwrap();
    builder.into_inner().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A Debian package with this tarball in it.
pub(crate) fn deb(tarball: &[u8]) -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(tarball.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    data.append_data(&mut header, "./usr/src/linux-source-6.1.tar.xz", tarball).unwrap();
    let data = xz(&data.into_inner().unwrap());
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", b"odd"), ("data.tar.xz", &data)] {
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, bytes.len()).into_bytes());
        out.extend(bytes);
        out.extend(if bytes.len() % 2 == 1 { &b"\n"[..] } else { b"" });
    }
    out
}

/// A commit with these files on these parents.
pub(crate) fn commit(repo: &Repository, files: &[(&str, &str)], parent: Option<Oid>) -> Oid {
    let mut update = git2::build::TreeUpdateBuilder::new();
    for (path, text) in files {
        update.upsert(*path, repo.blob(text.as_bytes()).unwrap(), git2::FileMode::Blob);
    }
    let parent = parent.map(|parent| repo.find_commit(parent).unwrap());
    let empty = repo.find_tree(repo.treebuilder(None).unwrap().write().unwrap()).unwrap();
    let base = parent.as_ref().map_or(empty, |parent| parent.tree().unwrap());
    let tree = repo.find_tree(update.create_updated(repo, &base).unwrap()).unwrap();
    let who = git2::Signature::new("a", "a@invalid", &git2::Time::new(1, 0)).unwrap();
    repo.commit(None, &who, &who, "x", &tree, &parent.iter().collect::<Vec<_>>()).unwrap()
}

/// A file of a commit, as text.
pub(crate) fn text(repo: &Repository, commit: Oid, path: &str) -> String {
    let tree = repo.find_commit(commit).unwrap().tree().unwrap();
    let blob = repo.find_blob(tree.get_path(path.as_ref()).unwrap().id()).unwrap();
    String::from_utf8(blob.content().to_vec()).unwrap()
}
