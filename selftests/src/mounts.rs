// SPDX-License-Identifier: GPL-2.0-only
//! The file systems that PID 1 mounts.
//!
//! Owns: the table, with a reason per row. Must not: be used on a host.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};

/// What is mounted: kind, place, options, whether the next row is its substitute.
struct Row {
    kind: &'static str,
    place: &'static str,
    options: Option<&'static str>,
    /// Mounted only if this file is missing.
    unless: Option<&'static str>,
    /// A file of the substitute that an old kernel has: no complaint if it is there.
    substitute: Option<&'static str>,
}

const fn row(kind: &'static str, place: &'static str) -> Row {
    Row { kind, place, options: None, unless: None, substitute: None }
}

const TABLE: [Row; 9] = [
    // /proc/PID/{stack,maps,mem,pagemap}, /proc/swaps, /proc/self/exe.
    row("proc", "/proc"),
    // /sys/class/virtio-ports, /sys/block/nbdN.
    row("sysfs", "/sys"),
    // /dev/kvm, /dev/nbd0, /dev/vport*; CONFIG_DEVTMPFS_MOUNT does nothing for an initramfs.
    row("devtmpfs", "/dev"),
    // The record of what must be taken back.
    row("tmpfs", "/run"),
    // The tracepoint that proves async page faults.
    Row { substitute: Some("/sys/kernel/debug/tracing/events"), ..row("tracefs", "/sys/kernel/tracing") },
    // Before 4.1 tracing is part of debugfs.
    Row { unless: Some("/sys/kernel/tracing/events"), ..row("debugfs", "/sys/kernel/debug") },
    // The cgroup of the probed process.
    Row { substitute: Some("/sys/fs/cgroup/memory/cgroup.procs"), ..row("cgroup2", "/sys/fs/cgroup") },
    // Before 4.5 there is no version 2, and its memory controller may be left out.
    Row { unless: Some("/sys/fs/cgroup/cgroup.controllers"), ..row("tmpfs", "/sys/fs/cgroup") },
    Row {
        options: Some("memory"),
        unless: Some("/sys/fs/cgroup/cgroup.controllers"),
        ..row("cgroup", "/sys/fs/cgroup/memory")
    },
];

/// Mounts all that this kernel has; says what it has not.
pub(crate) fn mount_all() -> Vec<String> {
    let mut complaints = Vec::new();
    for row in TABLE {
        if row.unless.is_some_and(|file| Path::new(file).exists()) {
            continue;
        }
        // Places below /sys exist by themselves, or their file system is not built in.
        let done = match fs::create_dir_all(row.place) {
            Ok(()) => mount(Some(row.kind), row.place, Some(row.kind), MsFlags::empty(), row.options)
                .map_err(|error| format!("mount -t {} {}: {error}", row.kind, row.place)),
            Err(error) => Err(format!("no place for {} at {}: {error}", row.kind, row.place)),
        };
        complaints.extend(done.err().map(|text| (text, row.substitute)));
    }
    complaints.retain(|(_, substitute)| !substitute.is_some_and(|file| Path::new(file).exists()));
    complaints.into_iter().map(|(text, _)| text).collect()
}
