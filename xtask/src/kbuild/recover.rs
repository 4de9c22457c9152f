// SPDX-License-Identifier: GPL-2.0-only
//! After a build that was killed: end what survived it, remove what it left.
//!
//! Owns: the marker that says a make is under way. A `kill -9` of ours takes the
//! first make along (its parent-death signal), but not the makes and compilers
//! below it: they would go on in the folder in which the next build begins.
//! Must not: touch a process that does not carry our mark for this folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::notes;
use crate::error::Error;
use crate::file;
use crate::interrupt;

/// In the environment of every process of a build: its `O=` folder.
pub(super) const MARK: &str = "KVM_GUP_IO_BUILD";

/// SIGKILL takes effect when a process leaves the disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that a make is under way from now on.
pub(super) fn begin(build: &Path) -> anyhow::Result<()> {
    file::write(&marker(build), b"")
}

/// Says that it has ended by itself.
pub(super) fn end(build: &Path) -> anyhow::Result<()> {
    let marker = marker(build);
    fs::remove_file(&marker).with_context(|| format!("cannot remove {}", marker.display()))
}

fn marker(build: &Path) -> PathBuf {
    notes(build).join("under-way")
}

/// Mends the folder if the last make in it did not end well.
///
/// # Errors
/// A survivor cannot be ended, or a file cannot be removed.
pub(super) fn recover(build: &Path) -> Result<(), Error> {
    let Ok(began) = modified(&marker(build)) else { return Ok(()) };
    end_survivors(build)?;
    remove_unfinished(build, began)?;
    Ok(end(build)?)
}

fn end_survivors(build: &Path) -> Result<(), Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let survivors = survivors(build);
        if survivors.is_empty() {
            return Ok(());
        }
        interrupt::check()?;
        if Instant::now() > until {
            let pids: Vec<String> = survivors.iter().map(ToString::to_string).collect();
            return Err(Error::Infra(anyhow!(
                "processes of an earlier build in {} do not end: kill {}",
                build.display(),
                pids.join(" ")
            )));
        }
        for pid in survivors {
            // It may have ended meanwhile; the next look tells.
            drop(kill(pid, Signal::SIGKILL).map_err(anyhow::Error::from));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes with our mark. A zombie has no environment any more.
fn survivors(build: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={}", build.display());
    let own = std::process::id().to_string();
    let carries = |environ: &[u8]| environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name() != own.as_str())
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            fs::read(entry.path().join("environ")).is_ok_and(|environ| carries(&environ)).then(|| Pid::from_raw(pid))
        })
        .collect()
}

/// Removes targets that make would wrongly take for finished.
///
/// kbuild notes a finished target's command in `.<target>.cmd`, after the last
/// step (objtool, which rewrites the object in place). A target that is younger
/// than its note is therefore unfinished, but make compares it with its sources
/// alone, and its old note has the right command.
fn remove_unfinished(build: &Path, began: SystemTime) -> anyhow::Result<()> {
    let tools = build.join("tools");
    for entry in walkdir::WalkDir::new(build).into_iter().filter_map(Result::ok) {
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy();
        let noted = name.strip_prefix('.').and_then(|name| name.strip_suffix(".cmd"));
        let (target, finished) = match noted {
            Some(target) => (entry.path().with_file_name(target), modified(entry.path())?),
            // The host's tools are linked without a note.
            None if entry.path().starts_with(&tools) => (entry.path().to_owned(), began),
            None => continue,
        };
        if modified(&target).is_ok_and(|written| written > finished) {
            fs::remove_file(&target).with_context(|| format!("cannot remove {}", target.display()))?;
        }
    }
    Ok(())
}

fn modified(path: &Path) -> anyhow::Result<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).with_context(|| format!("cannot stat {}", path.display()))
}
