// SPDX-License-Identifier: GPL-2.0-only
//! What the canary showed last time on this host.
//!
//! Owns: `accel.json` in the cache folder. It is only a memory: whatever is wrong
//! with it, the canary is run again. Must not: choose.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Kind;
use super::canary::Canary;
use crate::file;

/// A host changes under the same names: microcode, a hypervisor below, settings.
const BELIEVED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Raised when the canary changes, so that old numbers are not compared with new.
const VERSION: u32 = 1;

/// What a measurement depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    version: u32,
    qemu: String,
    host_kernel: String,
    cpu: String,
}

impl Key {
    /// This host with this QEMU.
    pub(super) fn of_this_host(qemu: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        Self {
            version: VERSION,
            qemu: qemu.to_owned(),
            host_kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    kind: Kind,
    /// Seconds since 1970.
    at: u64,
    canary: Canary,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    key: Key,
    entries: Vec<Entry>,
}

/// The file and what is in it.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    stored: Stored,
}

impl Memory {
    /// What `folder` remembers for `key`; nothing, if it is of another host.
    pub(super) fn load(folder: &Path, key: Key) -> Self {
        let path = folder.join("accel.json");
        let stored = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
        let stored = stored.filter(|stored| stored.key == key).unwrap_or(Stored { key, entries: Vec::new() });
        Self { path, stored }
    }

    /// The last measurement of `kind`, if it is young enough.
    pub(super) fn recall(&self, kind: Kind) -> Option<Canary> {
        let entry = self.stored.entries.iter().find(|entry| entry.kind == kind)?;
        let age = now().checked_sub(entry.at)?;
        (age < BELIEVED_FOR.as_secs()).then(|| entry.canary.clone())
    }

    /// Remembers a measurement. A failure to write costs the next run a second
    /// and nothing else, so it is not an error.
    pub(super) fn store(&mut self, kind: Kind, canary: Canary) {
        self.stored.entries.retain(|entry| entry.kind != kind);
        self.stored.entries.push(Entry { kind, at: now(), canary });
        drop(self.save());
    }

    fn save(&self) -> anyhow::Result<()> {
        file::make_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        file::write(&self.path, &serde_json::to_vec_pretty(&self.stored)?)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran() -> Canary {
        Canary::Ran { slowdown: 9.3 }
    }

    #[test]
    fn a_measurement_is_remembered_for_its_host_only() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::of_this_host("QEMU emulator version 7.2");
        let mut memory = Memory::load(dir.path(), key.clone());
        assert_eq!(memory.recall(Kind::Tcg), None);
        memory.store(Kind::Tcg, ran());
        let again = Memory::load(dir.path(), key);
        assert_eq!((again.recall(Kind::Tcg), again.recall(Kind::Kvm)), (Some(ran()), None));
        let other = Memory::load(dir.path(), Key::of_this_host("QEMU emulator version 9.0"));
        assert_eq!(other.recall(Kind::Tcg), None);
    }

    #[test]
    fn an_old_one_and_one_from_the_future_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::load(dir.path(), Key::of_this_host("QEMU"));
        for at in [now() - BELIEVED_FOR.as_secs() - 1, now() + 1000] {
            memory.stored.entries = vec![Entry { kind: Kind::Tcg, at, canary: ran() }];
            assert_eq!(memory.recall(Kind::Tcg), None);
        }
    }

    #[test]
    fn a_broken_file_is_no_memory_and_no_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("accel.json"), b"{\"key\":").unwrap();
        let mut memory = Memory::load(dir.path(), Key::of_this_host("QEMU"));
        memory.store(Kind::Kvm, Canary::Failed { reason: "no".to_owned() });
        assert!(Memory::load(dir.path(), Key::of_this_host("QEMU")).recall(Kind::Kvm).is_some());
    }
}
