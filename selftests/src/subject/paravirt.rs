// SPDX-License-Identifier: GPL-2.0-only
//! A guest in long mode that knows of KVM's async page faults: its program and the
//! tables that a processor in long mode wants.
//!
//! ```text
//! start ─▶ MSRs, interrupts on ─▶ touch ──────▶ OUT PORT ─▶ touch …
//!                                   │ "not present": the first task sleeps
//!                                   ▼
//!                                 other: counts until "page ready" wakes the first
//! ```
//!
//! Both events come as Documentation/virt/kvm/msr.rst (x86/msr.rst) has it: "not present"
//! is a #PF whose token is in CR2 and whose reason is in memory that guest and KVM share;
//! "page ready" is an interrupt since v5.8, and another #PF before.
//!
//! Owns: the address map below 64 KiB, the program, and reading its counters. Must not:
//! make a system call, or run the vCPU.

use std::arch::global_asm;

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

use super::guest::{CODE_GPA, PORT};

/// Pages from [`CODE_GPA`] on: the program, four of page tables, the state, the IDT, the
/// stacks.
pub(super) const RAM_PAGES: usize = 8;
const PML4: u64 = 0x2000;
const PDPT: u64 = 0x3000;
/// Of the first GiB, and of the fourth, in which the local APIC is.
const DIRECTORIES: [u64; 2] = [0x4000, 0x5000];
const STATE: u64 = 0x6000;
const IDT: u64 = 0x7000;
/// Ends of the two stacks.
const STACKS: [u64; 2] = [0x8800, 0x9000];

/// Places in the state; at 0 is what KVM writes (struct kvm_vcpu_pv_apf_data).
const PROGRESS: u64 = 0x40;
const NOT_PRESENT: u64 = 0x48;
const WAITING: u64 = 0x58;
const TASK: u64 = 0x60;
const OTHER: u64 = 0x68;
const GDT: u64 = 0x100;

/// The port on which the guest says that it met a page fault of its own.
pub(super) const BAD_PORT: u16 = 0x11;
/// The vector of "page ready".
const VECTOR: u64 = 0x40;
/// MSR_KVM_ASYNC_PF_EN: enabled, also for the kernel's privilege level, and since v5.8
/// with "page ready" as an interrupt.
const ENABLE: u64 = STATE | 0b11;
const AS_INTERRUPT: u64 = 1 << 3;

unsafe extern "C" {
    static paravirt_start: u8;
    static paravirt_fault: u8;
    static paravirt_interrupt: u8;
    static paravirt_other: u8;
    static paravirt_end: u8;
}

// r15 is the state, rbx the address to touch, r8 the value to store, r9 whether to store;
// edi is what MSR_KVM_ASYNC_PF_EN gets, esi the vector or 0.
global_asm!(
    ".pushsection .rodata.paravirt, \"a\", @progbits",
    ".hidden paravirt_start, paravirt_fault, paravirt_interrupt, paravirt_other, paravirt_end",
    ".globl paravirt_start, paravirt_fault, paravirt_interrupt, paravirt_other, paravirt_end",
    "paravirt_start:",
    // The local APIC is enabled by its spurious interrupt vector register.
    "mov eax, 0xfee000f0",
    "mov dword ptr [rax], 0x1ff",
    "test esi, esi",
    "jz 2f",
    "mov ecx, 0x4b564d06", // MSR_KVM_ASYNC_PF_INT
    "mov eax, esi",
    "xor edx, edx",
    "wrmsr",
    "2:",
    "mov ecx, 0x4b564d02", // MSR_KVM_ASYNC_PF_EN
    "mov eax, edi",
    "xor edx, edx",
    "wrmsr",
    "sti",
    "3:",
    "test r9d, r9d",
    "jnz 4f",
    "mov al, [rbx]",
    "jmp 5f",
    "4:",
    "mov al, r8b",
    "mov [rbx], al",
    "5:",
    "out {port}, al",
    "jmp 3b",
    "paravirt_fault:",
    "add rsp, 8",
    "push rax",
    "mov eax, [r15]",
    "mov dword ptr [r15], 0",
    "cmp eax, 1", // KVM_PV_REASON_PAGE_NOT_PRESENT
    "je 6f",
    "cmp eax, 2", // KVM_PV_REASON_PAGE_READY, before v5.8
    "je 7f",
    "9:",
    "out {bad}, al",
    "jmp 9b",
    "6:",
    "inc qword ptr [r15 + {not_present}]",
    "mov dword ptr [r15 + {waiting}], 1",
    "pop rax",
    "mov [r15 + {task}], rsp",
    "mov rsp, [r15 + {other}]",
    "iretq",
    "paravirt_interrupt:",
    "push rax",
    "push rcx",
    "push rdx",
    "mov dword ptr [r15 + 4], 0", // the token: the next may come
    "mov ecx, 0x4b564d07",        // MSR_KVM_ASYNC_PF_ACK
    "mov eax, 1",
    "xor edx, edx",
    "wrmsr",
    "mov eax, 0xfee000b0", // EOI
    "mov dword ptr [rax], 0",
    "pop rdx",
    "pop rcx",
    "7:",
    "pop rax",
    "cmp dword ptr [r15 + {waiting}], 0",
    "je 8f",
    "mov dword ptr [r15 + {waiting}], 0",
    "mov [r15 + {other}], rsp",
    "mov rsp, [r15 + {task}]",
    "8:",
    "iretq",
    "paravirt_other:",
    "inc qword ptr [r15 + {progress}]",
    "jmp paravirt_other",
    "paravirt_end:",
    ".popsection",
    port = const PORT,
    bad = const BAD_PORT,
    progress = const PROGRESS,
    not_present = const NOT_PRESENT,
    waiting = const WAITING,
    task = const TASK,
    other = const OTHER,
);

