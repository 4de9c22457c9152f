// SPDX-License-Identifier: GPL-2.0-only
//! Saves in a kernel tree, as they happen.
//!
//! Owns: which folders are looked at, which files count, and when a burst of writes is
//! one save. Must not: read what was saved, or write into the tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::error::Error;
use crate::interrupt;

/// What is looked at, below the tree.
pub const FOLDERS: [&str; 2] = ["mm", "virt/kvm"];

/// Editors write a file in several steps, and several files one after the other.
const QUIET: Duration = Duration::from_millis(200);

/// A tree that is saved into all the time is measured all the same.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a wait goes without a look at signals.
const LOOK: Duration = Duration::from_millis(100);

/// A tree that is looked at.
pub struct Watch {
    tree: PathBuf,
    events: Receiver<notify::Result<Event>>,
    _watcher: RecommendedWatcher,
}

/// What was saved, and when the last file was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// Relative to the tree; empty if so much happened that nobody knows.
    pub files: BTreeSet<PathBuf>,
    /// When.
    pub at: Instant,
}

impl Watch {
    /// Begins to look.
    ///
    /// # Errors
    /// [`Error::Usage`] if the tree has no such folder; the kernel lets us watch no more.
    pub fn begin(tree: &Path) -> Result<Self, Error> {
        let tree = std::fs::canonicalize(tree)
            .map_err(|error| Error::Usage(anyhow!("--linux: there is nothing at {}: {error}", tree.display())))?;
        let (sender, events) = channel();
        let mut watcher = notify::recommended_watcher(sender).context("cannot watch files")?;
        for folder in FOLDERS.map(|folder| tree.join(folder)) {
            if !folder.is_dir() {
                let show = folder.display();
                return Err(Error::Usage(anyhow!("{show} is no folder: only a kernel's source folder can be watched")));
            }
            watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| {
                format!("cannot watch {}; fs.inotify.max_user_watches may be too small", folder.display())
            })?;
        }
        Ok(Self { tree, events, _watcher: watcher })
    }

    /// The next save: whatever came since the last one, until it is quiet.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; the watch has ended.
    pub fn next(&self) -> Result<Save, Error> {
        let mut save: Option<(BTreeSet<PathBuf>, Instant, Instant)> = None;
        loop {
            interrupt::check()?;
            if let Some((files, first, last)) = &save
                && (last.elapsed() >= QUIET || first.elapsed() >= PATIENCE)
            {
                return Ok(Save { files: files.clone(), at: *last });
            }
            let event = match self.events.recv_timeout(if save.is_some() { QUIET / 4 } else { LOOK }) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(anyhow!("the watch of {} ended", self.tree.display()).into());
                }
            };
            let Some(files) = self.files(&event) else { continue };
            let now = Instant::now();
            let (all, _, last) = save.get_or_insert_with(|| (BTreeSet::new(), now, now));
            all.extend(files);
            *last = now;
        }
    }

    /// The sources that an event is about; `None` if it is about none.
    fn files(&self, event: &notify::Result<Event>) -> Option<Vec<PathBuf>> {
        // The queue ran over: something changed, and what it was is lost.
        let Ok(event) = event else { return Some(Vec::new()) };
        if event.need_rescan() {
            return Some(Vec::new());
        }
        if matches!(event.kind, EventKind::Access(_)) {
            return None;
        }
        let relative = |path: &PathBuf| path.strip_prefix(&self.tree).ok().map(Path::to_owned);
        let files: Vec<_> = event.paths.iter().filter(|path| is_source(path)).filter_map(relative).collect();
        (!files.is_empty()).then_some(files)
    }
}

/// Not an editor's swap file, backup or lock.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = !name.starts_with(['.', '#']);
    let kind = path.extension().and_then(|extension| extension.to_str());
    plain && (matches!(kind, Some("c" | "h" | "S")) || name.starts_with("Makefile") || name.starts_with("Kconfig"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in FOLDERS {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("mm/memory.c"), "a").unwrap();
        dir
    }

    #[test]
    fn a_burst_of_writes_is_one_save() {
        let dir = tree();
        let watch = Watch::begin(dir.path()).unwrap();
        // As editors do: a lock, a new file that is renamed over the old one, a backup.
        std::fs::write(dir.path().join("mm/.memory.c.swp"), "x").unwrap();
        std::fs::write(dir.path().join("mm/memory.c~"), "x").unwrap();
        std::fs::write(dir.path().join("mm/4913"), "x").unwrap();
        std::fs::rename(dir.path().join("mm/4913"), dir.path().join("mm/memory.c")).unwrap();
        std::fs::write(dir.path().join("virt/kvm/kvm_main.c"), "b").unwrap();
        let save = watch.next().unwrap();
        let names: Vec<_> = save.files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(names, ["mm/memory.c", "virt/kvm/kvm_main.c"]);
        assert!(save.at.elapsed() >= QUIET);
        std::fs::write(dir.path().join("mm/memory.c"), "c").unwrap();
        assert_eq!(watch.next().unwrap().files.len(), 1);
    }

    #[test]
    fn only_sources_count() {
        for name in ["mm/swap.c", "mm/Makefile", "mm/Kconfig.debug", "virt/kvm/kvm_mm.h"] {
            assert!(is_source(Path::new(name)), "{name}");
        }
        for name in
            ["mm/.swap.c.swp", "mm/swap.c~", "mm/#swap.c#", "mm/4913", "mm/.#swap.c", "mm/swap.o", "mm/swap.c.orig"]
        {
            assert!(!is_source(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Watch::begin(dir.path()), Err(Error::Usage(_))));
        assert!(matches!(Watch::begin(&dir.path().join("none")), Err(Error::Usage(_))));
    }
}
