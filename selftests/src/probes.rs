// SPDX-License-Identifier: GPL-2.0-only
//! The helpers outside the probed process: the reader probe and the accessor.
//!
//! Owns: what `role reader` and `role accessor` do. Must not: live in the probed
//! mm, or map anything while they work.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use std::io::{IoSlice, IoSliceMut};

use anyhow::{Context, bail};
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

use crate::clock;
use crate::roles;
use crate::wire::{Channel, Message, Op};

/// Alignment and size of an O_DIRECT read.
#[repr(align(4096))]
struct Page([u8; 4096]);

/// `role reader`: obeys `Go(pid)` with a read of `/proc/PID/maps`.
pub(crate) fn reader(orders: &Channel) -> anyhow::Result<()> {
    serve(orders, |order, page| {
        let path = format!("/proc/{}/maps", order.args[0]);
        let maps = File::open(&path).with_context(|| format!("opening {path}"))?;
        if maps.read_at(&mut page.0, 0).with_context(|| format!("reading {path}"))? == 0 {
            bail!("{path} is empty: the process is gone");
        }
        Ok(0)
    })
}

/// `role accessor`: obeys `Go(pid, address)` with a read of that process's memory,
/// `Go(0, offset)` with a read of the device that the text names, past the page
/// cache. Answers the first byte. Obeys `Reclaim` with writes to the file that the text
/// names, a cgroup's limit, which may well be refused; `Transfer` as [`Op::Transfer`] says.
pub(crate) fn accessor(orders: &Channel) -> anyhow::Result<()> {
    serve(orders, |order, page| {
        if order.op == Op::Reclaim {
            for limit in ["0", "-1"] {
                drop(std::fs::write(order.text(), limit));
            }
            return Ok(0);
        }
        let [pid, at, write, value, ..] = order.args;
        if order.op == Op::Transfer {
            return transfer(pid, at, write != 0, value);
        }
        if pid == 0 {
            let device = order.text();
            let disk = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&device);
            let disk = disk.with_context(|| format!("opening {device} with O_DIRECT"))?;
            disk.read_exact_at(&mut page.0, at).with_context(|| format!("reading {device}"))?;
        } else {
            let path = format!("/proc/{pid}/mem");
            let memory = File::open(&path).with_context(|| format!("opening {path}"))?;
            memory.read_exact_at(&mut page.0[..1], at).with_context(|| format!("reading {path} at {at:#x}"))?;
        }
        Ok(page.0[0].into())
    })
}

/// Reads the first byte at `at` of process `pid`, or writes `value` there; the byte.
fn transfer(pid: u64, at: u64, write: bool, value: u64) -> anyhow::Result<u64> {
    let pid = Pid::from_raw(i32::try_from(pid).context("no process id")?);
    let mut byte = [value.to_le_bytes()[0]];
    let there = [RemoteIoVec { base: usize::try_from(at).context("no address")?, len: byte.len() }];
    let (call, count) = if write {
        ("process_vm_writev", process_vm_writev(pid, &[IoSlice::new(&byte)], &there))
    } else {
        ("process_vm_readv", process_vm_readv(pid, &mut [IoSliceMut::new(&mut byte)], &there))
    };
    if count.with_context(|| format!("{call} of process {pid} at {at:#x}"))? != byte.len() {
        bail!("{call} of process {pid} at {at:#x} transferred nothing");
    }
    Ok(byte[0].into())
}

/// Answers each order with `Done(value, start, end)` until the conductor goes.
fn serve(orders: &Channel, mut work: impl FnMut(&Message, &mut Page) -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let mut page = Box::new(Page([0; 4096]));
    roles::lock_memory_forever()?;
    clock::now();
    orders.send(&Message::new(Op::Done, &[]))?;
    while let Some(order) = orders.next()? {
        let start = clock::now();
        let answer = match work(&order, &mut page) {
            Ok(value) => Message::new(Op::Done, &[value, start, clock::now()]),
            Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
        };
        orders.send(&answer)?;
    }
    Ok(())
}
