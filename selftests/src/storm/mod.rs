// SPDX-License-Identifier: GPL-2.0-only
//! A storm: a guest with half the memory that it touches, on a slow swap device, while
//! others want the lock at a fixed rate.
//!
//! ```text
//! conductor  the allowance, the time, the reader's shots ──board──▶ shots, counts
//! nbd        reads late by a distribution
//! storm      a VMM: vCPU threads   touch random pages, each checked
//!                   a thread       the writer's shots
//!                   main thread    first and last look at all of memory
//! ```
//!
//! Owns: the process in the storm. Must not: judge what it measures.

mod board;
mod machine;
pub(crate) mod weather;

use std::os::fd::OwnedFd;
use std::sync::Barrier;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, anyhow, bail};
use selftests::cell::Probe;
use selftests::storms::StormBacking;

use crate::rng::Rng;
use crate::roles;
use crate::shared;
use crate::subject::{map_and_unmap, tid};
use crate::wire::{Channel, Message, Op};
use crate::{cpus, inject};
use board::{Board, Pace};
use machine::{Cpu, Memory};

/// How much longer than its own time a storm may take until somebody else ends it, in
/// milliseconds.
pub(crate) const SLACK_MS: u64 = weather::START_MS + 2 * weather::END_MS;

/// Bits of a value that count the stores to its page.
const STORES: u32 = 19;

/// In front of the text of a failure that is the kernel's, not the instrument's.
const CORRUPT: &str = "corrupt: ";

/// The value of `page` after so many stores. Never 0, which is what lost memory holds.
fn value(page: u64, stores: u32) -> u32 {
    (u32::try_from(page).unwrap_or(0) + 1) << STORES | stores & ((1 << STORES) - 1)
}

/// What `role storm` obeys: `Go(seed, vCPUs, backing, pages)`, answered with the first
/// vCPU's thread; `Map`: fill all pages; `Go(interval in ns, shots)`: the storm, until the
/// board says stop; `Verify`: look at all pages, answered with their number.
pub(crate) fn serve(control: &Channel, board: &OwnedFd) -> anyhow::Result<()> {
    let board = shared::map::<Board>(board)?;
    let Some(order) = control.next()? else { return Ok(()) };
    let [seed, vcpus, backing, pages, ..] = order.args;
    let backing = if backing == 0 { StormBacking::Anon } else { StormBacking::Shmem };
    let memory = Memory::reserve(usize::try_from(pages).context("the number of pages")?)?;
    let (vm, cpus) = match machine::build(memory, vcpus) {
        Ok(machine) => machine,
        Err(error) => return control.send(&Message::with_text(Op::Skip, &format!("{error:#}"))),
    };
    let ended = Work { control, board, memory, backing, pages, seed }.work(cpus);
    drop(vm);
    control.send(&match ended {
        Ok(()) => Message::new(Op::Done, &[pages]),
        Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
    })?;
    // The conductor decides when this process ends.
    control.next().map(drop)
}

#[derive(Clone, Copy)]
struct Work<'a> {
    control: &'a Channel,
    board: &'static Board,
    memory: Memory,
    backing: StormBacking,
    pages: u64,
    seed: u64,
}

