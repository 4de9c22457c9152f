// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel counts.
//!
//! Owns: that a page which had to be read is one major fault. Must not: leave it to chance
//! whether a read is done before the fault looks for it a second time: each is withheld until
//! the vCPU thread waits.

use selftests::behaviour::BehaviourEnd;

use super::{right, wrong};
use crate::failure::Failure;
use crate::subject::PAGES;
use crate::tasks;
use crate::trial::Scene;

/// The guest loads from all pages, one after the other.
pub(super) fn major_faults(scene: &mut Scene<'_>, seed: u64) -> Result<BehaviourEnd, Failure> {
    let prepared = scene.prepare(seed)?;
    let vcpu = scene.subject.thread_dir(&scene.subject.threads.vcpu);
    let before = tasks::major_faults(&vcpu)?;
    for page in 0..PAGES as u64 {
        let hold = scene.hold_page(prepared, page)?;
        scene.finish(hold.target)?;
    }
    let count = tasks::major_faults(&vcpu)? - before;
    let saw = format!("{PAGES} pages are {count} major faults of the vCPU thread");
    Ok(if count == PAGES as u64 { right(saw) } else { wrong(saw) })
}
