// SPDX-License-Identifier: GPL-2.0-only
//! Builds the virtual machine: one vCPU in real mode, one page of code, the data.
//!
//! Owns: the KVM calls of the start. Must not: run the vCPU.

use std::num::NonZeroUsize;

use anyhow::Context;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use super::guest::{CODE_GPA, DATA_GPA, Guest, PAGE, PAGES, Setup};

/// Three pages that a VMX without unrestricted guests needs, out of the guest's way.
pub(crate) const TSS_GPA: usize = 0xfffb_d000;
/// One page that it needs, too.
pub(crate) const IDENTITY_MAP_GPA: u64 = 0xfffb_c000;

pub(super) struct Machine {
    pub(super) vm: VmFd,
    pub(super) vcpu: VcpuFd,
}

/// A machine whose data is at `data_hva`, which may be mapped later.
pub(super) fn build(setup: Setup, data_hva: usize) -> anyhow::Result<Machine> {
    let kvm = Kvm::new().context("cannot open /dev/kvm")?;
    let vm = kvm.create_vm().context("ioctl(KVM_CREATE_VM)")?;
    vm.set_identity_map_address(IDENTITY_MAP_GPA).context("ioctl(KVM_SET_IDENTITY_MAP_ADDR)")?;
    vm.set_tss_address(TSS_GPA).context("ioctl(KVM_SET_TSS_ADDR)")?;
    if setup.guest == Guest::Async {
        vm.create_irq_chip().context("ioctl(KVM_CREATE_IRQCHIP)")?;
    }
    add_memory(&vm, 0, CODE_GPA, PAGE, code_page(setup)?)?;
    add_memory(&vm, 1, DATA_GPA, PAGES * PAGE, data_hva)?;
    let vcpu = vm.create_vcpu(0).context("ioctl(KVM_CREATE_VCPU)")?;
    let mut sregs = vcpu.get_sregs().context("ioctl(KVM_GET_SREGS)")?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs).context("ioctl(KVM_SET_SREGS)")?;
    let mut regs = vcpu.get_regs().context("ioctl(KVM_GET_REGS)")?;
    (regs.rip, regs.rflags, regs.rbx) = (CODE_GPA, setup.rflags(), 0);
    vcpu.set_regs(&regs).context("ioctl(KVM_SET_REGS)")?;
    Ok(Machine { vm, vcpu })
}

/// Gives the guest `bytes` of this process's memory at `hva`.
pub(crate) fn add_memory(vm: &VmFd, slot: u32, gpa: u64, bytes: usize, hva: usize) -> anyhow::Result<()> {
    let region = kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: gpa,
        memory_size: bytes as u64,
        userspace_addr: hva as u64,
    };
    // SAFETY: the addresses belong to mappings that are never unmapped before the
    // process ends, only replaced by others of ours.
    unsafe { vm.set_user_memory_region(region) }
        .with_context(|| format!("ioctl(KVM_SET_USER_MEMORY_REGION) of slot {slot}"))
}

/// The guest's code, in a page of its own that is locked with all the rest.
fn code_page(setup: Setup) -> anyhow::Result<usize> {
    let length = NonZeroUsize::new(PAGE).unwrap_or(NonZeroUsize::MIN);
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let page = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }
        .context("mmap of the guest's code")?;
    let code = setup.code();
    // SAFETY: the mapping is writable, longer than the code, and nobody else's.
    unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), page.as_ptr().cast(), code.len()) };
    Ok(page.as_ptr() as usize)
}
