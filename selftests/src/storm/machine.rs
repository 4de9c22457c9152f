// SPDX-License-Identifier: GPL-2.0-only
//! The virtual machine in a storm, its memory, and one access of its guest.
//!
//! The guest is flat 32-bit code without paging; each access is one `KVM_RUN` that
//! touches the first and the last word of a page.
//!
//! Owns: the KVM calls, the guest's memory. Must not: know what is right.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, bail};
use kvm_bindings::kvm_regs;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use selftests::storms::StormBacking;

use crate::subject::vm::{IDENTITY_MAP_GPA, TSS_GPA, add_memory, go_flat};
use crate::swap::PAGE;

const CODE_GPA: u64 = 0x1000;
const DATA_GPA: u64 = 0x10_0000;
/// The port on which the guest says that an access is done.
const PORT: u16 = 0x10;
/// Of the last word of a page.
const LAST: usize = PAGE - 4;

/// `mov [edi],ecx; mov [edi+LAST],ecx; out PORT,al`
const STORE: [u8; 10] = [0x89, 0x0f, 0x89, 0x8f, 0xfc, 0x0f, 0, 0, 0xe6, 0x10];
/// `mov eax,[edi]; mov edx,[edi+LAST]; out PORT,al`
const LOAD: [u8; 10] = [0x8b, 0x07, 0x8b, 0x97, 0xfc, 0x0f, 0, 0, 0xe6, 0x10];
const LOAD_AT: usize = 16;
/// Bit 1 of RFLAGS is always set; a vCPU with IF = 0 never takes an async page fault.
const RFLAGS: u64 = 0x2;
const INTERRUPTS_ON: u64 = 0x200;

/// Guest memory, mapped in the VMM.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    start: usize,
    pages: usize,
}

impl Memory {
    /// Reserves its addresses; [`Memory::map`] fills them.
    pub(super) fn reserve(pages: usize) -> anyhow::Result<Self> {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let start = unsafe { mmap_anonymous(None, length(pages)?, ProtFlags::PROT_NONE, flags) };
        let start = start.context("mmap of the guest memory's place")?.as_ptr() as usize;
        Ok(Self { start, pages })
    }

    /// Maps it; nothing is in it yet. To be called when this process's memory is locked:
    /// that of the guest must not be.
    pub(super) fn map(&self, backing: StormBacking) -> anyhow::Result<()> {
        let (at, length) = (NonZeroUsize::new(self.start), length(self.pages)?);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: only the reservation's own addresses are replaced, and no reference into
        // them exists: they are accessed by raw reads and writes alone.
        let start = unsafe {
            match backing {
                StormBacking::Anon => {
                    mmap_anonymous(at, length, protection, MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED)
                }
                StormBacking::Shmem => {
                    let fd: OwnedFd =
                        memfd_create(c"kvm-gup-io-guest", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
                    nix::unistd::ftruncate(&fd, libc::off_t::try_from(length.get())?).context("ftruncate(memfd)")?;
                    mmap(at, length, protection, MapFlags::MAP_SHARED | MapFlags::MAP_FIXED, fd.as_fd(), 0)
                }
            }
        };
        let start = start.context("mmap of the guest memory")?;
        // SAFETY: the range is ours. Where there are no huge pages this is EINVAL, as wanted.
        unsafe { libc::madvise(start.as_ptr(), length.get(), libc::MADV_NOHUGEPAGE) };
        Ok(())
    }

    /// First and last word of a page, through the VMM's own mapping.
    pub(super) fn words(&self, page: usize) -> [u32; 2] {
        // SAFETY: both words are within the mapping, which stays as long as the process,
        // and aligned; nobody writes them meanwhile.
        [0, LAST].map(|at| unsafe { ((self.start + page * PAGE + at) as *const u32).read_volatile() })
    }

    /// Sets both, before the first vCPU runs.
    pub(super) fn set(&self, page: usize, value: u32) {
        for at in [0, LAST] {
            // SAFETY: as in `words`.
            unsafe { ((self.start + page * PAGE + at) as *mut u32).write_volatile(value) };
        }
    }
}

fn length(pages: usize) -> anyhow::Result<NonZeroUsize> {
    NonZeroUsize::new(pages * PAGE).context("guest memory has a size")
}

/// A virtual CPU of it.
pub(super) struct Cpu {
    vcpu: VcpuFd,
    rflags: u64,
}

/// A machine on this memory. The first vCPU takes async page faults, the others wait
/// themselves.
pub(super) fn build(memory: Memory, vcpus: u64) -> anyhow::Result<(VmFd, Vec<Cpu>)> {
    let kvm = Kvm::new().context("cannot open /dev/kvm")?;
    let vm = kvm.create_vm().context("ioctl(KVM_CREATE_VM)")?;
    vm.set_identity_map_address(IDENTITY_MAP_GPA).context("ioctl(KVM_SET_IDENTITY_MAP_ADDR)")?;
    vm.set_tss_address(TSS_GPA).context("ioctl(KVM_SET_TSS_ADDR)")?;
    vm.create_irq_chip().context("ioctl(KVM_CREATE_IRQCHIP)")?;
    add_memory(&vm, 0, CODE_GPA, PAGE, code()?)?;
    add_memory(&vm, 1, DATA_GPA, memory.pages * PAGE, memory.start)?;
    let cpu = |number| {
        let vcpu = vm.create_vcpu(number).with_context(|| format!("ioctl(KVM_CREATE_VCPU) of {number}"))?;
        go_flat(&vcpu)?;
        let interrupts = if number == 0 { INTERRUPTS_ON } else { 0 };
        Ok(Cpu { vcpu, rflags: RFLAGS | interrupts })
    };
    let cpus = (0..vcpus).map(cpu).collect::<anyhow::Result<_>>()?;
    Ok((vm, cpus))
}

/// The guest's code, in a page of its own.
fn code() -> anyhow::Result<usize> {
    let length = NonZeroUsize::new(PAGE).unwrap_or(NonZeroUsize::MIN);
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) };
    let page = page.context("mmap of the guest's code")?.as_ptr().cast::<u8>();
    for (at, code) in [(0, STORE), (LOAD_AT, LOAD)] {
        // SAFETY: the mapping is writable, longer than both, and nobody else's.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), page.add(at), code.len()) };
    }
    Ok(page as usize)
}

