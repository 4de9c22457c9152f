// SPDX-License-Identifier: GPL-2.0-only
//! The stressed virtual machine, and one access of its guest.
//!
//! The guest is flat 32-bit code without paging, with one entry for each kind of
//! access; every access of a whole page is one `KVM_RUN`, so that the VMM can look
//! into the ledger before and after it.
//!
//! Owns: the KVM calls. Must not: know what is right.

use std::num::NonZeroUsize;

use anyhow::{Context, anyhow};
use kvm_bindings::kvm_regs;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use super::board::VCPUS;
use super::memory::{Backing, Memory, PAGES_EACH, WORDS};
use crate::subject::vm::{IDENTITY_MAP_GPA, TSS_GPA, add_memory, go_flat};
use crate::swap::PAGE;

const CODE_GPA: u64 = 0x1000;
const DATA_GPA: u64 = 0x10_0000;
/// The port on which the guest says that an access is done.
const PORT: u16 = 0x10;

/// `rep stosd; out PORT,al`: fills ECX words from EDI with EAX.
const FILL: [u8; 4] = [0xf3, 0xab, 0xe6, 0x10];
/// `mov eax,[edi]; repe scasd; mov edx,[edi-4]; out PORT,al`: looks for the first of
/// ECX words from EDI that differs from the first one; EDX is the last word looked at.
const SCAN: [u8; 9] = [0x8b, 0x07, 0xf3, 0xaf, 0x8b, 0x57, 0xfc, 0xe6, 0x10];
const SCAN_AT: usize = 16;
/// Bit 1 of RFLAGS is always set; a vCPU with IF = 0 never takes an async page fault.
const RFLAGS: u64 = 0x2;
const INTERRUPTS_ON: u64 = 0x200;

/// Every word that an access can tell apart is checked; a page that changes this often
/// under a scan is left.
const SEGMENTS: usize = 64;

/// Why an access is over before its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// `KVM_RUN` returned EFAULT.
    Denied,
    /// Anything else, which no access may give.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// A virtual CPU of it.
pub(super) struct Cpu {
    vcpu: VcpuFd,
    rflags: u64,
    code: Code,
}

/// The page with the guest's programs, as the VMM has it mapped.
#[derive(Clone, Copy)]
struct Code(*const u8);

/// A machine on this memory, which may be mapped later.
pub(super) fn build(memory: &Memory) -> anyhow::Result<(VmFd, Vec<Cpu>)> {
    let kvm = Kvm::new().context("cannot open /dev/kvm")?;
    let vm = kvm.create_vm().context("ioctl(KVM_CREATE_VM)")?;
    vm.set_identity_map_address(IDENTITY_MAP_GPA).context("ioctl(KVM_SET_IDENTITY_MAP_ADDR)")?;
    vm.set_tss_address(TSS_GPA).context("ioctl(KVM_SET_TSS_ADDR)")?;
    vm.create_irq_chip().context("ioctl(KVM_CREATE_IRQCHIP)")?;
    let code = Code::map()?;
    add_memory(&vm, 0, CODE_GPA, PAGE, code.0 as usize)?;
    for (slot, backing) in (1..).zip(Backing::ALL) {
        let page = backing.first();
        add_memory(&vm, slot, gpa(page), PAGES_EACH as usize * PAGE, memory.address(page))?;
    }
    let cpus = (0..VCPUS as u64).map(|number| Cpu::new(&vm, number, code)).collect::<anyhow::Result<_>>()?;
    Ok((vm, cpus))
}

fn gpa(page: u64) -> u64 {
    DATA_GPA + page * PAGE as u64
}

// SAFETY: the page is written before the first vCPU's thread begins, and then only read.
unsafe impl Send for Code {}

impl Code {
    const PROGRAMS: [(usize, &[u8]); 2] = [(0, &FILL), (SCAN_AT, &SCAN)];

    fn map() -> anyhow::Result<Self> {
        let length = NonZeroUsize::new(PAGE).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }
            .context("mmap of the guest's code")?
            .as_ptr()
            .cast::<u8>();
        for (at, code) in Self::PROGRAMS {
            // SAFETY: the mapping is writable, longer than both, and nobody else's.
            unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), page.add(at), code.len()) };
        }
        Ok(Self(page))
    }

    /// Is it still what was written there?
    fn is_intact(self) -> bool {
        // SAFETY: the mapping has this length, and stays as long as the process.
        let page = unsafe { std::slice::from_raw_parts(self.0, PAGE) };
        let programs: usize = Self::PROGRAMS.iter().map(|(_, code)| code.len()).sum();
        Self::PROGRAMS.iter().all(|(at, code)| page[*at..].starts_with(code))
            && page.iter().filter(|byte| **byte != 0).count() <= programs
    }
}

