// SPDX-License-Identifier: GPL-2.0-only
//! The memory cgroup that holds the probed process and nothing else.
//!
//! Owns: making it, and pushing its pages out by whatever the kernel offers.
//! Must not: check whether they went (that is `evict`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::Failure;
use crate::roles;

/// The group's name, recognisable so that a later run can remove what a killed one left.
const NAME: &str = "kvm-gup-io";
/// Version 1: the most bytes that a group may have.
const LIMIT: &str = "memory.limit_in_bytes";

/// A memory controller, as a line of `/proc/self/mounts` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hierarchy {
    /// Version 2.
    Unified(PathBuf),
    /// Version 1, the memory controller's own mount.
    Memory(PathBuf),
}

/// The group.
pub(crate) struct Group {
    dir: PathBuf,
    unified: bool,
}

impl Group {
    /// Makes the group.
    pub(crate) fn create() -> Result<Self, Failure> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        let found = hierarchies(&mounts).into_iter().find(|hierarchy| match hierarchy {
            Hierarchy::Unified(root) => fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "memory")),
            Hierarchy::Memory(_) => true,
        });
        let (root, unified) = match found {
            Some(Hierarchy::Unified(root)) => (root, true),
            Some(Hierarchy::Memory(root)) => (root, false),
            None => return Err(Failure::Skip("no mounted cgroup has a memory controller".to_owned())),
        };
        let cannot = |what: &str, error: std::io::Error| Failure::Skip(format!("{what}: {error}"));
        if unified {
            let file = root.join("cgroup.subtree_control");
            fs::write(&file, "+memory")
                .map_err(|error| cannot(&format!("writing \"+memory\" to {}", file.display()), error))?;
        }
        let dir = root.join(NAME);
        if !dir.exists() {
            fs::create_dir(&dir).map_err(|error| cannot(&format!("creating {}", dir.display()), error))?;
        }
        Ok(Self { dir, unified })
    }

    /// Moves a process into the group.
    pub(crate) fn add(&self, pid: u32) -> anyhow::Result<()> {
        let file = self.dir.join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| format!("writing {pid} to {}", file.display()))
    }

    /// Asks for `bytes` of the group's memory; how much went is not said. Returns
    /// the file that was used, for messages.
    pub(crate) fn reclaim(&self, bytes: usize) -> anyhow::Result<&'static str> {
        // Each row: the file that must exist, and the texts written to it in turn.
        let bytes = bytes.to_string();
        let means: &[(&'static str, &[&str])] = if self.unified {
            // memory.reclaim since 5.19.
            &[("memory.reclaim", &[&bytes]), ("memory.high", &["0", "max"])]
        } else {
            drain()?;
            // The limit is refused, since locked pages stay, but not before reclaim was
            // tried. memory.force_empty tries as hard and sleeps 100 ms after each attempt.
            &[(LIMIT, &["0", "-1"])]
        };
        let found = means.iter().find(|(name, _)| self.dir.join(name).exists());
        let (name, texts) =
            found.with_context(|| format!("{} has no file that reclaims memory", self.dir.display()))?;
        for text in *texts {
            // "Not all of it" (EAGAIN, EBUSY) is the usual answer; `evict` looks for itself.
            drop(fs::write(self.dir.join(name), text));
        }
        Ok(name)
    }

    /// Lets the group have so many bytes more than it has now. Version 2 lets a task pass
    /// the limit and reclaim on its way out of the kernel, with no lock held; version 1
    /// makes the fault itself reclaim.
    pub(crate) fn allow(&self, more: usize) -> anyhow::Result<()> {
        let (usage, limit) =
            if self.unified { ("memory.current", "memory.high") } else { ("memory.usage_in_bytes", LIMIT) };
        let path = self.dir.join(usage);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let used: usize = text.trim().parse().with_context(|| format!("{} says {text:?}", path.display()))?;
        let (path, bytes) = (self.dir.join(limit), used + more);
        fs::write(&path, bytes.to_string()).with_context(|| format!("writing {bytes} to {}", path.display()))
    }

    /// The file to which a write of "0" reclaims as much as there is, and waits for the
    /// writes to swap that it starts; only where there is version 1.
    pub(crate) fn patient_reclaim(&self) -> Option<PathBuf> {
        (!self.unified).then(|| self.dir.join(LIMIT))
    }
}

/// Puts pages that any CPU still gathers ([`crate::cpus`]) where reclaim finds them:
/// before 4.16 a side effect of mlockall().
pub(crate) fn drain() -> anyhow::Result<()> {
    roles::lock_memory_forever()
}

/// Removes the group, of this run or of a killed one.
pub(crate) fn remove() -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    for hierarchy in hierarchies(&mounts) {
        let (Hierarchy::Unified(root) | Hierarchy::Memory(root)) = hierarchy;
        let dir = root.join(NAME);
        if dir.exists() {
            fs::remove_dir(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
    }
    Ok(())
}

/// The mounts that may have a memory controller, in the text of `/proc/self/mounts`.
fn hierarchies(mounts: &str) -> Vec<Hierarchy> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        match kind {
            "cgroup2" => Some(Hierarchy::Unified(Path::new(path).to_owned())),
            "cgroup" if options.split(',').any(|option| option == "memory") => {
                Some(Hierarchy::Memory(Path::new(path).to_owned()))
            }
            _ => None,
        }
    };
    mounts.lines().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found() {
        let mounts = "none /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n\
                      cgroup /cg/cpu cgroup rw,cpu 0 0\n\
                      cgroup /cg/memory cgroup rw,memory 0 0\n";
        let wanted = [Hierarchy::Unified("/sys/fs/cgroup".into()), Hierarchy::Memory("/cg/memory".into())];
        assert_eq!(hierarchies(mounts), wanted);
        assert!(hierarchies("proc /proc proc rw 0 0\n").is_empty());
    }
}
