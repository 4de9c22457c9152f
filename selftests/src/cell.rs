// SPDX-License-Identifier: GPL-2.0-only
//! Cells: the measured situations, their names, and the catalogue of all of them.
//!
//! Owns: the vocabulary `backing.path.access`, the probes, and which
//! combinations exist. Must not: know how a cell is measured, or what a kernel
//! is expected to show in it (that is a target's `target.toml`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What holds the guest page whose fault waits for IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backing {
    /// Private anonymous memory, swapped out (`do_swap_page()`).
    Anon,
    /// A memfd, swapped out (`shmem_swapin_folio()`, before v5.17 `shmem_swapin_page()`).
    Shmem,
    /// A memfd that is wanted back while it is still being written to swap: the
    /// *write* is withheld.
    ShmemWriteback,
    /// Private anonymous memory, swapped out to a zram device that has written it back to
    /// the device with the withheld replies (`read_from_bdev_async()`, since v4.14).
    ZramWriteback,
    /// Private anonymous memory with pages that were never there: a thread of the process is
    /// asked for them by userfaultfd, since v4.3 (`handle_userfault()`), and withholds them.
    Uffd,
    /// A shared mapping of a block device, with read-around (`filemap_fault()`).
    File,
    /// The same under `MADV_RANDOM`: nothing is read ahead.
    FileRandom,
    /// A private mapping of the block device (`do_read_fault()`, and for a store
    /// `do_cow_fault()`), with read-around.
    PrivateFile,
}

impl Backing {
    /// All of them.
    const ALL: [Self; 8] = [
        Self::Anon,
        Self::Shmem,
        Self::ShmemWriteback,
        Self::ZramWriteback,
        Self::Uffd,
        Self::File,
        Self::FileRandom,
        Self::PrivateFile,
    ];

    /// The readahead windows that make a difference.
    fn windows(self) -> &'static [u32] {
        match self {
            Self::Anon | Self::Shmem => &[1, 8],
            // Of a write nothing is read ahead, nor of what another thread has.
            Self::ShmemWriteback | Self::Uffd | Self::FileRandom => &[1],
            // Swap that is taken for synchronous is not read ahead, whatever the window; with
            // one page the other is as `Anon`.
            Self::ZramWriteback | Self::File | Self::PrivateFile => &[8],
        }
    }

    /// The ways in which a page of it is waited for that differ from each other.
    fn paths(self) -> &'static [Path] {
        use Path::{ApfGuest, ApfHalt, Odirect, ProcessVm, Sync, User};
        match self {
            Self::Anon | Self::Shmem => &[Sync, ApfHalt, ApfGuest, User, ProcessVm, Odirect],
            // Below GUP its fault is the vCPU's; only an ordinary one has another lock.
            Self::ShmemWriteback | Self::PrivateFile => &[Sync, ApfHalt, User],
            // O_DIRECT to a mapping of the very device that is withheld would wait twice. For the
            // other two it is `ProcessVm` once more: GUP that may drop the lock, and no other lock.
            Self::ZramWriteback | Self::Uffd | Self::File | Self::FileRandom => &[Sync, ApfHalt, User, ProcessVm],
        }
    }
}

/// The way by which the page is waited for: by KVM, or by another user of the same
/// fault handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// The vCPU thread waits itself: no in-kernel irqchip, so no async page fault.
    Sync,
    /// A kworker waits (`async_pf_execute()`), the vCPU halts: irqchip and
    /// RFLAGS.IF = 1, but a guest that knows nothing of async page faults.
    ApfHalt,
    /// A kworker waits, and the guest, which has enabled async page faults, is told and runs
    /// another task meanwhile.
    ApfGuest,
    /// An ordinary page fault of a thread of the process, without KVM: the reference.
    /// Since v6.4 it is tried under the lock of the VMA alone.
    User,
    /// Another process's `process_vm_readv()` or `process_vm_writev()`.
    ProcessVm,
    /// A transfer with O_DIRECT from another disk to the page, or from the page to it:
    /// the slow path of `get_user_pages_fast()`.
    Odirect,
}

impl Path {
    /// May a kworker wait in place of the vCPU?
    #[must_use]
    pub fn is_async(self) -> bool {
        matches!(self, Self::ApfHalt | Self::ApfGuest)
    }

    /// Does a guest make the access?
    #[must_use]
    pub fn has_guest(self) -> bool {
        matches!(self, Self::Sync | Self::ApfHalt | Self::ApfGuest)
    }
}

