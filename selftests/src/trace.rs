// SPDX-License-Identifier: GPL-2.0-only
//! Counts `kvm:kvm_try_async_get_page`, the proof of an async page fault, and
//! `kvm:kvm_inj_exception`, the proof that the guest was told.
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
const TRIED: &str = "kvm_try_async_get_page";
const INJECTED: &str = "kvm_inj_exception";

/// Events of one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// KVM tried an async page fault.
    pub(crate) tried: u32,
    /// KVM injected a #PF.
    pub(crate) page_faults: u32,
}

/// The enabled tracepoints.
pub(crate) struct Trace {
    dir: PathBuf,
    pipe: File,
}

impl Trace {
    /// Enables the tracepoints in an instance of its own.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let root = root().with_context(|| format!("no tracing in {ROOTS:?}: mount tracefs, or debugfs before 4.1"))?;
        let dir = root.join(INSTANCE);
        if !dir.exists() {
            fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        let write = |file: &str, text: &str| {
            let path = dir.join(file);
            fs::write(&path, text).with_context(|| format!("writing {text:?} to {}", path.display()))
        };
        // One trial makes a few events; the default of 1.4 MiB a CPU is locked memory for nothing.
        write("buffer_size_kb", "64")?;
        for event in [TRIED, INJECTED] {
            write(&format!("events/kvm/{event}/enable"), "1")?;
        }
        let path = dir.join("trace_pipe");
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { dir, pipe })
    }

    /// The events of thread `tid` since the last call.
    pub(crate) fn take(&mut self, tid: u64) -> anyhow::Result<Events> {
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
        for event in [TRIED, INJECTED] {
            if let Err(error) = fs::write(self.dir.join(format!("events/kvm/{event}/enable")), "0") {
                eprintln!("selftests: disabling the tracepoint kvm:{event}: {error}");
            }
        }
    }
}

/// Removes the instance, of this run or of a killed one.
pub(crate) fn remove() -> anyhow::Result<()> {
    match root().map(|root| root.join(INSTANCE)).filter(|dir| dir.exists()) {
        Some(dir) => fs::remove_dir(&dir).with_context(|| format!("removing {}", dir.display())),
        None => Ok(()),
    }
}

/// Where tracing is. Only one that is needed is looked into: debugfs would mount its own.
fn root() -> Option<&'static Path> {
    ROOTS.map(Path::new).into_iter().find(|root| root.join("instances").exists())
}

/// The events of thread `tid` in a text of `trace_pipe`.
fn count(text: &str, tid: u64) -> Events {
    let task = format!("-{tid} ");
    let count = |event: &str, what: &str| {
        let hit = |line: &&str| line.contains(&format!("{event}:")) && line.contains(&task) && line.contains(what);
        u32::try_from(text.lines().filter(hit).count()).unwrap_or(u32::MAX)
    };
    Events { tried: count(TRIED, ""), page_faults: count(INJECTED, "#PF") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_threads_own_events_count() {
        let text = "\
            vcpu-77      [001] d..1.     4.2: kvm_try_async_get_page: gva = 0x20000 gfn = 0x20\n\
            <...>-177    [001] d..1.     4.3: kvm_try_async_get_page: gva = 0x20000 gfn = 0x20\n\
            vcpu-77      [001] d..1.     4.4: kvm_async_pf_ready: token 0x0 gva 0x0\n\
            vcpu-77      [001] d..1.     4.5: kvm_inj_exception: #PF (0x0)\n\
            vcpu-77      [001] d..1.     4.6: kvm_inj_exception: #UD\n";
        assert_eq!(count(text, 77), Events { tried: 1, page_faults: 1 });
        assert_eq!(count(text, 7), Events::default());
    }
}
