// SPDX-License-Identifier: GPL-2.0-only
//! The guest loads from a page that the hardware, or who tests it, has called bad.
//!
//! Owns: that the VMM hears of it by SIGBUS. Must not: withhold anything: the page is in
//! memory, and stays out of use afterwards.

use anyhow::Context;
use selftests::behaviour::BehaviourEnd;

use super::{END_MS, Refusal, right, wrong};
use crate::failure::Failure;
use crate::subject::{Change, Kind};
use crate::swap::PAGE;
use crate::trial::Scene;
use crate::wire::{Channel, Message, Op};

/// Which page it is.
const BAD: u64 = 5;

/// `MADV_HWPOISON`, then the load.
pub(super) fn load(scene: &Scene<'_>, seed: u64) -> Result<BehaviourEnd, Failure> {
    let (kit, subject) = (scene.kit, scene.subject);
    subject.main.ask(&Message::new(Op::Map, &[Kind::Private as u64, seed]), kit.deadline(10_000))?;
    let answer = |channel: &Channel, order: Message| -> anyhow::Result<Message> {
        channel.send(&order)?;
        channel.next_until(kit.deadline(END_MS))?.with_context(|| format!("no answer to {:?} in time", order.op))
    };
    let poisoned = answer(&subject.threads.same_vma.orders, Message::new(Op::Go, &[Change::Poison as u64, BAD]))?;
    if poisoned.op != Op::Done {
        return Err(Failure::Skip(poisoned.text()));
    }
    let answer = answer(&subject.threads.vcpu.orders, Message::new(Op::Go, &[BAD, 0]))?;
    if answer.op == Op::Done {
        return Ok(wrong(format!("the guest loads {:#04x} from a poisoned page", answer.args[0])));
    }
    let refusal = Refusal::of(&answer);
    let wanted = (u64::from(libc::BUS_MCEERR_AR.unsigned_abs()), subject.hva + BAD * PAGE as u64);
    if refusal.sigbus == wanted {
        return Ok(right(format!("{}: BUS_MCEERR_AR, of that page", refusal.text)));
    }
    let (code, at) = wanted;
    Ok(wrong(format!("{} where SIGBUS must come with si_code {code} and si_addr {at:#x}", refusal.text)))
}