/// What the access does to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Loads one byte.
    Read,
    /// Stores one byte.
    Write,
}

/// A situation whose answer is known on every kernel; a boot that does not see
/// both as they must be proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// `/proc/PID/mem` read of a swapped-out page of the probed process:
    /// `__access_remote_vm()` passes `locked == NULL` and so holds the lock by design.
    Held,
    /// The same withheld IO on the same device, without any fault.
    Released,
}

/// The situation, without the readahead window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Situation {
    /// An access that faults.
    Fault(Backing, Path, Access),
    /// A control.
    Control(Control),
}

/// One measured situation with its readahead window, e.g. `anon.sync.read@1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cell {
    /// The situation.
    pub situation: Situation,
    /// Pages that readahead may bring in at most: 1 or 8; of swap (`page-cluster` 0
    /// or 3), or of the file.
    pub window: u32,
}

/// Who else wants the mmap lock while the IO is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// `mmap` + `munmap` of an unrelated VMA by another thread of the same process.
    Writer,
    /// A read of `/proc/PID/maps` from another process, started behind the writer.
    Reader,
    /// `mprotect` of a page of the guest memory's own VMA by another thread. Since v6.4 a
    /// fault may hold the lock of its VMA alone, and only this writer waits for it.
    WriterSameVma,
    /// `mmap` + `munmap` as the first writer's, by one more thread, started behind the
    /// one of the same VMA: that one has the mmap lock while it waits for the VMA's.
    Bystander,
}

impl Probe {
    /// All probes, in the order in which a trial starts them.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Reader, Self::WriterSameVma, Self::Bystander];

    /// What plans had that did not name their probes.
    #[must_use]
    pub fn first_two() -> Vec<Self> {
        vec![Self::Writer, Self::Reader]
    }
}

/// Every cell there is: the controls first, since nothing counts without them.
#[must_use]
pub fn catalogue() -> Vec<Cell> {
    let controls =
        [Control::Held, Control::Released].map(|control| Cell { situation: Situation::Control(control), window: 1 });
    let mut cells = controls.to_vec();
    for backing in Backing::ALL {
        for &path in backing.paths() {
            for access in [Access::Read, Access::Write] {
                for &window in backing.windows() {
                    cells.push(Cell { situation: Situation::Fault(backing, path, access), window });
                }
            }
        }
    }
    cells
}

impl Cell {
    /// The name without the window, as in results: `anon.sync.read`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.situation {
            Situation::Fault(backing, path, access) => {
                format!("{}.{}.{}", word(&backing), word(&path), word(&access))
            }
            Situation::Control(control) => format!("control.{}", word(&control)),
        }
    }

    /// Is this one of the two controls?
    #[must_use]
    pub fn is_control(&self) -> bool {
        matches!(self.situation, Situation::Control(_))
    }
}

/// The serde name of a unit variant: one spelling for JSON, names and messages.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name(), self.window)
    }
}

impl From<Cell> for String {
    fn from(cell: Cell) -> Self {
        cell.to_string()
    }
}

/// The text is the name of no cell of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCell(pub String);

impl fmt::Display for UnknownCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no cell is named {:?}; `selftests --list` names them all", self.0)
    }
}

impl std::error::Error for UnknownCell {}

impl FromStr for Cell {
    type Err = UnknownCell;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        catalogue().into_iter().find(|cell| cell.to_string() == text).ok_or_else(|| UnknownCell(text.to_owned()))
    }
}

impl TryFrom<String> for Cell {
    type Error = UnknownCell;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_parses_back() {
        for cell in catalogue() {
            assert_eq!(cell.to_string().parse(), Ok(cell));
        }
    }

    #[test]
    fn names_are_the_documented_ones() {
        let names: Vec<_> = catalogue().iter().map(ToString::to_string).collect();
        assert!(names.contains(&"control.held@1".to_owned()));
        assert!(names.contains(&"anon.sync.read@1".to_owned()));
        assert!(names.contains(&"shmem.apf-halt.write@8".to_owned()));
        assert!(names.contains(&"file-random.sync.read@1".to_owned()));
        assert!(names.contains(&"zram-writeback.sync.read@8".to_owned()));
        assert!(names.contains(&"uffd.process-vm.write@1".to_owned()));
        assert_eq!(names.len(), 94);
    }

    #[test]
    fn a_foreign_name_is_refused() {
        assert!("anon.sync.read@2".parse::<Cell>().is_err());
        assert!("".parse::<Cell>().is_err());
    }
}
