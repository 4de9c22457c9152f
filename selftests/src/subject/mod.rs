// SPDX-License-Identifier: GPL-2.0-only
//! The probed process: a small VMM whose guest memory is swapped out.
//!
//! ```text
//! main    Map, PageOut, Resident, Verify     never during a hold
//! vcpu    Go → KVM_RUN → Done                faults on the withheld page
//! writer  Go → mmap, munmap → Done           wants the mmap lock
//! ```
//!
//! Owns: the order of its start. Threads, stacks and the VM exist and are locked
//! in memory before guest memory is mapped; after that no thread allocates or
//! maps anything but what it is told to. Must not: decide when a hold ends.

mod guest;
mod memory;
mod vcpu;
pub(crate) mod vm;
mod writer;

pub(crate) use guest::{PAGES, Setup, value_at};
pub(crate) use memory::Kind;

use std::path::Path;
use std::sync::mpsc::channel;

use anyhow::Context;

use crate::wire::{Channel, Message, Op};
use crate::{cpus, roles};
use memory::Memory;

/// What `role subject` runs until the conductor goes away.
pub(crate) fn serve(control: &Channel, vcpu: Channel, writer: Channel) -> anyhow::Result<()> {
    let Some(order) = control.next()? else { return Ok(()) };
    let setup = Setup::from_args(&order.args);
    let mut memory = Memory::reserve(Path::new(&order.text()))?;
    let machine = match vm::build(setup, memory.hva()) {
        Ok(machine) => machine,
        Err(error) => return control.send(&Message::with_text(Op::Skip, &format!("{error:#}"))),
    };
    let vm::Machine { vm, vcpu: vcpu_fd } = machine;
    let (vcpu_ready, vcpu_tid) = channel();
    let (writer_ready, writer_tid) = channel();
    let threads = [
        std::thread::Builder::new().name("vcpu".to_owned()).spawn(move || vcpu::run(vcpu_fd, &vcpu, &vcpu_ready)),
        std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer::run(&writer, &writer_ready)),
    ];
    for thread in threads {
        thread.context("starting a thread")?;
    }
    let vcpu_tid = vcpu_tid.recv().context("the vCPU thread did not start")?;
    let writer_tid = writer_tid.recv().context("the writer thread did not start")?;
    // MADV_PAGEOUT sees what this CPU has gathered, and not what others have: the
    // thread that touches the pages must not move before it is told to page them out.
    cpus::stay_here()?;
    roles::lock_memory_of_now()?;
    control.send(&Message::new(Op::Done, &[vcpu_tid, writer_tid, memory.hva() as u64]))?;
    while let Some(order) = control.next()? {
        let answer = match obey(&mut memory, &order) {
            Ok(answer) => answer,
            Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
        };
        control.send(&answer)?;
    }
    drop(vm);
    Ok(())
}

fn obey(memory: &mut Memory, order: &Message) -> anyhow::Result<Message> {
    let [first, second, third, ..] = order.args;
    match order.op {
        Op::Map => memory.map(Kind::from_arg(first)?, second)?,
        Op::PageOut => return Ok(Message::new(Op::Done, &[u64::from(memory.page_out()?)])),
        Op::Resident => return Ok(Message::new(Op::Done, &[memory.resident()?])),
        Op::Verify => memory.verify(first, second, third)?,
        other => anyhow::bail!("the probed process got the order {other:?}"),
    }
    Ok(Message::new(Op::Done, &[]))
}

/// This thread's id.
pub(crate) fn tid() -> u64 {
    u64::from(nix::unistd::gettid().as_raw().unsigned_abs())
}
