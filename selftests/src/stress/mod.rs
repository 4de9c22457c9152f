// SPDX-License-Identifier: GPL-2.0-only
//! A stress of guest memory: everything that may happen to it, at once, and checked.
//!
//! ```text
//! conductor  reclaim, readahead window, watch  ──board──▶ tally, first finding
//! nbd        replies late, out of order
//! stress     a VMM: two vCPU threads   fill and read random pages, each checked
//!                   the main thread    madvise, mprotect, munmap, mmap, fork
//! ```
//!
//! Its seed decides what each task does; how their steps interleave it cannot decide,
//! so that a finding may need several runs to come again.
//!
//! Owns: the process that is stressed. Must not: be part of a measured cell.

mod board;
mod child;
mod host;
mod ledger;
mod machine;
mod memory;
mod vcpu;
pub(crate) mod watch;

use std::os::fd::OwnedFd;
use std::sync::Barrier;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, anyhow};

use crate::cpus;
use crate::roles;
use crate::shared;
use crate::subject::tid;
use crate::wire::{Channel, Message, Op};
use board::{Board, VCPUS};
use machine::Cpu;
use memory::Memory;

/// Tests that map memory run one by one: what one maps must not fall into a hole that
/// another's munmap has just made.
#[cfg(test)]
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// What `role stress` runs: one stress, from `Go(seed, patience in thousandths)` over
/// `Done(thread ids)` to `Done()` or `Fail`.
pub(crate) fn serve(control: &Channel, board: &OwnedFd) -> anyhow::Result<()> {
    let board = shared::map::<Board>(board)?;
    let Some(order) = control.next()? else { return Ok(()) };
    let [seed, patience, ..] = order.args;
    let memory = Memory::reserve()?;
    let (vm, cpus) = match machine::build(&memory) {
        Ok(machine) => machine,
        Err(error) => return control.send(&Message::with_text(Op::Skip, &format!("{error:#}"))),
    };
    let ended = work(control, board, &memory, cpus, Orders { seed, patience: patience as f64 / 1e3 });
    drop(vm);
    control.send(&match ended {
        Ok(()) => Message::new(Op::Done, &[]),
        Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
    })?;
    // The conductor decides when this process ends.
    control.next().map(drop)
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    seed: u64,
    patience: f64,
}

fn work(
    control: &Channel,
    board: &'static Board,
    memory: &Memory,
    cpus: Vec<Cpu>,
    orders: Orders,
) -> anyhow::Result<()> {
    let ready = Barrier::new(VCPUS + 1);
    let (send, tids) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, cpu) in cpus.into_iter().enumerate() {
            let (ready, send) = (&ready, send.clone());
            let thread = std::thread::Builder::new().name(format!("vcpu{number}")).spawn_scoped(scope, move || {
                cpus::off_the_first()?;
                send.send((number, tid())).context("the main thread is gone")?;
                // Until the memory is there, and this thread's stack locked.
                ready.wait();
                vcpu::run(board, number, cpu, orders.seed)
            });
            threads.push(thread.context("starting a vCPU's thread")?);
        }
        let mut seen: Vec<(usize, u64)> = tids.iter().take(VCPUS).collect();
        seen.sort_unstable();
        // Only guest memory may be paged out.
        roles::lock_memory_of_now()?;
        let begun = memory.populate();
        if begun.is_err() {
            board.stop.store(1, SeqCst);
        }
        ready.wait();
        begun?;
        let tids: Vec<u64> = seen.iter().map(|(_, tid)| *tid).collect();
        control.send(&Message::new(Op::Done, &tids))?;
        let ended = host::run(board, memory, orders.seed, orders.patience);
        board.stop.store(1, SeqCst);
        let joined = threads.into_iter().try_for_each(join);
        ended.and(joined)
    })?;
    host::read_all(board, memory);
    Ok(())
}

fn join(thread: ScopedJoinHandle<'_, anyhow::Result<()>>) -> anyhow::Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a vCPU's thread panicked")))
}