impl Cpu {
    /// Stores `value` to both words of `page`.
    pub(super) fn store(&mut self, page: u64, value: u32) -> anyhow::Result<()> {
        self.run(CODE_GPA, page, value).map(drop)
    }

    /// Loads both words of `page`.
    pub(super) fn load(&mut self, page: u64) -> anyhow::Result<[u32; 2]> {
        let regs = self.run(CODE_GPA + LOAD_AT as u64, page, 0)?;
        Ok([regs.rax, regs.rdx].map(|register| (register & 0xffff_ffff) as u32))
    }

    fn run(&mut self, rip: u64, page: u64, value: u32) -> anyhow::Result<kvm_regs> {
        let rdi = DATA_GPA + page * PAGE as u64;
        let regs = kvm_regs { rip, rdi, rcx: value.into(), rflags: self.rflags, ..Default::default() };
        self.vcpu.set_regs(&regs).context("ioctl(KVM_SET_REGS)")?;
        loop {
            match self.vcpu.run() {
                Ok(VcpuExit::IoOut(PORT, _)) => break,
                Ok(VcpuExit::Intr) => {}
                Ok(exit) => bail!("the guest stopped with {exit:?} at page {page}"),
                Err(error) if error.errno() == libc::EINTR || error.errno() == libc::EAGAIN => {}
                Err(error) => return Err(error).with_context(|| format!("ioctl(KVM_RUN) at page {page}")),
            }
        }
        self.vcpu.get_regs().context("ioctl(KVM_GET_REGS)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_touch_the_last_word_and_end_at_the_port() {
        for code in [STORE, LOAD] {
            assert_eq!(code[8..], [0xe6, PORT.to_le_bytes()[0]]);
            assert_eq!(code[4..8], (LAST as u32).to_le_bytes());
        }
        assert!(STORE.len() <= LOAD_AT);
    }

    #[test]
    fn memory_holds_what_is_set() {
        for backing in [StormBacking::Anon, StormBacking::Shmem] {
            let memory = Memory::reserve(4).unwrap();
            memory.map(backing).unwrap();
            memory.set(3, 0x1234_5678);
            assert_eq!((memory.words(3), memory.words(2)), ([0x1234_5678; 2], [0; 2]));
        }
    }
}
