// SPDX-License-Identifier: GPL-2.0-only
//! What a run changes on the machine, and how a later run takes it back.
//!
//! Owns: the record of it, so that even a run killed with SIGKILL is cleaned up
//! by the next. Must not: touch anything that the record or its name does not
//! show to be ours.

use std::fs::{self, OpenOptions};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::nbd::device;
use crate::{cgroup, swap, trace, zram};

const RECORD: &str = "/run/kvm-gup-io.json";
const UNFINISHED: &str = "/run/kvm-gup-io.json.new";
/// An abstract socket address: it needs no file and is free again when its owner dies.
const LOCK: &str = "kvm-gup-io";

/// What must be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The network block devices that were connected, one of them swapped to.
    pub(crate) devices: Vec<PathBuf>,
    /// `vm.page-cluster` as it was.
    pub(crate) page_cluster: u32,
    /// The `read_ahead_kb` of one of them as it was.
    pub(crate) read_ahead: Option<(PathBuf, u32)>,
    /// The zram device that was swapped to, backed by one of them.
    #[serde(default)]
    pub(crate) zram: Option<PathBuf>,
}

/// Held while a run lasts, so that two do not clean up each other.
#[derive(Debug)]
pub(crate) struct Lock {
    _owned: UnixListener,
}

/// Takes the machine for one run.
///
/// # Errors
/// Another run has it.
pub(crate) fn lock() -> anyhow::Result<Lock> {
    let address = SocketAddr::from_abstract_name(LOCK).context("the lock's address")?;
    let owned = UnixListener::bind_addr(&address).with_context(|| {
        format!(
            "binding the abstract socket @{LOCK}: another run has this machine, wait for its end (`ss -xlp` names it)"
        )
    })?;
    Ok(Lock { _owned: owned })
}

/// Writes the record before anything is changed.
pub(crate) fn record(record: &Record) -> anyhow::Result<()> {
    let json = serde_json::to_vec(record).context("encoding the record")?;
    fs::write(UNFINISHED, json).with_context(|| format!("writing {UNFINISHED}"))?;
    fs::rename(UNFINISHED, RECORD).with_context(|| format!("renaming {UNFINISHED} to {RECORD}"))
}

/// Takes back what a run left, if it left anything; says what could not be.
///
/// All processes of that run must be dead.
pub(crate) fn clean() -> Vec<String> {
    let mut complaints = Vec::new();
    let mut attempt = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            complaints.push(format!("{error:#}"));
        }
    };
    if let Ok(json) = fs::read(RECORD) {
        match serde_json::from_slice::<Record>(&json) {
            Ok(record) => {
                // It holds one of the block devices, which must be there while it is emptied.
                if let Some(zram) = &record.zram {
                    if swap::active(zram) {
                        attempt(swap::off(zram));
                    }
                    attempt(zram::reset(zram));
                }
                for device in &record.devices {
                    if swap::active(device) {
                        attempt(swap::off(device));
                    }
                    attempt(disconnect(device));
                }
                if let Some((device, value)) = record.read_ahead {
                    attempt(device::set_read_ahead_kb(&device, value));
                }
                attempt(swap::set_page_cluster(record.page_cluster));
            }
            Err(error) => attempt(Err(error).context(RECORD)),
        }
        attempt(fs::remove_file(RECORD).context(RECORD));
    }
    if Path::new(UNFINISHED).exists() {
        attempt(fs::remove_file(UNFINISHED).context(UNFINISHED));
    }
    attempt(trace::remove());
    attempt(cgroup::remove());
    complaints
}

/// Frees a device whose server is dead; its kernel end may still be there.
fn disconnect(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    device::clear(&file.with_context(|| format!("opening {}", path.display()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let record = Record {
            devices: vec!["/dev/nbd3".into(), "/dev/nbd4".into()],
            page_cluster: 3,
            read_ahead: Some(("/dev/nbd4".into(), 128)),
            zram: Some("/dev/zram0".into()),
        };
        let json = serde_json::to_vec(&record).unwrap();
        assert_eq!(serde_json::from_slice::<Record>(&json).unwrap(), record);
    }
}
