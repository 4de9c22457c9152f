// SPDX-License-Identifier: GPL-2.0-only
//! The initramfs: PID 1, its plan, and the few nodes that a kernel wants first.
//!
//! Owns: the archive's layout. Reproducible: fixed inode numbers, owners and
//! times, so that the same binary and plan give the same bytes. Needs no root: a
//! device node is only an entry of the archive. Must not: compress it, since a
//! guest unpacks slower than it copies.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use cpio::NewcBuilder;
use cpio::newc::{ModeFileType, trailer};
use selftests::plan::{PLAN_PATH, Plan};

use crate::{file, guest};

/// Mount points that PID 1 expects. `/tmp` is on the rootfs, which is in memory.
const DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "tmp"];

/// The kernel opens it for PID 1 before anything is mounted; without it PID 1
/// has no stdout, and what it says in its last moment is lost.
const CONSOLE: (&str, u32, u32) = ("dev/console", 5, 1);

/// `EI_CLASS` of a 64-bit and `e_type` of a non-relocatable or static-pie file,
/// as far as a kernel without a dynamic loader cares.
const ELF_MAGIC: &[u8] = b"\x7fELF\x02";

/// Writes the archive: `init` (a static 64-bit ELF file) as `/init`, and `plan`
/// as [`PLAN_PATH`].
///
/// # Errors
/// `init` is not such a file, or `path` cannot be written.
pub fn write(path: &Path, init: &[u8], plan: &Plan) -> anyhow::Result<()> {
    check_init(init)?;
    let archive = archive(init, plan).context("cannot build the initramfs")?;
    file::write(path, &archive).context("the initramfs is not complete")
}

/// The archive's bytes.
///
/// # Errors
/// A file of 4 GiB and more.
pub fn archive(init: &[u8], plan: &Plan) -> anyhow::Result<Vec<u8>> {
    let plan = serde_json::to_vec_pretty(plan)?;
    let mut writer = Entries { bytes: Vec::with_capacity(init.len() + plan.len() + 4096), inode: 0 };
    for directory in DIRECTORIES {
        writer
            .add(NewcBuilder::new(directory).mode(0o755).set_mode_file_type(ModeFileType::Directory).nlink(2), &[])?;
    }
    let (name, major, minor) = CONSOLE;
    let console = NewcBuilder::new(name).mode(0o600).set_mode_file_type(ModeFileType::Char);
    writer.add(console.rdev_major(major).rdev_minor(minor), &[])?;
    writer.add(NewcBuilder::new("init").mode(0o755).set_mode_file_type(ModeFileType::Regular), init)?;
    let name = PLAN_PATH.trim_start_matches('/');
    writer.add(NewcBuilder::new(name).mode(0o644).set_mode_file_type(ModeFileType::Regular), &plan)?;
    Ok(trailer(writer.bytes)?)
}

/// Entries with rising inode numbers: equal ones would be hard links.
struct Entries {
    bytes: Vec<u8>,
    inode: u32,
}

impl Entries {
    fn add(&mut self, entry: NewcBuilder, content: &[u8]) -> anyhow::Result<()> {
        self.inode += 1;
        let size = u32::try_from(content.len()).context("a file of the initramfs is too large for its format")?;
        let mut writer = entry.ino(self.inode).mtime(0).uid(0).gid(0).write(&mut self.bytes, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }
}

/// A kernel's answer to a file that it cannot run is a panic far from the cause.
fn check_init(init: &[u8]) -> anyhow::Result<()> {
    if !init.starts_with(ELF_MAGIC) {
        bail!("the program for PID 1 is no 64-bit ELF file ({} bytes)", init.len());
    }
    if has_interpreter(init) {
        bail!(
            "the program for PID 1 wants a dynamic loader, and the initramfs has none: build it with \
             `RUSTFLAGS='{}' cargo build --profile guest -p selftests --target {}`",
            guest::FLAGS,
            guest::TRIPLE
        );
    }
    Ok(())
}

/// Does a program header of this 64-bit little-endian ELF file name a loader?
fn has_interpreter(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        bytes.iter().rev().try_fold(0_usize, |value, &byte| value.checked_mul(256)?.checked_add(usize::from(byte)))
    };
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else { return false };
    (0..count).any(|index| {
        let at = index.checked_mul(size).and_then(|offset| offset.checked_add(table));
        at.and_then(|at| number(at, 4)) == Some(PT_INTERP as usize)
    })
}
