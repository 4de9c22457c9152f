// SPDX-License-Identifier: GPL-2.0-only
//! Gets the guest memory out of memory for good.
//!
//! Owns: the rounds of paging out and reclaim until nothing is in memory; for a
//! file, of dropping the page cache. Must not: believe any of them; `mincore`, which
//! sees the swap cache, decides.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, bail};

use crate::cgroup;
use crate::clock::nap;
use crate::cpus::Tour;
use crate::failure::Failure;
use crate::rig::{Kit, Subject};
use crate::subject::PAGES;
use crate::swap::{PAGE, Place, place};
use crate::wire::{Message, Op};

/// Pushes all guest memory out.
///
/// # Errors
/// Pages stay in memory until a deadline; names what was tried.
pub(crate) fn evict(kit: &Kit, subject: &Subject) -> anyhow::Result<()> {
    let deadline = kit.deadline(3000);
    // MADV_PAGEOUT (since 5.4) writes the pages, but they stay in the swap cache
    // until reclaim sees them once more after the write.
    let advised = ask(kit, subject, Message::new(Op::PageOut, &[]))? != 0;
    // Not from the start: nearly always nothing is left after the first rounds. On 5.10
    // one page in 1,800 trials x 64 stays in the swap cache for seconds all the same,
    // three times; why is not known, and the trial is then made again.
    let mut tour = Tour::begin()?;
    for round in 0_u64.. {
        if round >= 4 {
            tour.go_on()?;
        }
        let reclaim = kit.group.reclaim(PAGES * PAGE)?;
        let resident = ask(kit, subject, Message::new(Op::Resident, &[]))?;
        if resident == 0 {
            return Ok(());
        }
        if deadline.passed() {
            let advice = if advised { "MADV_PAGEOUT" } else { "no MADV_PAGEOUT (refused)" };
            bail!("{resident} of {PAGES} pages stay in memory after {advice} and {round} writes to {reclaim}");
        }
        nap(200 * round.min(10));
        if round % 8 == 7 {
            ask(kit, subject, Message::new(Op::PageOut, &[]))?;
        }
    }
    Ok(())
}

fn ask(kit: &Kit, subject: &Subject, order: Message) -> anyhow::Result<u64> {
    Ok(subject.main.ask(&order, kit.deadline(10_000))?.args[0])
}

/// Drops all guest memory that is a mapping of a file from the page cache.
///
/// # Errors
/// Pages stay in memory until a deadline.
pub(crate) fn drop_file(kit: &Kit, subject: &Subject) -> anyhow::Result<()> {
    let deadline = kit.deadline(3000);
    loop {
        ask(kit, subject, Message::new(Op::PageOut, &[]))?;
        let resident = ask(kit, subject, Message::new(Op::Resident, &[]))?;
        if resident == 0 {
            return Ok(());
        }
        if deadline.passed() {
            bail!("{resident} of {PAGES} pages stay in memory after fdatasync and POSIX_FADV_DONTNEED");
        }
        nap(500);
    }
}

/// Starts to write all guest memory to swap, and no more; true if the accessor is
/// busy with it, as long as the writes last.
///
/// # Errors
/// [`Failure::Skip`] where the kernel can do it neither way.
pub(crate) fn start_writing(kit: &Kit, subject: &Subject) -> Result<bool, Failure> {
    if ask(kit, subject, Message::new(Op::PageOut, &[]))? != 0 {
        return Ok(false);
    }
    // Reclaim of a version 1 cgroup starts the writes of a whole list of pages. Then it
    // comes back to the first, and waits for its write, with that one page locked.
    let Some(file) = kit.group.patient_reclaim() else {
        return Err(Failure::Skip("no write to swap can be started here without MADV_PAGEOUT (5.4)".to_owned()));
    };
    cgroup::drain()?;
    kit.accessor.control.send(&Message::with_text(Op::Reclaim, &file.to_string_lossy()))?;
    Ok(true)
}

/// The swap slot of private page `page`, from pagemap.
///
/// # Errors
/// The page is not swapped out.
pub(crate) fn slot(subject: &Subject, page: u64) -> anyhow::Result<u64> {
    let path = subject.main.proc_dir().join("pagemap");
    let mut entry = [0; 8];
    let at = (subject.hva / PAGE as u64 + page) * 8;
    File::open(&path).and_then(|file| file.read_exact_at(&mut entry, at)).context("reading pagemap")?;
    match place(u64::from_ne_bytes(entry)) {
        Place::Slot(slot) => Ok(slot),
        other => bail!("pagemap says that page {page} is not in swap: {other:?}"),
    }
}