/// How KVM tells that a page is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// By an interrupt: since v5.8.
    Interrupt,
    /// By a #PF.
    Fault,
}

impl Ready {
    /// What the features that KVM offers (CPUID 0x40000001, EAX) allow; `None` where it has no
    /// async page faults.
    pub(super) fn of(features: u32) -> Option<Self> {
        // KVM_FEATURE_ASYNC_PF_INT, KVM_FEATURE_ASYNC_PF.
        [(14, Self::Interrupt), (4, Self::Fault)]
            .into_iter()
            .find_map(|(bit, ready)| (features >> bit & 1 == 1).then_some(ready))
    }
}

/// What the guest counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Rounds of the other task.
    pub(super) progress: u64,
    /// "Not present" events.
    pub(super) not_present: u64,
}

/// The guest's own pages, as this process sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ram {
    hva: usize,
}

impl Ram {
    /// Writes program and tables to `hva`, where [`RAM_PAGES`] zeroed pages are.
    pub(super) fn fill(hva: usize) -> Self {
        let ram = Self { hva };
        let program = program();
        // SAFETY: the program is shorter than the page that is reserved for it.
        unsafe { std::ptr::copy_nonoverlapping(program.as_ptr(), ram.at(CODE_GPA), program.len()) };
        for (place, value) in tables() {
            ram.put(place, value);
        }
        ram
    }

    fn at(self, gpa: u64) -> *mut u8 {
        (self.hva + (gpa - CODE_GPA) as usize) as *mut u8
    }

    fn put(self, gpa: u64, value: u64) {
        // SAFETY: within the pages, aligned, and nobody's reference.
        unsafe { self.at(gpa).cast::<u64>().write_volatile(value) };
    }

    fn get(self, gpa: u64) -> u64 {
        // SAFETY: within the pages, aligned, and nobody's reference.
        unsafe { self.at(gpa).cast::<u64>().read_volatile() }
    }

    /// What was counted since the last call; the vCPU must not run.
    pub(super) fn take(self) -> Counts {
        let taken = |place| {
            let count = self.get(STATE + place);
            self.put(STATE + place, 0);
            count
        };
        Counts { progress: taken(PROGRESS), not_present: taken(NOT_PRESENT) }
    }
}

fn place(symbol: &u8) -> u64 {
    CODE_GPA + (std::ptr::from_ref(symbol) as u64 - std::ptr::from_ref(start()) as u64)
}

fn start() -> &'static u8 {
    // SAFETY: bytes of this program's read-only data.
    unsafe { &paravirt_start }
}

fn program() -> &'static [u8] {
    // SAFETY: from the first symbol to the last is one section of read-only data.
    unsafe {
        let length = std::ptr::from_ref(&paravirt_end) as usize - std::ptr::from_ref(start()) as usize;
        std::slice::from_raw_parts(start(), length)
    }
}

