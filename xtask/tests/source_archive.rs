// SPDX-License-Identifier: GPL-2.0-only
//! Archives and folders as kernel trees.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

mod source_support;

use std::fs;

use source_support::{MAKEFILE, Place, deb, gz, kernel, tar, text, write, xz};
use xtask::error::Error;

/// A tarball of the small kernel, with everything below `linux-6.1/`.
fn tarball(place: &Place) -> Vec<u8> {
    let dir = place.path("tree");
    kernel(&dir);
    tar(&dir, "linux-6.1")
}

fn import(place: &Place, name: &str, bytes: &[u8]) -> Result<xtask::source::Base, Error> {
    fs::write(place.path(name), bytes).unwrap();
    place.linux(place.path(name).to_str().unwrap())
}

#[test]
fn every_format_gives_the_same_tree() {
    let mut trees = Vec::new();
    for format in 0..6 {
        let place = Place::new();
        let tar = tarball(&place);
        let base = match format {
            0 => import(&place, "k.tar", &tar),
            1 => import(&place, "k.tar.xz", &xz(&tar)),
            2 => import(&place, "k.tar.gz", &gz(&tar)),
            3 => import(&place, "k.tar.zst", &zstd::encode_all(&tar[..], 1).unwrap()),
            4 => import(&place, "k.deb", &deb(&xz(&tar))),
            _ => place.linux(place.path("tree").to_str().unwrap()),
        };
        let base = base.unwrap();
        assert_eq!(base.version, "6.1.192");
        let repo = place.repo();
        let tree = repo.find_commit(base.commit).unwrap().tree().unwrap();
        let mode = |path: &str| tree.get_path(path.as_ref()).unwrap().filemode();
        assert_eq!((mode("scripts/run.sh"), mode("scripts/mm"), mode("Kbuild")), (0o100_755, 0o120_000, 0o100_644));
        assert_eq!(text(&repo, base.commit, "scripts/mm"), "../mm");
        trees.push(tree.id());
    }
    trees.dedup();
    assert_eq!(trees.len(), 1);
}

#[test]
fn a_second_import_does_nothing_and_a_changed_file_is_noticed() {
    let place = Place::new();
    let tar = tarball(&place);
    let first = import(&place, "k.tar", &tar).unwrap();
    let packs = || fs::read_dir(place.work.git().join("objects/pack")).unwrap().count();
    let before = packs();
    assert_eq!(place.linux(place.path("k.tar").to_str().unwrap()).unwrap(), first);
    assert_eq!(packs(), before);
    write(&place.path("tree"), "mm/new.c", "new\n");
    let second = import(&place, "k.tar", &crate::tar(&place.path("tree"), "linux-6.1")).unwrap();
    assert_ne!(second.commit, first.commit);
}

#[test]
fn what_is_cut_off_or_damaged_is_an_error_and_leaves_nothing() {
    let place = Place::new();
    let tar = tarball(&place);
    let (xz, gz) = (xz(&tar), gz(&tar));
    let deb = deb(&xz);
    let zst = zstd::encode_all(&tar[..], 1).unwrap();
    let mut flipped = xz.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    let end = tar.len() - 1024;
    let damaged = [
        &xz[..xz.len() - 40],
        &gz[..gz.len() - 4],
        &zst[..zst.len() - 9],
        &deb[..deb.len() - 30],
        &flipped,
        &tar[..end],
        &tar[..3000],
    ];
    for (number, bytes) in damaged.into_iter().enumerate() {
        let error = import(&place, &format!("bad-{number}"), bytes).unwrap_err();
        assert!(matches!(error, Error::Infra(_)), "{number}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("cannot read the kernel source {}", place.path(&format!("bad-{number}")).display())),
            "{text}"
        );
    }
    assert_eq!(fs::read_dir(place.work.git().join("objects/pack")).unwrap().count(), 0);
    assert!(!place.work.dir.join("source.json").exists());
}

#[test]
fn what_is_no_archive_or_no_kernel_is_refused() {
    let place = Place::new();
    let error = import(&place, "text", b"hello, this is no archive").unwrap_err().to_string();
    assert!(error.contains("it is neither a tar archive (plain, xz, gz, zst) nor a Debian package"), "{error}");
    let dir = place.path("other");
    write(&dir, "Makefile", "all:\n");
    write(&dir, "x.c", "x\n");
    for bytes in [tar(&dir, "other-1.0"), {
        write(&dir, "Makefile", MAKEFILE);
        tar(&dir, ".")
    }] {
        let error = import(&place, "other.tar", &bytes).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
        assert!(error.to_string().contains("other.tar is not a kernel source tree"), "{error}");
    }
    let error = place.linux("/proc/self").unwrap_err().to_string();
    assert!(error.contains("is not a kernel source tree"), "{error}");
    let error = place.linux("/nowhere/at/all@v1").unwrap_err().to_string();
    assert!(error.starts_with("--linux: there is nothing at /nowhere/at/all"), "{error}");
    let error = place.linux(&format!("{}@v1", dir.display())).unwrap_err().to_string();
    assert!(error.contains("is no git clone, so it has no revision `v1`"), "{error}");
}

#[test]
fn an_archive_that_leaves_the_tree_is_refused() {
    let place = Place::new();
    for path in ["../evil", "linux/../../evil", "linux/.git/config"] {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, &b"x"[..]).unwrap();
        let error = import(&place, "evil.tar", &builder.into_inner().unwrap()).unwrap_err().to_string();
        assert!(error.contains(&format!("the path {path}, which leaves the tree")), "{error}");
    }
}

#[test]
fn a_folder_is_read_again_only_where_it_changed() {
    let place = Place::new();
    let dir = place.path("tree");
    kernel(&dir);
    write(&dir, "mm/memory.o", "object");
    write(&dir, ".config", "CONFIG_X=y\n");
    write(&dir, "include/config/auto.conf", "x");
    let arg = dir.to_str().unwrap();
    let first = place.linux(arg).unwrap();
    assert_eq!(place.linux(arg).unwrap(), first);
    write(&dir, "mm/memory.c", "changed\n");
    let second = place.linux(arg).unwrap();
    let repo = place.repo();
    assert_eq!(text(&repo, second.commit, "mm/memory.c"), "changed\n");
    assert_eq!(text(&repo, second.commit, "Kbuild"), text(&repo, first.commit, "Kbuild"));
    let tree = repo.find_commit(second.commit).unwrap().tree().unwrap();
    for product in ["mm/memory.o", ".config", "include"] {
        assert!(tree.get_path(product.as_ref()).is_err(), "{product} was imported");
    }
}
