// SPDX-License-Identifier: GPL-2.0-only
//! The helpers outside the probed process: the reader probe and the accessor.
//!
//! Owns: what `role reader` and `role accessor` do. Must not: live in the probed
//! mm, or map anything while they work.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use anyhow::{Context, bail};

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
/// names, a cgroup's limit, which may well be refused.
pub(crate) fn accessor(orders: &Channel) -> anyhow::Result<()> {
    serve(orders, |order, page| {
        if order.op == Op::Reclaim {
            for limit in ["0", "-1"] {
                drop(std::fs::write(order.text(), limit));
            }
            return Ok(0);
        }
        let [pid, at, ..] = order.args;
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
