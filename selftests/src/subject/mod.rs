// SPDX-License-Identifier: GPL-2.0-only
//! The probed process: a small VMM whose guest memory is swapped out.
//!
//! ```text
//! main       Map, PageOut, Resident, Verify     never during a hold, but for a behaviour
//!            Go → a deed → Done                 what only a behaviour has it do
//! vcpu       Go → KVM_RUN → Done                faults on the withheld page, or
//! toucher    Go → load, store, O_DIRECT → Done  does so without a guest
//! writer     Go → mmap, munmap → Done           wants the mmap lock
//! same-vma   Go → mprotect → Done               wants the lock of the guest memory's VMA, too;
//!                                               a behaviour has it make another change
//! bystander  Go → mmap, munmap → Done           wants the mmap lock behind that one
//! pager      Arm, Release                       has the missing pages, and withholds them
//! ```
//!
//! Owns: the order of its start. Threads, stacks and the VM exist and are locked
//! in memory before guest memory is mapped; after that no thread allocates or
//! maps anything but what it is told to. Must not: decide when a hold ends.

mod change;
mod deed;
mod guest;
mod memory;
mod pager;
mod paravirt;
mod sigbus;
mod toucher;
mod uffd;
mod vcpu;
pub(crate) mod vm;
mod writer;

pub(crate) use change::Change;
pub(crate) use deed::Deed;
pub(crate) use guest::{Guest, PAGES, Setup, value_at};
pub(crate) use memory::Kind;
pub(crate) use toucher::Touch;
pub(crate) use writer::map_and_unmap;

use std::path::Path;
use std::sync::mpsc::{Sender, channel};

use anyhow::Context;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::wire::{Channel, Message, Op};
use crate::{cpus, roles};
use memory::Memory;
use pager::Pager;
use toucher::Toucher;
use vcpu::Vcpu;
use writer::Writer;

/// The channels to the threads of a probed process, one each.
pub(crate) struct Threads<T> {
    /// The vCPU's; nothing answers where there is no guest.
    pub(crate) vcpu: T,
    /// The one that accesses the memory without a guest.
    pub(crate) toucher: T,
    /// The writer that has nothing to do with the guest memory.
    pub(crate) writer: T,
    /// The writer of the guest memory's VMA.
    pub(crate) same_vma: T,
    /// The writer behind that one.
    pub(crate) bystander: T,
    /// The one that answers for missing pages.
    pub(crate) pager: T,
}

impl<T> Threads<T> {
    /// One of each.
    pub(crate) fn try_new<E>(mut next: impl FnMut() -> Result<T, E>) -> Result<Self, E> {
        let (vcpu, toucher, writer) = (next()?, next()?, next()?);
        let (same_vma, bystander) = (next()?, next()?);
        Ok(Self { vcpu, toucher, writer, same_vma, bystander, pager: next()? })
    }
}

/// A signal that a vCPU thread may get, and that means nothing to it.
pub(crate) const INTERRUPT: Signal = Signal::SIGUSR1;

extern "C" fn ignore(_signal: libc::c_int) {}

/// Without SA_RESTART: a system call that is interrupted must say so.
fn handle_interrupts() -> anyhow::Result<()> {
    let action = SigAction::new(SigHandler::Handler(ignore), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(INTERRUPT, &action) }.with_context(|| format!("catching {INTERRUPT}")).map(drop)
}

/// What `role subject` runs until the conductor goes away.
pub(crate) fn serve(control: &Channel, channels: Threads<Channel>) -> anyhow::Result<()> {
    handle_interrupts()?;
    sigbus::note_first()?;
    let Some(order) = control.next()? else { return Ok(()) };
    let setup = Setup::from_args(&order.args)?;
    let disk = order.text();
    let mut memory = Memory::reserve(Path::new(&disk))?;
    let machine = (setup.guest != Guest::Without).then(|| vm::build(setup, memory.hva()));
    let machine = match machine.transpose() {
        Ok(machine) => machine,
        Err(error) => return control.send(&Message::with_text(Op::Skip, &format!("{error:#}"))),
    };
    let (vm, vcpu) = machine.map(|machine| (machine.vm, machine.vcpu)).unzip();
    let toucher = Toucher::new(memory.hva(), memory.memfd_number(), Path::new(&disk))?;
    let pager = memory.pager()?;
    let tids = start(channels, vcpu, toucher, pager, memory.hva())?;
    // MADV_PAGEOUT sees what this CPU has gathered, and not what others have: the
    // thread that touches the pages must not move before it is told to page them out.
    cpus::stay_here()?;
    roles::lock_memory_of_now()?;
    let Threads { vcpu, toucher, writer, same_vma, bystander, pager: _ } = tids;
    control.send(&Message::new(Op::Done, &[memory.hva() as u64, vcpu, toucher, writer, same_vma, bystander]))?;
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

/// Starts the threads and gives their ids; without a `vcpu` its own is 0.
fn start(
    channels: Threads<Channel>,
    vcpu: Option<Vcpu>,
    toucher: Toucher,
    pager: Pager,
    hva: usize,
) -> anyhow::Result<Threads<u64>> {
    let Threads { vcpu: vcpu_orders, toucher: toucher_orders, writer, same_vma, bystander, pager: pager_orders } =
        channels;
    let vcpu = match vcpu {
        Some(vcpu) => thread("vcpu", move |ready| vcpu::run(vcpu, &vcpu_orders, ready))?,
        None => 0,
    };
    Ok(Threads {
        vcpu,
        toucher: thread("toucher", move |ready| toucher.run(&toucher_orders, ready))?,
        writer: thread("writer", move |ready| writer::run(Writer::Elsewhere, &writer, ready))?,
        same_vma: thread("same-vma", move |ready| writer::run(Writer::GuestVma(hva), &same_vma, ready))?,
        bystander: thread("bystander", move |ready| writer::run(Writer::Elsewhere, &bystander, ready))?,
        pager: thread("pager", move |ready| pager.run(&pager_orders, ready))?,
    })
}

/// A new thread's id, once it is ready.
fn thread(name: &str, run: impl FnOnce(&Sender<u64>) + Send + 'static) -> anyhow::Result<u64> {
    let (ready, tid) = channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&ready)).context("starting a thread")?;
    tid.recv().with_context(|| format!("the {name} thread did not start"))
}

fn obey(memory: &mut Memory, order: &Message) -> anyhow::Result<Message> {
    let [first, second, third, ..] = order.args;
    match order.op {
        Op::Map => {
            let kind = Kind::from_arg(first)?;
            if let Some(reason) = memory.cannot_map(kind) {
                return Ok(Message::with_text(Op::Skip, reason));
            }
            memory.map(kind, second)?;
        }
        Op::PageOut => return Ok(Message::new(Op::Done, &[u64::from(memory.page_out()?)])),
        Op::Resident => return Ok(Message::new(Op::Done, &[memory.resident()?])),
        Op::Verify => memory.verify(first, second, third)?,
        Op::Go => return deed::obey(memory, order),
        other => anyhow::bail!("the probed process got the order {other:?}"),
    }
    Ok(Message::new(Op::Done, &[]))
}

/// This thread's id.
pub(crate) fn tid() -> u64 {
    u64::from(nix::unistd::gettid().as_raw().unsigned_abs())
}
