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

mod count;
mod death;
mod endless;
mod mapping;
mod poison;
mod second;
mod swapping;
mod waiting;
mod whole;

use std::os::fd::AsFd;

use nix::errno::Errno;
use selftests::behaviour::{Behaviour, BehaviourEnd, What};
use selftests::cell::{Access, Cell, Path, Probe, Situation};
use selftests::plan::Plan;
use selftests::protocol::ProbeSample;

use crate::clock::{Deadline, now};
use crate::failure::Failure;
use crate::hold::{self, ProbeRun};
use crate::inject;
use crate::nbd::device;
use crate::rig::{Kit, Rig, Subject};
use crate::subject::{Change, Guest, Setup, Touch};
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
    let (path, guest) = match behaviour.what {
        What::Truncated => (Path::ApfHalt, Guest::Async),
        // Without a guest's access, but never without a guest: its memory is KVM's, too.
        What::Mlock | What::Populate => (Path::User, Guest::Sync),
        _ => (Path::Sync, Guest::Sync),
    };
    let situation = Situation::Fault(behaviour.backing, path, Access::Read);
    let cell = Cell { situation, window: 1 };
    let subject = rig.kit.subject(Setup { guest, write: false })?;
    subject.first_run(&rig.kit)?;
    swap::set_page_cluster(0)?;
    // In these something is swapped out while a read is withheld.
    let writes = matches!(behaviour.what, What::SecondPass | What::SigkillSecond);
    let scheduler = if writes { device::unscheduled(&rig.swap.path)? } else { None };
    let (hold_ms, Rig { swap, trace, kit, .. }) = (plan.hold_ms, rig);
    let server = &mut swap.server;
    let scene = Scene { server, trace, kit, subject: &subject, cell, situation, hold_ms, probes: &[] };
    let seed = crate::conductor::seed(plan.seed, &behaviour.to_string(), 0, attempt);
    let seen = attempted(scene, behaviour, seed);
    swap.server.release()?;
    if let Some(name) = scheduler {
        device::set_scheduler(&swap.path, &name)?;
    }
    seen
}

fn attempted(mut scene: Scene<'_>, behaviour: Behaviour, seed: u64) -> Result<BehaviourEnd, Failure> {
    let hold = match behaviour.what {
        What::MajorFaults => return count::major_faults(&mut scene, seed),
        What::Hwpoison => return poison::load(&scene, seed),
        What::Mlock => scene.hold_all(seed, Touch::Lock)?,
        What::Populate => scene.hold_all(seed, Touch::Populate)?,
        _ => scene.hold(seed)?,
    };
    let (kit, subject) = (scene.kit, scene.subject);
    let mut held = Held { scene, hold, kit, subject };
    inject::while_withheld(&behaviour.to_string());
    match behaviour.what {
        What::Sigkill => death::sigkill(&mut held),
        What::Munmap => mapping::change(&mut held, behaviour.backing, Change::Unmap),
        What::Dontneed => mapping::change(&mut held, behaviour.backing, Change::Discard),
        What::MapFixed => mapping::change(&mut held, behaviour.backing, Change::Replace),
        What::CloseLast => mapping::close_last(&mut held),
        What::Eio => waiting::eio(&mut held),
        What::Signal => waiting::signal(&mut held),
        What::SecondPass => second::pass(&mut held),
        What::SigkillSecond => {
            second::wait(&mut held)?;
            death::sigkill(&mut held)
        }
        What::Mlock => whole::read_in(&mut held, "mlock()"),
        What::Populate => whole::read_in(&mut held, "mmap(MAP_POPULATE)"),
        What::Swapoff => swapping::off(&mut held),
        What::Truncated => endless::truncated(&mut held),
        What::MajorFaults | What::Hwpoison => Err(Failure::Broken("nothing is withheld in it".to_owned())),
    }
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
    /// `si_code` and `si_addr` of the SIGBUS that came.
    sigbus: (u64, u64),
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

impl<'a> Held<'a> {
    /// Waits for the end of the access after the release.
    fn end(&self) -> Result<Ended, Failure> {
        Ok(self.end_until(self.kit.deadline(END_MS))?.unwrap_or(Ended::Late))
    }

    /// How the access ended, if it did.
    fn end_until(&self, deadline: Deadline) -> Result<Option<Ended>, Failure> {
        let orders = self.scene.accessing();
        let mut ready = false;
        while !ready && !deadline.passed() {
            ready = wait_any(&[orders.as_fd()], deadline)?[0];
        }
        if !ready {
            return Ok(None);
        }
        Ok(Some(match orders.next()? {
            Some(answer) if answer.op == Op::Done => Ended::Byte(answer.args[0], answer.args[5]),
            Some(answer) => Ended::Refused(Refusal::of(&answer)),
            None => Ended::Dead,
        }))
    }

    /// The writer of the mmap lock that has nothing to do with the guest memory.
    fn writer(&self) -> ProbeRun<'a> {
        let thread = &self.subject.threads.writer;
        ProbeRun::new(Probe::Writer, &thread.orders, Message::new(Op::Go, &[]), self.subject.thread_dir(thread))
    }

    /// Starts `runs` one after the other, answers the read, and waits for the end of all: what
    /// each met, and how the access ended.
    fn probe<const N: usize>(
        &mut self,
        mut runs: [ProbeRun<'a>; N],
    ) -> Result<([Option<ProbeSample>; N], Ended), Failure> {
        let hold_ms = self.scene.hold_ms;
        let probed = hold::probe(&mut runs, hold_ms, self.kit.deadline(u64::from(hold_ms) + 2000));
        let release = now();
        self.scene.server.release()?;
        let ended = self.end()?;
        hold::collect(&mut runs, self.kit.deadline(END_MS))?;
        probed?;
        Ok((runs.map(|run| run.sample(release)), ended))
    }
}

/// Why `call`, which is to end before the release, did not, if it did not.
fn blocked(call: &str, sample: Option<&ProbeSample>) -> Option<String> {
    match sample {
        None => Some(format!("{call} does not end after the release either")),
        Some(sample) if sample.returned_during_hold => None,
        Some(sample) => {
            let place = sample.blocked_in.first().cloned().unwrap_or_default();
            Some(format!("{call} waits in {place} until the read is answered"))
        }
    }
}

impl Refusal {
    fn of(answer: &Message) -> Self {
        let errno = i32::try_from(answer.args[0]).ok().filter(|errno| *errno != 0).map(Errno::from_raw);
        Self { errno, sigbus: (answer.args[1], answer.args[2]), text: answer.text() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_efault_is_a_bad_address() {
        let refused = |errno: u64| {
            let mut answer = Message::with_text(Op::Fail, "ioctl(KVM_RUN)");
            answer.args[0] = errno;
            Ended::Refused(Refusal::of(&answer)).is_bad_address()
        };
        assert!(refused(14));
        assert!(!refused(5));
        assert!(!refused(0), "the guest stopped in another way");
        assert!(!Ended::Dead.is_bad_address() && !Ended::Late.is_bad_address() && !Ended::Byte(0, 0).is_bad_address());
    }
}
