// SPDX-License-Identifier: GPL-2.0-only
//! After an edit of a few C files: which objects make has to look at, if only those.
//!
//! kbuild looks into every folder at each build, which costs more than to compile and
//! link what an edit reaches. Where the folder holds a finished build of a known tree,
//! git knows which files are others now, and kbuild's own `.cmd` notes know which
//! objects were made from them: `single-goals`, the variable with which the kernel's
//! Makefile (6.1 and later) makes single objects, then leads make to these alone.
//! The archives are thin, so they need not be made anew; `built-in.a` is only touched.
//!
//! Owns: the note of what was built last, and the choice. Whatever is not plainly an
//! edit of C files whose objects are linked into vmlinux as they are takes the long way.
//! Must not: run make.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::{Tree, notes};
use crate::file;
use crate::proc::Cmd;

/// More files than this are no edit.
const FEW: usize = 32;
/// A file's times come from a clock that moves in such steps (HZ = 100).
const TICK: Duration = Duration::from_millis(10);
/// `.cmd` notes that a thread takes at a time.
const CHUNK: usize = 32;
/// The archive of all objects that have a folder of their own.
const ARCHIVE: &str = "built-in.a";

/// Objects that make is to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Narrow {
    objects: Vec<Object>,
}

/// An object, as kbuild noted it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    /// Where it is.
    path: String,
    /// How kbuild spells it: `arch/x86/kvm/../../../virt/kvm/kvm_main.o` is compiled as
    /// its Makefile says, `virt/kvm/kvm_main.o` otherwise.
    goal: String,
    /// What made it, which an edit does not change.
    command: String,
}

impl Narrow {
    /// The objects that the `changed` files reach; `None` for the long way.
    pub(super) fn of(src: &Path, build: &Path, changed: &[PathBuf]) -> Option<Self> {
        let plain = |path: &PathBuf| {
            let tool = ["tools", "scripts", "Documentation", "samples"].iter().any(|folder| path.starts_with(folder));
            path.extension().is_some_and(|end| end == "c") && !tool && src.join(path).is_file()
        };
        let makefile = fs::read_to_string(src.join("Makefile")).ok()?;
        let understands = makefile.lines().any(|line| line.starts_with("single-goals :="));
        if changed.is_empty() || changed.len() > FEW || !changed.iter().all(plain) || !understands {
            return None;
        }
        let objects = reached(build, changed)?;
        let linked = members(build)?;
        objects.iter().all(|object| linked.contains(&object.path)).then_some(Self { objects })
    }

    /// The argument that leads make to them.
    pub(super) fn argument(&self) -> String {
        let goals: Vec<String> = self.objects.iter().map(|object| format!("./{}", object.goal)).collect();
        format!("single-goals={}", goals.join(" "))
    }

    /// Lets make link again, and says since when.
    pub(super) fn begin(&self, build: &Path) -> anyhow::Result<SystemTime> {
        let (archive, now) = (build.join(ARCHIVE), SystemTime::now());
        fs::File::options()
            .append(true)
            .open(&archive)
            .and_then(|file| file.set_modified(now))
            .with_context(|| format!("cannot touch {}", archive.display()))?;
        Ok(now)
    }

    /// Was every object made since, by the same command, and the kernel linked of them?
    pub(super) fn done(&self, build: &Path, image: &Path, since: SystemTime) -> bool {
        let since = since - TICK;
        let new = |path: &Path| path.metadata().and_then(|data| data.modified()).is_ok_and(|time| time >= since);
        let same =
            |object: &Object| fs::read(object.note(build)).is_ok_and(|note| object.of(&note).as_ref() == Some(object));
        self.objects.iter().all(|object| new(&build.join(&object.path)) && same(object)) && new(image)
    }
}

