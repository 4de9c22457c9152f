// SPDX-License-Identifier: GPL-2.0-only
//! The wait itself ends or is disturbed: an error of the device, a signal.
//!
//! Owns: what the access must end with. Must not: accept a byte that the device did not
//! give, or a signal that nobody noticed.

use anyhow::Context;
use nix::errno::Errno;
use selftests::behaviour::BehaviourEnd;

use super::{Ended, Held, right, wrong};
use crate::clock::nap;
use crate::failure::Failure;
use crate::subject::{INTERRUPT, value_at};

/// The device answers the read with an error, and each that follows it.
pub(super) fn eio(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    held.scene.server.refuse()?;
    let ended = held.end()?;
    Ok(match ended {
        _ if ended.is_bad_address() => right(ended.to_string()),
        Ended::Byte(..) => wrong(format!("{ended}, which the device never gave")),
        Ended::Refused(_) | Ended::Late | Ended::Dead => wrong(ended.to_string()),
    })
}

/// The vCPU thread gets a signal that it has a handler for.
pub(super) fn signal(held: &mut Held<'_>) -> Result<BehaviourEnd, Failure> {
    let (pid, tid) = (held.subject.main.pid, held.subject.threads.vcpu.tid);
    // SAFETY: a system call with three numbers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::c_long::from(pid), tid, INTERRUPT as libc::c_int) };
    Errno::result(sent).context("tgkill of the vCPU thread")?;
    nap(u64::from(held.scene.hold_ms) * 1000);
    held.scene.server.release()?;
    let ended = held.end()?;
    let target = held.hold.target;
    let wanted = value_at(target.seed, target.page);
    Ok(match ended {
        Ended::Byte(_, 0) => return Err(Failure::Again("the signal never ended KVM_RUN".to_owned())),
        Ended::Byte(byte, _) if byte == wanted => {
            held.scene.compare(target)?;
            right(ended.to_string())
        }
        _ => wrong(format!("{ended} where it must load {wanted:#04x}")),
    })
}
