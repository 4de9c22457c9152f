// SPDX-License-Identifier: GPL-2.0-only
//! The vCPU thread: one guest access for each order.
//!
//! Owns: KVM_RUN. Must not: allocate or map between an order and its answer.

use std::sync::mpsc::Sender;

use anyhow::{Context, bail};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::guest::{DATA_GPA, PAGE, PORT};
use super::paravirt::{BAD_PORT, Counts, Ram};
use super::{sigbus, tid};
use crate::clock;
use crate::cpus;
use crate::wire::{Channel, Message, Op};

/// A vCPU, and what its guest does.
pub(super) struct Vcpu {
    pub(super) fd: VcpuFd,
    /// It stores rather than loads.
    pub(super) write: bool,
    /// The pages of a guest in long mode.
    pub(super) ram: Option<Ram>,
    /// How often a signal ended KVM_RUN in the last access.
    pub(super) interrupted: u64,
}

/// Obeys `Go(page, value)` with `Done(value, start, end, told, progress, interrupted)` until
/// the conductor goes: how often the guest was told that its page is not present, and what its
/// other task counted meanwhile, 0 of a guest that has none; and how often a signal ended
/// KVM_RUN. What failed is answered with `Fail(errno, code, address)`: 0 if no system call did,
/// and what the first SIGBUS said, if there was one.
pub(super) fn run(mut vcpu: Vcpu, orders: &Channel, ready: &Sender<u64>) {
    // The first reading of the clock maps its page; a fault during a hold would wait.
    clock::now();
    let settled = cpus::off_the_first();
    let settled = settled.and_then(|()| if vcpu.ram.is_some() { cpus::last_of_all() } else { Ok(()) });
    if let Err(error) = settled {
        eprintln!("selftests: {error:#}");
        return;
    }
    if ready.send(tid()).is_err() {
        return;
    }
    while let Ok(Some(order)) = orders.next() {
        let start = clock::now();
        let answer = match vcpu.access(order.args[0], order.args[1]) {
            Ok((value, counts)) => {
                let Counts { not_present, progress } = counts;
                let interrupted = vcpu.interrupted;
                Message::new(Op::Done, &[value.into(), start, clock::now(), not_present, progress, interrupted])
            }
            Err(error) => {
                let errno = error.downcast_ref::<kvm_ioctls::Error>().map_or(0, |error| error.errno().unsigned_abs());
                let mut answer = Message::with_text(Op::Fail, &format!("{error:#}"));
                let (code, address) = sigbus::noted().unwrap_or_default();
                answer.args[..3].copy_from_slice(&[errno.into(), code.unsigned_abs().into(), address]);
                answer
            }
        };
        if orders.send(&answer).is_err() {
            return;
        }
    }
}

impl Vcpu {
    /// Lets the guest access `page`, storing `value` if its program stores; the byte
    /// that it loaded or stored, and what its other task did.
    fn access(&mut self, page: u64, value: u64) -> anyhow::Result<(u8, Counts)> {
        let address = DATA_GPA + page * PAGE as u64;
        let mut regs = self.fd.get_regs().context("ioctl(KVM_GET_REGS)")?;
        match self.ram {
            Some(ram) => {
                (regs.rbx, regs.r8, regs.r9) = (address, value, u64::from(self.write));
                ram.take();
            }
            None => {
                regs.rax = value;
                let mut sregs = self.fd.get_sregs().context("ioctl(KVM_GET_SREGS)")?;
                sregs.ds.base = address;
                sregs.ds.selector = u16::try_from(address >> 4).context("the page is beyond real mode")?;
                self.fd.set_sregs(&sregs).context("ioctl(KVM_SET_SREGS)")?;
            }
        }
        self.fd.set_regs(&regs).context("ioctl(KVM_SET_REGS)")?;
        self.interrupted = 0;
        let byte = self.until_out()?;
        Ok((byte, self.ram.map(Ram::take).unwrap_or_default()))
    }

    fn until_out(&mut self) -> anyhow::Result<u8> {
        loop {
            let exit = self.fd.run();
            // 3.17 returns 0 after it has sent one, with the exit of the time before.
            if let Some((code, address)) = sigbus::noted() {
                bail!("SIGBUS came with si_code {code} and si_addr {address:#x}");
            }
            match exit {
                Ok(VcpuExit::IoOut(PORT, [byte])) => return Ok(*byte),
                Ok(VcpuExit::IoOut(BAD_PORT, _)) => bail!("the guest met a page fault of its own"),
                Ok(VcpuExit::Intr) => self.interrupted += 1,
                Ok(exit) => bail!("the guest stopped with {exit:?}"),
                Err(error) if error.errno() == libc::EINTR => self.interrupted += 1,
                Err(error) if error.errno() == libc::EAGAIN => {}
                Err(error) => return Err(error).context("ioctl(KVM_RUN)"),
            }
        }
    }
}
