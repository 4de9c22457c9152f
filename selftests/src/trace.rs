// SPDX-License-Identifier: GPL-2.0-only
//! Counts `kvm:kvm_try_async_get_page`, the proof of an async page fault.
//!
//! Owns: a tracing instance of our own, so that a host's tracing is not touched.
//! Must not: judge the count.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where tracing is found: tracefs since 4.1, debugfs before.
const ROOTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// The instance, recognisable so that a later run can remove what a killed one left.
const INSTANCE: &str = "instances/kvm-gup-io";
const EVENT: &str = "kvm_try_async_get_page";

/// An enabled tracepoint.
pub(crate) struct Trace {
    dir: PathBuf,
    pipe: File,
}

impl Trace {
    /// Enables the tracepoint in an instance of its own.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let root = ROOTS.map(Path::new).into_iter().find(|root| root.join("instances").exists());
        let root = root.with_context(|| format!("no tracing in {ROOTS:?}: mount tracefs, or debugfs before 4.1"))?;
        let dir = root.join(INSTANCE);
        if !dir.exists() {
            fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        let write = |file: &str, text: &str| {
            let path = dir.join(file);
            fs::write(&path, text).with_context(|| format!("writing {text:?} to {}", path.display()))
        };
        // One trial makes one event; the default of 1.4 MiB a CPU is locked memory for nothing.
        write("buffer_size_kb", "64")?;
        write(&format!("events/kvm/{EVENT}/enable"), "1")?;
        let path = dir.join("trace_pipe");
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { dir, pipe })
    }

    /// The events of thread `tid` since the last call.
    pub(crate) fn take(&mut self, tid: u64) -> anyhow::Result<u32> {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading trace_pipe"),
            }
        }
        Ok(count(&String::from_utf8_lossy(&text), tid))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.dir.join(format!("events/kvm/{EVENT}/enable")), "0") {
            eprintln!("selftests: disabling the tracepoint: {error}");
        }
    }
}

/// Removes the instance, of this run or of a killed one.
pub(crate) fn remove() -> anyhow::Result<()> {
    for dir in ROOTS.map(|root| Path::new(root).join(INSTANCE)) {
        if dir.exists() {
            fs::remove_dir(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
    }
    Ok(())
}

/// The events of thread `tid` in a text of `trace_pipe`.
fn count(text: &str, tid: u64) -> u32 {
    let task = format!("-{tid} ");
    let hit = |line: &&str| line.contains(&format!("{EVENT}:")) && line.contains(&task);
    u32::try_from(text.lines().filter(hit).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_threads_own_events_count() {
        let text = "\
            vcpu-77      [001] d..1.     4.2: kvm_try_async_get_page: gva = 0x20000 gfn = 0x20\n\
            <...>-177    [001] d..1.     4.3: kvm_try_async_get_page: gva = 0x20000 gfn = 0x20\n\
            vcpu-77      [001] d..1.     4.4: kvm_async_pf_ready: token 0x0 gva 0x0\n";
        assert_eq!(count(text, 77), 1);
        assert_eq!(count(text, 7), 0);
    }
}
