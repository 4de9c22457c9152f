// SPDX-License-Identifier: GPL-2.0-only
//! Tries one behaviour: a fault waits for its withheld read, something happens, the read
//! is answered.
//!
//! ```text
//! new process → fault, read withheld, vCPU thread waits → it happens → release → right or wrong?
//! ```
//!
//! Owns: that sequence, how often it is tried, and what the guest's access may end with.
//! Must not: leave anything withheld, or use a process twice: what happens to it is meant
//! to last.

mod death;
mod mapping;
mod waiting;

use nix::errno::Errno;
use selftests::behaviour::{Behaviour, BehaviourEnd, What};
use selftests::cell::{Access, Cell, Path, Situation};
use selftests::plan::Plan;

use crate::failure::Failure;
use crate::inject;
use crate::rig::{Kit, Rig, Subject};
use crate::subject::{Change, Guest, Setup};
use crate::swap;
use crate::trial::{Hold, Scene};
use crate::wire::{Message, Op, wait_any};

/// A hold that was not made is tried again this often.
const RETRIES: u32 = 2;

/// From the release to the end of the access, at hardware speed: long enough for all that
/// is not for ever.
const END_MS: u64 = 5000;

/// Tries `behaviour`; `note` tells of attempts that were none.
pub(crate) fn run(
    rig: &mut Rig,
    plan: &Plan,
    behaviour: Behaviour,
    note: &mut dyn FnMut(String) -> anyhow::Result<()>,
) -> Result<BehaviourEnd, Failure> {
    let mut last = String::new();
    for attempt in 0..=RETRIES {
        match once(rig, plan, behaviour, attempt) {
            Err(Failure::Again(reason)) => {
                note(format!("{behaviour} was not tried: {reason}"))?;
                last = reason;
            }
            seen => return seen,
        }
    }
    Err(Failure::Broken(format!("it was not tried in {} attempts; the last: {last}", RETRIES + 1)))
}

fn once(rig: &mut Rig, plan: &Plan, behaviour: Behaviour, attempt: u32) -> Result<BehaviourEnd, Failure> {
    let situation = Situation::Fault(behaviour.backing, Path::Sync, Access::Read);
    let cell = Cell { situation, window: 1 };
    let subject = rig.kit.subject(Setup { guest: Guest::Sync, write: false })?;
    subject.first_run(&rig.kit)?;
    swap::set_page_cluster(0)?;
    let (hold_ms, Rig { swap, trace, kit, .. }) = (plan.hold_ms, rig);
    let server = &mut swap.server;
    let mut scene = Scene { server, trace, kit, subject: &subject, cell, situation, hold_ms, probes: &[] };
    let hold = scene.hold(crate::conductor::seed(plan.seed, &behaviour.to_string(), 0, attempt))?;
    let mut held = Held { scene, hold, kit, subject: &subject };
    inject::while_withheld(&behaviour.to_string());
    let seen = match behaviour.what {
        What::Sigkill => death::sigkill(&mut held),
        What::Munmap => mapping::change(&mut held, behaviour.backing, Change::Unmap),
        What::Dontneed => mapping::change(&mut held, behaviour.backing, Change::Discard),
        What::MapFixed => mapping::change(&mut held, behaviour.backing, Change::Replace),
        What::Eio => waiting::eio(&mut held),
        What::Signal => waiting::signal(&mut held),
    };
    held.scene.server.release()?;
    seen
}

/// A fault that waits, and what it waits in.
struct Held<'a> {
    scene: Scene<'a>,
    hold: Hold,
    kit: &'a Kit,
    subject: &'a Subject,
}

/// How the guest's access ended.
enum Ended {
    /// With this byte, after so many interruptions by signals.
    Byte(u64, u64),
    /// It was refused.
    Refused(Refusal),
    /// Not at all, so far.
    Late,
    /// With the process.
    Dead,
}

/// What `KVM_RUN` came back with in place of a byte.
struct Refusal {
    /// Its error; none if the guest stopped in another way.
    errno: Option<Errno>,
    /// In the words of the vCPU thread.
    text: String,
}

impl Ended {
    /// Did `KVM_RUN` fail with EFAULT, which is what every kernel says of an address that is
    /// mapped by nothing, or whose page cannot be read (`kvm_handle_bad_page()` up to
    /// 6.1, `kvm_handle_error_pfn()` in 6.12 and later)?
    fn is_bad_address(&self) -> bool {
        matches!(self, Self::Refused(Refusal { errno: Some(Errno::EFAULT), .. }))
    }
}

impl Held<'_> {
    /// Waits for the end of the access after the release.
    fn end(&self) -> Result<Ended, Failure> {
        let vcpu = &self.subject.threads.vcpu.orders;
        let deadline = self.kit.deadline(END_MS);
        let mut ready = false;
        while !ready && !deadline.passed() {
            ready = wait_any(&[std::os::fd::AsFd::as_fd(vcpu)], deadline)?[0];
        }
        if !ready {
            return Ok(Ended::Late);
        }
        Ok(match vcpu.next()? {
            Some(answer) if answer.op == Op::Done => Ended::Byte(answer.args[0], answer.args[5]),
            Some(answer) => Ended::Refused(Refusal::of(&answer)),
            None => Ended::Dead,
        })
    }
}

impl Refusal {
    fn of(answer: &Message) -> Self {
        let errno = i32::try_from(answer.args[0]).ok().filter(|errno| *errno != 0).map(Errno::from_raw);
        Self { errno, text: answer.text() }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte(byte, 0) => write!(f, "the guest loads {byte:#04x}"),
            Self::Byte(byte, count) => {
                write!(f, "the guest loads {byte:#04x} after {count} interruption(s) of KVM_RUN")
            }
            Self::Refused(refusal) => f.write_str(&refusal.text),
            Self::Late => write!(f, "KVM_RUN does not end within {END_MS} ms, stretched, after the release"),
            Self::Dead => f.write_str("the process dies of it"),
        }
    }
}

fn right(saw: impl Into<String>) -> BehaviourEnd {
    BehaviourEnd::Right { saw: saw.into() }
}

fn wrong(saw: impl Into<String>) -> BehaviourEnd {
    BehaviourEnd::Wrong { saw: saw.into() }
}
