// SPDX-License-Identifier: GPL-2.0-only
//! Where a thread runs. A CPU gathers pages that are new, or whose write to swap has
//! ended, before it puts them where reclaim finds them; as long as it does not, they
//! stay in memory, and only reclaim on that very CPU empties the gathering. That is one
//! reason for pages that do not go, not the only one.
//!
//! Who runs a guest stays off the first CPU. QEMU's TCG keeps whether that CPU is in a
//! guest, whether nested paging is on and whether interrupts are let through (GIF) in
//! one word, `hflags2`, and every CPU that loads an FPU status word (FXRSTOR, XRSTOR,
//! FLDENV) rewrites the first one's from its own thread: `cpu_clear_ignne()` of
//! target/i386/tcg/sysemu/fpu_helper.c, in 7.2 and 10.0. When that meets VMRUN or #VMEXIT,
//! the kernel's page tables are read as the guest's (a second #VMEXIT, with the kernel's
//! RIP and RAX in the guest's registers), the guest's addresses as the kernel's (it
//! executes whatever is there), or CPU 0 takes no interrupt any more. A CPU that runs no
//! guest has nothing in that word to lose. Seen with v3.17, which loads the FPU's state
//! most: in one of two stresses of four minutes.
//!
//! A guest that is never at rest must leave its CPU to whoever wants it, at once, or a probe
//! waits for the CPU and seems to wait for a lock.
//!
//! Owns: where the calling thread runs, and before whom. Must not: know what it does there.

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Keeps the calling thread on the CPU that it is on.
pub(crate) fn stay_here() -> anyhow::Result<()> {
    go_to(sched_getcpu().context("getcpu")?)
}

/// Keeps the calling thread, which runs a guest, off the first CPU where there are more.
pub(crate) fn off_the_first() -> anyhow::Result<()> {
    let mut there = sched_getaffinity(SELF).context("sched_getaffinity")?;
    there.unset(0).context("CPU 0")?;
    if (0..CpuSet::count()).any(|cpu| there.is_set(cpu).unwrap_or(false)) {
        sched_setaffinity(SELF, &there).context("sched_setaffinity to all CPUs but the first")?;
    }
    Ok(())
}

/// Lets every other thread go before the calling one (SCHED_IDLE).
pub(crate) fn last_of_all() -> anyhow::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter lives during the call. musl's wrapper only says ENOSYS.
    let done = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const parameter) };
    nix::errno::Errno::result(done).map(drop).context("sched_setscheduler(SCHED_IDLE)")
}

fn go_to(cpu: usize) -> anyhow::Result<()> {
    let mut there = CpuSet::new();
    there.set(cpu).with_context(|| format!("CPU {cpu}"))?;
    sched_setaffinity(SELF, &there).with_context(|| format!("sched_setaffinity to CPU {cpu}"))
}

/// The calling thread goes round all of its CPUs; dropped, it may run anywhere again.
pub(crate) struct Tour {
    all: CpuSet,
    next: usize,
}

impl Tour {
    /// Goes nowhere yet.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        Ok(Self { all: sched_getaffinity(SELF).context("sched_getaffinity")?, next: 0 })
    }

    /// Moves to the next CPU, after the last to the first.
    pub(crate) fn go_on(&mut self) -> anyhow::Result<()> {
        let cpus = (self.next..CpuSet::count()).chain(0..self.next);
        let Some(cpu) = cpus.into_iter().find(|cpu| self.all.is_set(*cpu).unwrap_or(false)) else { return Ok(()) };
        self.next = cpu + 1;
        go_to(cpu)
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(SELF, &self.all) {
            eprintln!("selftests: sched_setaffinity: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_a_guest_is_off_the_first_cpu() {
        let check = || {
            let before = sched_getaffinity(SELF).unwrap();
            off_the_first().unwrap();
            let after = sched_getaffinity(SELF).unwrap();
            let alone = (1..CpuSet::count()).all(|cpu| !before.is_set(cpu).unwrap());
            assert_eq!(after.is_set(0).unwrap(), alone && before.is_set(0).unwrap());
            assert!((1..CpuSet::count()).all(|cpu| after.is_set(cpu).unwrap() == before.is_set(cpu).unwrap()));
        };
        std::thread::spawn(check).join().unwrap();
    }

    #[test]
    fn a_tour_visits_all_cpus_and_ends_where_it_may_be_anywhere() {
        // In a thread of its own: the others of the test keep their CPUs.
        let check = || {
            let before = sched_getaffinity(SELF).unwrap();
            let mut tour = Tour::begin().unwrap();
            let all: Vec<usize> = (0..CpuSet::count()).filter(|cpu| before.is_set(*cpu).unwrap()).collect();
            for cpu in all.iter().chain(&all) {
                tour.go_on().unwrap();
                assert_eq!(sched_getcpu().unwrap(), *cpu);
            }
            drop(tour);
            assert_eq!(sched_getaffinity(SELF).unwrap(), before);
        };
        std::thread::spawn(check).join().unwrap();
    }
}
