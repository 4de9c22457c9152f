// SPDX-License-Identifier: GPL-2.0-only
//! The vCPU thread: one guest access for each order.
//!
//! Owns: KVM_RUN. Must not: allocate or map between an order and its answer.

use std::sync::mpsc::Sender;

use anyhow::{Context, bail};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::guest::{DATA_GPA, PAGE, PORT};
use super::tid;
use crate::clock;
use crate::cpus;
use crate::wire::{Channel, Message, Op};

/// Obeys `Go(page, value)` with `Done(value, start, end)` until the conductor goes.
pub(super) fn run(mut vcpu: VcpuFd, orders: &Channel, ready: &Sender<u64>) {
    // The first reading of the clock maps its page; a fault during a hold would wait.
    clock::now();
    if let Err(error) = cpus::off_the_first() {
        eprintln!("selftests: {error:#}");
        return;
    }
    if ready.send(tid()).is_err() {
        return;
    }
    while let Ok(Some(order)) = orders.next() {
        let start = clock::now();
        let answer = match access(&mut vcpu, order.args[0], order.args[1]) {
            Ok(value) => Message::new(Op::Done, &[value.into(), start, clock::now()]),
            Err(error) => Message::with_text(Op::Fail, &format!("{error:#}")),
        };
        if orders.send(&answer).is_err() {
            return;
        }
    }
}

/// Lets the guest access `page`, storing `value` if its program stores; the byte
/// that it loaded or stored.
fn access(vcpu: &mut VcpuFd, page: u64, value: u64) -> anyhow::Result<u8> {
    let mut sregs = vcpu.get_sregs().context("ioctl(KVM_GET_SREGS)")?;
    sregs.ds.base = DATA_GPA + page * PAGE as u64;
    sregs.ds.selector = u16::try_from(sregs.ds.base >> 4).context("the page is beyond real mode")?;
    vcpu.set_sregs(&sregs).context("ioctl(KVM_SET_SREGS)")?;
    let mut regs = vcpu.get_regs().context("ioctl(KVM_GET_REGS)")?;
    regs.rax = value;
    vcpu.set_regs(&regs).context("ioctl(KVM_SET_REGS)")?;
    loop {
        match vcpu.run() {
            Ok(VcpuExit::IoOut(PORT, [byte])) => return Ok(*byte),
            Ok(VcpuExit::Intr) => {}
            Ok(exit) => bail!("the guest stopped with {exit:?}"),
            Err(error) if error.errno() == libc::EINTR || error.errno() == libc::EAGAIN => {}
            Err(error) => return Err(error).context("ioctl(KVM_RUN)"),
        }
    }
}