impl Cpu {
    fn new(vm: &VmFd, number: u64, code: Code) -> anyhow::Result<Self> {
        let vcpu = vm.create_vcpu(number).with_context(|| format!("ioctl(KVM_CREATE_VCPU) of {number}"))?;
        go_flat(&vcpu)?;
        let interrupts = if number == 0 { INTERRUPTS_ON } else { 0 };
        Ok(Self { vcpu, rflags: RFLAGS | interrupts, code })
    }

    /// Fills `page` with `value`.
    pub(super) fn fill(&mut self, page: u64, value: u32) -> Result<(), Ended> {
        let regs = kvm_regs { rip: CODE_GPA, rax: value.into(), rcx: WORDS as u64, rdi: gpa(page), ..self.regs() };
        self.run(&regs).map(drop)
    }

    /// Reads all of `page`: calls `check` with each word that differs from the one
    /// before it, and its place; ends early if that is false.
    pub(super) fn scan(&mut self, page: u64, mut check: impl FnMut(u64, u32) -> bool) -> Result<(), Ended> {
        let (end, mut at) = (gpa(page) + PAGE as u64, gpa(page));
        for _ in 0..SEGMENTS {
            let left = (end - at) / 4;
            let rip = CODE_GPA + SCAN_AT as u64;
            let seen = self.run(&kvm_regs { rip, rcx: left, rdi: at, ..self.regs() })?;
            let word = |register: u64| (register & 0xffff_ffff) as u32;
            let reached = (seen.rdi & 0xffff_ffff).clamp(at + 4, end) - 4;
            if !check((at - gpa(page)) / 4, word(seen.rax)) || !check((reached - gpa(page)) / 4, word(seen.rdx)) {
                return Ok(());
            }
            // Equal words up to the end, or the last one differs and was checked.
            if reached + 4 == end {
                return Ok(());
            }
            at = reached;
        }
        Ok(())
    }

    fn regs(&self) -> kvm_regs {
        kvm_regs { rflags: self.rflags, ..Default::default() }
    }

    fn run(&mut self, regs: &kvm_regs) -> Result<kvm_regs, Ended> {
        self.vcpu.set_regs(regs).context("ioctl(KVM_SET_REGS)")?;
        loop {
            match self.vcpu.run() {
                Ok(VcpuExit::IoOut(PORT, _)) => break,
                Ok(VcpuExit::Intr) => {}
                Ok(VcpuExit::MemoryFault { .. }) => return Err(Ended::Denied),
                Ok(exit) => {
                    let exit = format!("{exit:?}");
                    return Err(Ended::Failed(self.stopped(&exit)));
                }
                Err(error) if error.errno() == libc::EINTR || error.errno() == libc::EAGAIN => {}
                Err(error) if error.errno() == libc::EFAULT => return Err(Ended::Denied),
                Err(error) => return Err(anyhow::Error::new(error).context("ioctl(KVM_RUN)").into()),
            }
        }
        Ok(self.vcpu.get_regs().context("ioctl(KVM_GET_REGS)")?)
    }

    /// Where the guest is that did what none of its programs does, and whether they are
    /// still there.
    fn stopped(&self, exit: &str) -> anyhow::Error {
        let code = if self.code.is_intact() { "as it was written" } else { "not as it was written" };
        match self.vcpu.get_regs() {
            Ok(kvm_regs { rip, rax, rcx, rdi, .. }) => anyhow!(
                "the guest stopped with {exit} at EIP {rip:#x}, EAX {rax:#x}, ECX {rcx:#x}, EDI {rdi:#x}; its code is {code}"
            ),
            Err(error) => anyhow!("the guest stopped with {exit}, where is unknown ({error}); its code is {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_end_at_the_port_and_do_not_meet() {
        for code in [&FILL[..], &SCAN[..]] {
            assert_eq!(code[code.len() - 2..], [0xe6, PORT.to_le_bytes()[0]]);
        }
        assert!(FILL.len() <= SCAN_AT);
    }

    #[test]
    fn the_memory_is_beyond_the_code_and_below_the_chipset() {
        assert!(CODE_GPA + PAGE as u64 <= DATA_GPA);
        assert!(gpa(2 * PAGES_EACH) < IDENTITY_MAP_GPA);
    }
}
