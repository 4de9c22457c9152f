// SPDX-License-Identifier: GPL-2.0-only
//! A zram device with a backing device, as swap.
//!
//! Owns: which `/dev/zramN` is used, its start and its end, and the order to write back
//! (`Documentation/admin-guide/blockdev/zram.rst`). Must not: know who serves the backing
//! device, or believe that anything was written there: the read that is withheld shows it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::Failure;
use crate::swap::{self, PAGE};

/// Bytes of it: as many as the other swap device has.
const BYTES: usize = 16 << 20;

/// The device, and whether it is swapped to.
pub(crate) struct Zram {
    /// The device node.
    pub(crate) node: PathBuf,
    /// Is it swapped to now?
    pub(crate) is_on: bool,
}

impl Zram {
    /// A device that nobody uses, not started yet.
    ///
    /// # Errors
    /// [`Failure::Skip`]: there is none, or it cannot have a backing device.
    pub(crate) fn find(block: &Path) -> Result<Self, Failure> {
        let mut seen = Vec::new();
        for number in 0..64_u32 {
            let (name, dir) = (format!("zram{number}"), block.join(format!("zram{number}")));
            if !dir.exists() {
                continue;
            }
            if !dir.join("backing_dev").exists() {
                let reason = "zram has no writeback here: build CONFIG_ZRAM_WRITEBACK, which came with Linux 4.14";
                return Err(Failure::Skip(reason.to_owned()));
            }
            let is = |file: &str, text| fs::read_to_string(dir.join(file)).is_ok_and(|seen| seen.trim() == text);
            if is("initstate", "0") && is("backing_dev", "none") {
                return Ok(Self { node: Path::new("/dev").join(name), is_on: false });
            }
            seen.push(name);
        }
        Err(Failure::Skip(if seen.is_empty() {
            "no zram device: build CONFIG_ZRAM, or load the module with `modprobe zram`".to_owned()
        } else {
            format!("all zram devices are in use: {}", seen.join(", "))
        }))
    }

    /// Gives it its backing device and its size, in this order, and formats it for swap.
    pub(crate) fn start(&self, backing: &Path) -> anyhow::Result<()> {
        order(&self.node, "backing_dev", &backing.display().to_string())?;
        order(&self.node, "disksize", &BYTES.to_string())?;
        let file = File::options().write(true).open(&self.node);
        let mut file = file.with_context(|| format!("opening {}", self.node.display()))?;
        file.write_all(&swap::header(BYTES / PAGE)).and_then(|()| file.sync_all()).context("formatting zram")
    }

    /// Swaps to it and not to `other`, or the other way round.
    ///
    /// A higher priority would not do: since 6.15 each CPU goes on with the cluster that it
    /// had last, whatever device that is of (`swap_alloc_fast()`).
    pub(crate) fn turn(&mut self, on: bool, other: &Path) -> anyhow::Result<()> {
        if on != self.is_on {
            let (this, that) = if on { (self.node.as_path(), other) } else { (other, self.node.as_path()) };
            swap::off(that)?;
            swap::on(this)?;
            self.is_on = on;
        }
        Ok(())
    }

    /// Writes all that is in it to the backing device, which then has the only copy.
    ///
    /// # Errors
    /// One of the two orders is refused: the backing device is full, or fails.
    pub(crate) fn write_back(&self) -> anyhow::Result<()> {
        order(&self.node, "idle", "all")?;
        order(&self.node, "writeback", "idle")
    }
}

/// Takes all from the device `node`, its backing device too; it must not be swapped to.
pub(crate) fn reset(node: &Path) -> anyhow::Result<()> {
    order(node, "reset", "1")
}

/// Writes `text` to a file of the device in sysfs.
fn order(node: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let name = node.file_name().with_context(|| format!("{} names no device", node.display()))?;
    let path = Path::new("/sys/block").join(name).join(file);
    fs::write(&path, text).with_context(|| format!("writing {text:?} to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unused_device_with_writeback_is_taken() {
        let block = std::env::temp_dir().join(format!("kvm-gup-io-zram-{}", std::process::id()));
        let skips = |part: &str| matches!(Zram::find(&block), Err(Failure::Skip(reason)) if reason.contains(part));
        let device = |number: u32, files: &[(&str, &str)]| {
            let dir = block.join(format!("zram{number}"));
            fs::create_dir_all(&dir).unwrap();
            for (file, text) in files {
                fs::write(dir.join(file), text).unwrap();
            }
        };
        assert!(skips("modprobe zram"));
        device(1, &[("initstate", "1\n"), ("backing_dev", "none\n")]);
        device(3, &[("initstate", "0\n"), ("backing_dev", "/dev/sdb\n")]);
        assert!(skips("in use: zram1, zram3"));
        device(4, &[("initstate", "0\n"), ("backing_dev", "none\n")]);
        assert_eq!(Zram::find(&block).unwrap().node, Path::new("/dev/zram4"));
        device(0, &[("initstate", "0\n")]);
        assert!(skips("4.14"));
        fs::remove_dir_all(&block).unwrap();
    }
}