/// All 8-byte words but the program's that are not 0.
fn tables() -> Vec<(u64, u64)> {
    const TABLE: u64 = 0b11;
    const LARGE: u64 = 0b1000_0011;
    const APIC: u64 = 0xfee0_0000;
    // SAFETY: the addresses of bytes of this program's read-only data.
    let (fault, interrupt, other) = unsafe { (&paravirt_fault, &paravirt_interrupt, &paravirt_other) };
    let [low, high] = DIRECTORIES;
    let mut words = vec![
        (PML4, PDPT | TABLE),
        (PDPT, low | TABLE),
        (PDPT + 3 * 8, high | TABLE),
        (low, LARGE),
        (high + (APIC >> 21 & 0x1ff) * 8, APIC | LARGE),
        (STATE + GDT + 8, 0x00af_9b00_0000_ffff),
        (STATE + GDT + 16, 0x00cf_9300_0000_ffff),
        (STATE + OTHER, STACKS[1] - 40),
    ];
    for (vector, handler) in [(14, fault), (VECTOR, interrupt)] {
        // An interrupt gate: no further interrupt until IRETQ.
        words.push((IDT + vector * 16, place(handler) | 0x8 << 16 | 0x8e00 << 32));
    }
    // The other task begins as if it had been interrupted: RIP, CS, RFLAGS, RSP, SS.
    let frame = [place(other), 0x8, 0x202, STACKS[1], 0x10];
    words.extend((STACKS[1] - 40..).step_by(8).zip(frame));
    words
}

/// Long mode with these tables.
pub(super) fn set_sregs(sregs: &mut kvm_sregs) {
    let code = kvm_segment {
        limit: 0xffff_ffff,
        selector: 0x8,
        type_: 0xb,
        present: 1,
        s: 1,
        l: 1,
        g: 1,
        ..kvm_segment::default()
    };
    let data = kvm_segment { selector: 0x10, type_: 0x3, l: 0, db: 1, ..code };
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    (sregs.gdt.base, sregs.gdt.limit) = (STATE + GDT, 23);
    (sregs.idt.base, sregs.idt.limit) = (IDT, 0xfff);
    // A processor in long mode wants a busy task state segment; no stack of it is used.
    sregs.tr = kvm_segment { limit: 0x67, type_: 0xb, present: 1, ..kvm_segment::default() };
    sregs.cr0 = 1 << 31 | 1 << 5 | 1 << 4 | 1;
    sregs.cr3 = PML4;
    sregs.cr4 = 1 << 5;
    sregs.efer = 1 << 10 | 1 << 8;
}

/// The registers with which the program starts.
pub(super) fn set_regs(regs: &mut kvm_regs, ready: Ready) {
    regs.rip = CODE_GPA;
    regs.rflags = 0x2;
    regs.rsp = STACKS[0];
    regs.r15 = STATE;
    (regs.rdi, regs.rsi) = match ready {
        Ready::Interrupt => (ENABLE | AS_INTERRUPT, VECTOR),
        Ready::Fault => (ENABLE, 0),
    };
}

#[cfg(test)]
mod tests {
    use super::super::guest::PAGE;
    use super::*;

    #[test]
    fn the_program_fits_its_page_and_its_labels_are_in_it() {
        assert!(program().len() > 100 && program().len() < PAGE);
        // SAFETY: as in `tables`.
        for symbol in unsafe { [&paravirt_fault, &paravirt_interrupt, &paravirt_other] } {
            assert!((CODE_GPA..CODE_GPA + program().len() as u64).contains(&place(symbol)));
        }
    }

    #[test]
    fn no_two_tables_share_a_place() {
        let mut places: Vec<u64> = tables().iter().map(|(place, _)| *place).collect();
        let end = CODE_GPA + (RAM_PAGES * PAGE) as u64;
        assert!(places.iter().all(|place| (PML4..end).contains(place) && place % 8 == 0), "{places:x?}");
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), tables().len());
        assert!(end <= super::super::guest::DATA_GPA);
    }

    #[test]
    fn the_newest_way_of_telling_is_taken() {
        assert_eq!(Ready::of(1 << 14 | 1 << 4), Some(Ready::Interrupt));
        assert_eq!(Ready::of(1 << 4), Some(Ready::Fault));
        assert_eq!(Ready::of(1), None);
    }

    #[test]
    fn counts_are_taken_once() {
        let mut pages = vec![[0_u64; PAGE / 8]; RAM_PAGES];
        let ram = Ram::fill(pages.as_mut_ptr() as usize);
        ram.put(STATE + PROGRESS, 7);
        assert_eq!(ram.take(), Counts { progress: 7, ..Counts::default() });
        assert_eq!(ram.take(), Counts::default());
        assert_eq!(ram.get(PML4), PDPT | 3);
    }
}
