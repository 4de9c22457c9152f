// SPDX-License-Identifier: GPL-2.0-only
//! Builds the virtual machine: one vCPU, the guest's own pages, the data.
//!
//! Owns: the KVM calls of the start. Must not: run the vCPU.

use std::num::NonZeroUsize;

use anyhow::{Context, bail};
use kvm_bindings::{
    KVM_MAX_CPUID_ENTRIES, KVM_MP_STATE_RUNNABLE, kvm_mp_state, kvm_segment, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use super::guest::{CODE_GPA, DATA_GPA, Guest, PAGE, PAGES, Setup};
use super::paravirt::{self, RAM_PAGES, Ram, Ready};
use super::vcpu::Vcpu;

/// Three pages that a VMX without unrestricted guests needs, out of the guest's way.
pub(crate) const TSS_GPA: usize = 0xfffb_d000;
/// One page that it needs, too.
pub(crate) const IDENTITY_MAP_GPA: u64 = 0xfffb_c000;

pub(super) struct Machine {
    pub(super) vm: VmFd,
    pub(super) vcpu: Vcpu,
}

/// A machine whose data is at `data_hva`, which may be mapped later.
pub(super) fn build(setup: Setup, data_hva: usize) -> anyhow::Result<Machine> {
    let kvm = Kvm::new().context("cannot open /dev/kvm")?;
    let vm = kvm.create_vm().context("ioctl(KVM_CREATE_VM)")?;
    vm.set_identity_map_address(IDENTITY_MAP_GPA).context("ioctl(KVM_SET_IDENTITY_MAP_ADDR)")?;
    vm.set_tss_address(TSS_GPA).context("ioctl(KVM_SET_TSS_ADDR)")?;
    if setup.guest.has_irqchip() {
        vm.create_irq_chip().context("ioctl(KVM_CREATE_IRQCHIP)")?;
    }
    let paravirt = setup.guest == Guest::Paravirt;
    let pages = if paravirt { RAM_PAGES } else { 1 };
    let own = own_pages(pages)?;
    add_memory(&vm, 0, CODE_GPA, pages * PAGE, own)?;
    add_memory(&vm, 1, DATA_GPA, PAGES * PAGE, data_hva)?;
    let fd = vm.create_vcpu(0).context("ioctl(KVM_CREATE_VCPU)")?;
    let ram = if paravirt { Some(start_in_long_mode(&kvm, &fd, own)?) } else { None };
    if ram.is_none() {
        start_in_real_mode(&fd, setup, own)?;
    }
    Ok(Machine { vm, vcpu: Vcpu { fd, write: setup.write, ram, interrupted: 0 } })
}

fn start_in_real_mode(vcpu: &VcpuFd, setup: Setup, own: usize) -> anyhow::Result<()> {
    let code = setup.code();
    // SAFETY: the mapping is writable, longer than the code, and nobody else's.
    unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), own as *mut u8, code.len()) };
    let mut sregs = vcpu.get_sregs().context("ioctl(KVM_GET_SREGS)")?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs).context("ioctl(KVM_SET_SREGS)")?;
    let mut regs = vcpu.get_regs().context("ioctl(KVM_GET_REGS)")?;
    (regs.rip, regs.rflags, regs.rbx) = (CODE_GPA, setup.rflags(), 0);
    vcpu.set_regs(&regs).context("ioctl(KVM_SET_REGS)")
}

fn start_in_long_mode(kvm: &Kvm, vcpu: &VcpuFd, own: usize) -> anyhow::Result<Ram> {
    // KVM_CPUID_FEATURES
    const FEATURES: u32 = 0x4000_0001;
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).context("ioctl(KVM_GET_SUPPORTED_CPUID)")?;
    let features = cpuid.as_slice().iter().find(|entry| entry.function == FEATURES).map_or(0, |entry| entry.eax);
    let Some(ready) = Ready::of(features) else {
        bail!("KVM offers no async page faults: its features (CPUID {FEATURES:#x}) are {features:#x}");
    };
    vcpu.set_cpuid2(&cpuid).context("ioctl(KVM_SET_CPUID2)")?;
    let ram = Ram::fill(own);
    let mut sregs = vcpu.get_sregs().context("ioctl(KVM_GET_SREGS)")?;
    paravirt::set_sregs(&mut sregs);
    vcpu.set_sregs(&sregs).context("ioctl(KVM_SET_SREGS)")?;
    let mut regs = vcpu.get_regs().context("ioctl(KVM_GET_REGS)")?;
    paravirt::set_regs(&mut regs, ready);
    vcpu.set_regs(&regs).context("ioctl(KVM_SET_REGS)")?;
    Ok(ram)
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

/// A segment that is all of memory.
fn flat(kind: u8, selector: u16) -> kvm_segment {
    kvm_segment { base: 0, limit: u32::MAX, selector, type_: kind, present: 1, s: 1, db: 1, g: 1, ..Default::default() }
}

/// Makes a new vCPU run flat 32-bit code without paging, at once.
pub(crate) fn go_flat(vcpu: &VcpuFd) -> anyhow::Result<()> {
    let mut sregs = vcpu.get_sregs().context("ioctl(KVM_GET_SREGS)")?;
    sregs.cs = flat(0xb, 0x8);
    let data = flat(0x3, 0x10);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    // Protection on, paging off.
    sregs.cr0 |= 1;
    vcpu.set_sregs(&sregs).context("ioctl(KVM_SET_SREGS)")?;
    // With an interrupt controller all but the first wait for one that starts them.
    let state = kvm_mp_state { mp_state: KVM_MP_STATE_RUNNABLE };
    vcpu.set_mp_state(state).context("ioctl(KVM_SET_MP_STATE)")
}

/// Pages for what is the guest's own, locked with all the rest.
fn own_pages(count: usize) -> anyhow::Result<usize> {
    let length = NonZeroUsize::new(count * PAGE).context("a guest without pages")?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let pages = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) };
    Ok(pages.context("mmap of the guest's own pages")?.as_ptr() as usize)
}
