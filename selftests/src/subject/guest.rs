// SPDX-License-Identifier: GPL-2.0-only
//! The guest: a few bytes of real-mode code, and what its memory holds. The one that takes
//! async page faults itself has its program in `paravirt`.
//!
//! Owns: the guest's address map, its code, the pattern of its pages. Must not:
//! make a system call.

use anyhow::Context;

/// Pages of guest memory that are swapped out: the one that is touched, and
/// around it what the largest readahead window brings in. Each page more costs
/// every trial a write, a read and a comparison.
pub(crate) const PAGES: usize = 16;
/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
/// Where the code lies in the guest.
pub(super) const CODE_GPA: u64 = 0x1000;
/// Where the data lies: below 1 MiB, so that even a VMX without unrestricted
/// guests can address it as a real-mode segment.
pub(super) const DATA_GPA: u64 = 0x2_0000;
/// The port on which the guest says that an access is done.
pub(super) const PORT: u16 = 0x10;

/// `again: mov al,[bx]; out PORT,al; jmp again`
const READ: [u8; 6] = [0x8a, 0x07, 0xe6, 0x10, 0xeb, 0xfa];
/// `again: mov [bx],al; out PORT,al; jmp again`
const WRITE: [u8; 6] = [0x88, 0x07, 0xe6, 0x10, 0xeb, 0xfa];

/// The guest that a process to probe has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Guest {
    /// None: its own threads, or other processes, access its memory.
    Without = 0,
    /// One on a machine without an irqchip in the kernel: its vCPU waits itself.
    Sync = 1,
    /// One on a machine with such an irqchip, and interrupts on, as an async page fault
    /// needs.
    Async = 2,
    /// One in long mode that has enabled async page faults and does something else
    /// meanwhile.
    Paravirt = 3,
}

impl Guest {
    /// Needs it an irqchip in the kernel?
    pub(super) fn has_irqchip(self) -> bool {
        matches!(self, Self::Async | Self::Paravirt)
    }
}

/// How the machine is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Which one.
    pub(crate) guest: Guest,
    /// The guest stores rather than loads.
    pub(crate) write: bool,
}

impl Setup {
    /// For the message to the probed process.
    pub(crate) fn to_args(self) -> [u64; 2] {
        [self.guest as u64, u64::from(self.write)]
    }

    pub(super) fn from_args(args: &[u64]) -> anyhow::Result<Self> {
        let all = [Guest::Without, Guest::Sync, Guest::Async, Guest::Paravirt];
        let guest = all.into_iter().find(|guest| *guest as u64 == args[0]);
        let guest = guest.with_context(|| format!("no guest is {}", args[0]))?;
        Ok(Self { guest, write: args[1] != 0 })
    }

    /// The program of a guest in real mode.
    pub(super) fn code(self) -> [u8; 6] {
        if self.write { WRITE } else { READ }
    }

    /// RFLAGS: bit 1 is always set; a vCPU with IF = 0 never takes an async page fault.
    pub(super) fn rflags(self) -> u64 {
        if self.guest == Guest::Async { 0x202 } else { 0x2 }
    }
}

/// The `index`-th 8 bytes of page `page` in the pattern of `seed`: different in
/// every trial, page and place, so that a page in the wrong place is seen.
pub(super) fn word(seed: u64, page: u64, index: u64) -> u64 {
    (seed ^ page << 32 ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The byte that the guest loads from the start of `page`.
pub(crate) fn value_at(seed: u64, page: u64) -> u64 {
    word(seed, page, 0) & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_trials_differ() {
        assert_ne!(word(1, 0, 0), word(2, 0, 0));
        assert_ne!(word(1, 0, 0), word(1, 1, 0));
        assert_ne!(word(1, 0, 0), word(1, 0, 1));
    }

    #[test]
    fn the_jump_goes_back_to_the_start() {
        for code in [READ, WRITE] {
            let target = code.len().wrapping_add_signed(isize::from(code[5].cast_signed()));
            assert_eq!(target, 0);
            assert_eq!(u16::from(code[3]), PORT);
        }
    }

    #[test]
    fn data_and_code_are_apart() {
        assert!(CODE_GPA + PAGE as u64 <= DATA_GPA);
        assert!(DATA_GPA + (PAGES * PAGE) as u64 <= 0xa_0000, "below the legacy video memory");
    }

    #[test]
    fn a_setup_travels() {
        let setup = Setup { guest: Guest::Async, write: false };
        let [first, second] = setup.to_args();
        assert_eq!(Setup::from_args(&[first, second]).unwrap(), setup);
        assert!(Setup::from_args(&[4, 0]).is_err());
        assert_eq!(setup.rflags() & 0x200, 0x200);
    }
}
