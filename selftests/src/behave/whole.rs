// SPDX-License-Identifier: GPL-2.0-only
//! All guest memory is read in by one call.
//!
//! Owns: what must come of a call that needs every page. Must not: believe its return value:
//! `mmap` says nothing of pages that it could not populate, so `mincore` decides.

use selftests::behaviour::BehaviourEnd;

use super::{Ended, Held, blocked, right, wrong};
use crate::failure::Failure;
use crate::subject::PAGES;
use crate::wire::{Message, Op};

/// `call`, which waits for the first page: nobody else, and all pages in memory after it?
pub(super) fn read_in(held: &mut Held<'_>, call: &str) -> Result<BehaviourEnd, Failure> {
    let ([sample], ended) = held.probe([held.writer()])?;
    match ended {
        Ended::Byte(..) => {}
        Ended::Refused(refusal) => return Ok(wrong(format!("after the release {}", refusal.text))),
        Ended::Late | Ended::Dead => return Ok(wrong(format!("{call} does not end after the release"))),
    }
    let resident = Message::new(Op::Resident, &[]);
    let resident = held.subject.main.ask(&resident, held.kit.deadline(5000))?.args[0];
    let saw = format!("{call} succeeds with {resident} of {PAGES} pages in memory");
    if resident != PAGES as u64 {
        return Ok(wrong(saw));
    }
    held.scene.compare(held.hold.target)?;
    Ok(match blocked("a writer", sample.as_ref()) {
        Some(reason) => wrong(format!("{reason}; {saw}")),
        None => right(format!("a writer ends while the first page's read is withheld; {saw}")),
    })
}
