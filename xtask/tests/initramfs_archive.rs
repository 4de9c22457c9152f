// SPDX-License-Identifier: GPL-2.0-only
//! The initramfs, read back with another reader than the kernel's.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do ends its test")]

use std::io::Read;

use cpio::NewcReader;
use selftests::plan::{Plan, select};
use xtask::initramfs::{archive, write};

fn plan() -> Plan {
    Plan { patience: 2.5, ..Plan::of(select(&[]).unwrap().cells) }
}

/// A file that passes for a static ELF.
fn init() -> Vec<u8> {
    let mut elf = vec![0; 200];
    elf[..5].copy_from_slice(b"\x7fELF\x02");
    elf
}

/// Name, mode, (rdev major, minor), inode, mtime, content.
type Listed = (String, u32, (u32, u32), u32, u32, Vec<u8>);

fn list(mut bytes: &[u8]) -> Vec<Listed> {
    let mut entries = Vec::new();
    loop {
        let mut reader = NewcReader::new(bytes).unwrap();
        let entry = reader.entry().clone();
        if entry.is_trailer() {
            return entries;
        }
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        let rdev = (entry.rdev_major(), entry.rdev_minor());
        entries.push((entry.name().to_owned(), entry.mode(), rdev, entry.ino(), entry.mtime(), content));
        bytes = reader.finish().unwrap();
    }
}

#[test]
fn it_lists_back() {
    let entries = list(&archive(&init(), &plan()).unwrap());
    let modes: Vec<_> = entries.iter().map(|entry| (entry.0.as_str(), entry.1, entry.2)).collect();
    assert_eq!(
        modes,
        [
            ("dev", 0o40755, (0, 0)),
            ("proc", 0o40755, (0, 0)),
            ("sys", 0o40755, (0, 0)),
            ("tmp", 0o40755, (0, 0)),
            ("dev/console", 0o20600, (5, 1)),
            ("init", 0o100_755, (0, 0)),
            ("plan.json", 0o100_644, (0, 0)),
        ]
    );
    assert_eq!(entries[5].5, init());
    assert_eq!(serde_json::from_slice::<Plan>(&entries[6].5).unwrap(), plan());
    let mut inodes: Vec<_> = entries.iter().map(|entry| entry.3).collect();
    inodes.dedup();
    assert_eq!(inodes.len(), entries.len());
    assert!(entries.iter().all(|entry| entry.4 == 0));
}

#[test]
fn twice_is_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    write(&a, &init(), &plan()).unwrap();
    write(&b, &init(), &plan()).unwrap();
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
}

#[test]
fn what_cannot_be_pid_1_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("initramfs");
    assert!(write(&path, b"#!/bin/sh\n", &plan()).unwrap_err().to_string().contains("no 64-bit ELF"));
    // The test runner itself is linked dynamically.
    let dynamic = std::fs::read("/proc/self/exe").unwrap();
    assert!(write(&path, &dynamic, &plan()).unwrap_err().to_string().contains("dynamic loader"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = write(std::path::Path::new("/nonexistent/initramfs"), &init(), &plan()).unwrap_err();
    assert!(format!("{error:#}").contains("/nonexistent"), "{error:#}");
}