impl Object {
    /// From its note, `mm/.shmem.o.cmd` of `mm/shmem.o`, which begins with
    /// `cmd_mm/shmem.o := gcc …` (`savedcmd_` since 6.2).
    fn read(build: &Path, note: &Path, text: &[u8]) -> Option<Self> {
        let name = note.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".cmd")?;
        let path = note.strip_prefix(build).ok()?.with_file_name(name).to_str()?.to_owned();
        Self { path, goal: String::new(), command: String::new() }.of(text)
    }

    /// The same object as this text has it.
    fn of(&self, note: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(note.split(|&byte| byte == b'\n').next()?).ok()?;
        let (goal, command) = line.split_once(" := ")?;
        let goal = goal.strip_prefix("savedcmd_").or_else(|| goal.strip_prefix("cmd_"))?;
        Some(Self { path: self.path.clone(), goal: goal.to_owned(), command: command.to_owned() })
    }

    fn note(&self, build: &Path) -> PathBuf {
        let path = build.join(&self.path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        path.with_file_name(format!(".{name}.cmd"))
    }
}

/// Which objects were made from any of the files; `None` if one of the files is in no
/// note, so that nobody knows what it is for.
fn reached(build: &Path, changed: &[PathBuf]) -> Option<Vec<Object>> {
    let names: Vec<&str> = changed.iter().map(|path| path.to_str()).collect::<Option<_>>()?;
    let any = names.iter().map(|name| regex::escape(name)).collect::<Vec<_>>().join("|");
    let pattern = regex::bytes::Regex::new(&any).ok()?;
    let is_note = |name: &str| name.starts_with('.') && name.ends_with(".cmd");
    let notes: Vec<PathBuf> = walkdir::WalkDir::new(build)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| is_note(&entry.file_name().to_string_lossy()))
        .map(walkdir::DirEntry::into_path)
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let look = || -> Option<()> {
        loop {
            let begin = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(chunk) = notes.get(begin..notes.len().min(begin + CHUNK)).filter(|chunk| !chunk.is_empty()) else {
                return Some(());
            };
            for note in chunk {
                let text = fs::read(note).ok()?;
                let mut seen: Vec<&[u8]> = pattern.find_iter(&text).map(|hit| hit.as_bytes()).collect();
                seen.sort_unstable();
                seen.dedup();
                if !seen.is_empty() {
                    let seen = seen.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.push((Object::read(build, note, &text)?, seen));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let whole = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(look)).collect();
        threads.into_iter().all(|thread| matches!(thread.join(), Ok(Some(()))))
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let known = |name: &&str| found.iter().any(|(_, seen)| seen.iter().any(|seen| seen == name.as_bytes()));
    if !whole || !names.iter().all(known) {
        return None;
    }
    let mut objects: Vec<Object> = found.into_iter().map(|(object, _)| object).collect();
    objects.sort();
    Some(objects)
}

/// The objects of the archive.
fn members(build: &Path) -> Option<std::collections::BTreeSet<String>> {
    let listed = Cmd::new("ar").args(["t", ARCHIVE]).dir(build).run().ok()?;
    let text = String::from_utf8(listed.stdout).ok()?;
    Some(text.lines().map(|line| line.strip_prefix("./").unwrap_or(line).to_owned()).collect())
}

/// Which files are others than in the build that the folder holds, if that was made of
/// the same inputs (`key`) and git can say it.
pub(super) fn changed(build: &Path, key: &str, tree: &Tree<'_>) -> Option<Vec<PathBuf>> {
    let note = fs::read_to_string(built(build)).ok()?;
    let (inputs, before) = note.split_once(' ')?;
    if inputs == key { (tree.since)(before) } else { None }
}

/// Notes that the folder holds a finished build.
pub(super) fn finished(build: &Path, key: &str, tree: &Tree<'_>) -> anyhow::Result<()> {
    file::write(&built(build), format!("{key} {}", tree.id).as_bytes())
}

/// Forgets it: from now on the folder may hold anything.
pub(super) fn forget(build: &Path) -> anyhow::Result<()> {
    match fs::remove_file(built(build)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", built(build).display()))
        }
        _ => Ok(()),
    }
}

fn built(build: &Path) -> PathBuf {
    notes(build).join("built")
}