impl Work<'_> {
    fn work(self, cpus: Vec<Cpu>) -> anyhow::Result<()> {
        let (vcpus, board) = (cpus.len(), self.board);
        // The vCPUs and the writer, and this thread.
        let ready = Barrier::new(vcpus + 2);
        let (send, tids) = std::sync::mpsc::channel();
        let (pace, paces) = std::sync::mpsc::channel::<Pace>();
        let stores = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, cpu) in cpus.into_iter().enumerate() {
                let (ready, send) = (&ready, send.clone());
                let owned = vec![0; usize::try_from(self.pages).unwrap_or(0)];
                let thread = std::thread::Builder::new().name(format!("vcpu{number}")).spawn_scoped(scope, move || {
                    cpus::off_the_first()?;
                    send.send((number, tid())).context("the main thread is gone")?;
                    ready.wait();
                    let ended = self.run(number, vcpus, cpu, owned);
                    // The others need not go on.
                    if ended.is_err() {
                        board.stop.store(1, SeqCst);
                    }
                    ended
                });
                threads.push(thread.context("starting a vCPU's thread")?);
            }
            let writer = std::thread::Builder::new().name("writer".to_owned());
            let ready_too = &ready;
            let writer = writer.spawn_scoped(scope, move || {
                let pace = paces.recv().context("there is no pace")?;
                ready_too.wait();
                board.shoot(Probe::Writer, pace, map_and_unmap).context("the writer's mmap and munmap")
            });
            let writer = writer.context("starting the writer's thread")?;
            let first = tids.iter().take(vcpus).find(|(number, _)| *number == 0).map_or(0, |(_, tid)| tid);
            let begun = self.begin(first, &pace).or_else(|error| {
                board.stop.store(1, SeqCst);
                // The writer may still wait for its pace.
                pace.send(Pace { shots: 0, interval: 0, offset: 0 }).context("the writer is gone")?;
                Err(error)
            });
            ready.wait();
            let over = if begun.is_ok() { self.control.next().map(drop) } else { Ok(()) };
            board.stop.store(1, SeqCst);
            let owned = threads.into_iter().map(join).collect::<anyhow::Result<Vec<_>>>();
            let writer = join(writer);
            begun.and(over)?;
            writer?;
            owned
        })?;
        self.verify(&stores)
    }

    /// From the machine that is there to the word that the storm begins.
    fn begin(self, first: u64, pace: &std::sync::mpsc::Sender<Pace>) -> anyhow::Result<()> {
        // Only guest memory may be paged out.
        roles::lock_memory_of_now()?;
        self.memory.map(self.backing)?;
        self.control.send(&Message::new(Op::Done, &[first]))?;
        self.next(Op::Map)?;
        for page in 0..self.pages {
            self.memory.set(page as usize, value(page, 0));
        }
        self.control.send(&Message::new(Op::Done, &[]))?;
        let [interval, shots, ..] = self.next(Op::Go)?.args;
        let shots = u32::try_from(shots).context("the number of shots")?;
        pace.send(Pace { shots, interval, offset: 0 }).context("the writer is gone")?;
        Ok(())
    }

    fn next(self, op: Op) -> anyhow::Result<Message> {
        match self.control.next()? {
            Some(order) if order.op == op => Ok(order),
            other => bail!("a storm's process waits for {op:?} and got {other:?}"),
        }
    }

    /// One vCPU: accesses until the board says stop; how often it stored to each page.
    /// A page has one vCPU that stores to it, and so knows what it holds.
    fn run(self, number: usize, vcpus: usize, mut cpu: Cpu, mut owned: Vec<u32>) -> anyhow::Result<Vec<u32>> {
        let mut rng = Rng::new(self.seed, number as u64);
        let line = &self.board.vcpus[number];
        let spoil = number == 0 && inject::in_stress("pattern");
        while !self.board.stopped() {
            let page = rng.below(self.pages);
            let mine = page as usize % vcpus == number;
            let stores = &mut owned[page as usize];
            if mine && rng.below(2) == 0 {
                *stores += 1;
                let of = if spoil && line.stores.load(SeqCst) > 100 { page ^ 1 } else { page };
                cpu.store(page, value(of, *stores))?;
                line.stores.fetch_add(1, SeqCst);
            } else {
                let words = cpu.load(page)?;
                check(page, mine.then_some(*stores), words)?;
            }
            line.accesses.fetch_add(1, SeqCst);
        }
        Ok(owned)
    }

    /// All pages, once nobody stores any more.
    fn verify(self, stores: &[Vec<u32>]) -> anyhow::Result<()> {
        for page in 0..self.pages as usize {
            check(page as u64, Some(stores[page % stores.len()][page]), self.memory.words(page))?;
        }
        Ok(())
    }
}

/// Both words of a page must be its own, and after that many stores if that is known.
fn check(page: u64, stores: Option<u32>, words: [u32; 2]) -> anyhow::Result<()> {
    let right = |word: u32| match stores {
        Some(stores) => word == value(page, stores),
        None => word >> STORES == value(page, 0) >> STORES,
    };
    if words.into_iter().all(right) {
        return Ok(());
    }
    let wanted = stores.map_or_else(|| "any of its own".to_owned(), |stores| format!("{:#x}", value(page, stores)));
    let [first, last] = words;
    Err(anyhow!("{CORRUPT}page {page} holds {first:#x} and {last:#x}, and must hold {wanted}"))
}

fn join<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_tell_pages_and_stores_apart() {
        assert_ne!(value(0, 0), 0);
        assert_ne!(value(4095, 7) >> STORES, value(4094, 7) >> STORES);
        assert_eq!(value(4095, 0) >> STORES, 4096);
        check(7, Some(3), [value(7, 3); 2]).unwrap();
        check(7, None, [value(7, 3), value(7, 4)]).unwrap();
        for (page, stores, words) in [
            (7, Some(3), [value(7, 3), value(7, 2)]),
            (7, None, [value(7, 3), value(6, 3)]),
            (7, None, [0, value(7, 3)]),
            (0, Some(0), [0, 0]),
        ] {
            assert!(check(page, stores, words).unwrap_err().to_string().starts_with(CORRUPT));
        }
    }
}
