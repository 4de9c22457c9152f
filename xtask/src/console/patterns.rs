// SPDX-License-Identifier: GPL-2.0-only
//! The table of console lines that mean trouble: data, no code.
//!
//! Owns: class, severity and wording of every detector, with the reason for it.
//! The wordings are those of the kernel's own sources, from v3.17 to v7.3; where
//! they changed, one row has both. Must not: know how lines are read.
//!
//! The first row that fits wins, so the specific stand before the general. A row
//! is matched against the message without its time stamp, anywhere in the line
//! unless it says `^`: two writers share a console, and the head of a panic may
//! stand behind half a line of PID 1. `\b` keeps `ODEBUG:` from being a `BUG:`.

/// What a line says of the rest of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth a mention beside a result; says nothing against it.
    Note,
    /// The kernel goes on, but what it shows no longer counts.
    Taints,
    /// The kernel does not go on.
    Ends,
}

/// One detector.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// Name of the kind of trouble; several rows may share it.
    pub class: &'static str,
    /// What it means for the boot.
    pub severity: Severity,
    /// Regular expression on bytes.
    pub regex: &'static str,
    /// Why the row is there, and where the kernel says it.
    pub why: &'static str,
}

use Severity::{Ends, Note, Taints};

const fn row(class: &'static str, severity: Severity, regex: &'static str, why: &'static str) -> Pattern {
    Pattern { class, severity, regex, why }
}

/// Messages in which the words of a pattern are quoted and mean nothing.
pub const IGNORED: [(&str, &str); 3] = [
    (r"^(?:Kernel c|C)ommand line: ", "the kernel repeats its parameters, whatever is in them"),
    (r"^Unknown kernel command line parameters", "the same, for those that nobody took"),
    (
        r"^block nbd\d+: (?:NBD_DISCONNECT|Disconnected due to user request|shutting down sockets)",
        "the test takes its device away when it is done",
    ),
];

/// Every detector, specific before general.
pub const PATTERNS: &[Pattern] = &[
    // The end.
    row("init-died", Ends, r"Attempted to kill init!", "kernel/exit.c: PID 1 is ours, and it must not end"),
    row(
        "no-init",
        Ends,
        r"Unable to mount root fs|No working init found|Requested init .+ failed",
        "init/do_mounts.c, init/main.c: our initramfs was not taken",
    ),
    row("no-init", Ends, r"Failed to execute /init \(error", "init/main.c: /init is there and cannot run"),
    row(
        "initramfs",
        Ends,
        r"rootfs image is not initramfs|Initramfs unpacking failed|^junk (?:within|in the end of) compressed archive",
        "init/initramfs.c: a broken archive; the kernel goes on to a misleading panic",
    ),
    row("oom-panic", Ends, r"Kernel panic - not syncing: .*[Oo]ut of memory", "mm/oom_kill.c: the guest is too small"),
    row("panic", Ends, r"Kernel panic - not syncing", "kernel/panic.c"),
    row("panic", Ends, r"Fixing recursive fault but reboot is needed", "kernel/exit.c: an oops within an oops"),
    // Sanitizers, before the plain BUG whose head they share.
    row("kasan", Taints, r"\bBUG: KASAN: ", "mm/kasan/report.c"),
    row("kmsan", Taints, r"\bBUG: KMSAN: ", "mm/kmsan/report.c"),
    row("kfence", Taints, r"\bBUG: KFENCE: ", "mm/kfence/report.c"),
    row("kcsan", Taints, r"\bBUG: KCSAN: ", "kernel/kcsan/report.c"),
    row("ubsan", Taints, r"\bUBSAN: ", "lib/ubsan.c"),
    // Oops.
    row("bug", Ends, r"\bkernel BUG at ", "BUG() and BUG_ON()"),
    row(
        "oops",
        Ends,
        r"\bBUG: (?:kernel NULL pointer dereference|unable to handle )",
        "arch/x86/mm/fault.c; v5.0 and older say `unable to handle kernel …`",
    ),
    row("oops", Ends, r"\bPANIC: (?:double fault|early exception)", "arch/x86: no stack, or no handler yet"),
    row("oops", Ends, r"\bBUG: .*stack guard page was hit", "arch/x86/kernel/traps.c: kernel stack overflow"),
    row("oops", Ends, r"\bOops: ", "arch/x86/kernel/dumpstack.c: the head of every die()"),
    row(
        "oops",
        Ends,
        r"(?:general protection fault|invalid opcode|divide error|stack segment|int3|alignment check).*\[#\d+\]",
        "die() of v6.9 and older has no `Oops:` for traps; the counter tells it from a user's fault",
    ),
    // Time.
    row("soft-lockup", Taints, r"\bBUG: soft lockup - CPU#", "kernel/watchdog.c"),
    row("hard-lockup", Taints, r"\bhard LOCKUP\b", "kernel/watchdog.c, kernel/watchdog_hld.c"),
    row("workqueue-lockup", Taints, r"\bBUG: workqueue lockup", "kernel/workqueue.c: async page faults run there"),
    row(
        "hung-task",
        Taints,
        r"INFO: task .+ blocked(?: in I/O wait)? for more than \d+ seconds",
        "kernel/hung_task.c: a wakeup was lost, or a lock is not let go",
    ),
    row(
        "rcu-stall",
        Taints,
        r"INFO: \w+ (?:self-)?detected (?:expedited )?stalls?\b|\brcu_\w+ kthread starved for ",
        "kernel/rcu/tree_stall.h, tree_exp.h, tasks.h",
    ),
    // Context and locks.
    row(
        "atomic",
        Taints,
        r"\bBUG: (?:scheduling (?:while atomic|in a non-blocking)|sleeping function called|assuming |using .+ in preemptible)",
        "kernel/sched/core.c, lib/smp_processor_id.c: the wrong place to wait",
    ),
    row(
        "lockdep",
        Taints,
        r"(?:WARNING|\[ (?:INFO|BUG)): (?:possible (?:circular|recursive|irq|reason)|inconsistent |bad (?:unlock|contention)|held lock freed|Nested lock was not taken|suspicious RCU usage|chain_key|lock held when returning|.+ still has locks held|\S+-safe -> \S+-unsafe )",
        "kernel/locking/lockdep.c; before v4.13 as `[ INFO: … ]`",
    ),
    row(
        "lockdep",
        Taints,
        r"\bBUG: (?:MAX_\w+ too low|key .+ has not been registered|looking up invalid subclass)|INFO: trying to register non-static key",
        "kernel/locking/lockdep.c gave up: from here on it proves nothing",
    ),
    row("lockdep", Taints, r"\bDEBUG_LOCKS_WARN_ON\(", "kernel/locking: a lock's own state is wrong"),
    row("spinlock", Taints, r"\bBUG: (?:spin|rw)lock .+ on CPU#", "kernel/locking/spinlock_debug.c"),
    // Memory.
    row(
        "bad-page",
        Taints,
        r"\bBUG: (?:Bad (?:page|rss-counter) |non-zero (?:pgtables_bytes|nr_ptes|nr_pmds))",
        "mm/page_alloc.c, mm/memory.c, kernel/fork.c: page or rss accounting is wrong",
    ),
    row(
        "bad-swap",
        Taints,
        r"\b(?:Bad swap (?:file entry|offset entry)|Unused swap (?:file|offset) entry|Bad swap offset entry|unrecognized swap entry)",
        "mm/swapfile.c: a patch that drops the lock can lose a swap reference",
    ),
    row("list", Taints, r"\b(?:list_(?:add|del)|prev|next) corruption\b|\blist_(?:add|del) double", "lib/list_debug.c"),
    row("refcount", Taints, r"\brefcount_t: ", "lib/refcount.c"),
    row("slab", Taints, r"^BUG \S+ \(.+\): ", "mm/slub.c: object overwritten or freed twice"),
    // The general heads.
    row(
        "warning",
        Taints,
        r"\bWARNING: (?:CPU: \d+ PID: \d+ at |\S+:\d+ at |at )",
        "kernel/panic.c: WARN(); the wording changed in v3.13 and v6.18",
    ),
    row("bug", Taints, r"\bBUG: ", "any other; a kernel that reports a bug of its own is no witness"),
    row("hardware", Taints, r"\[Hardware Error\]|Machine check events logged", "the emulator, not the kernel"),
    // Notes.
    row("memcg-oom", Note, r"Memory cgroup out of memory", "mm/oom_kill.c: the test's own cgroup was too small"),
    row(
        "oom",
        Note,
        r"\bOut of memory(?:: Kill| and no killable)|\binvoked oom-killer: ",
        "mm/oom_kill.c: whoever was killed will be missed in the frames",
    ),
    row("page-alloc", Note, r"\bpage allocation (?:failure|stall)", "mm/page_alloc.c: memory is short, callers cope"),
    row("vm-fault", Note, r"VM_FAULT_OOM leaked out", "mm/oom_kill.c, pagefault_out_of_memory(): a fault was retried"),
    row(
        "user-fault",
        Note,
        r"\[\d+\]:? (?:segfault at |general protection(?: fault)? ip:|trap \w+)",
        "arch/x86: a test process crashed; its frame says so too",
    ),
    row("swap-io", Note, r"\b(?:Read|Write)-error on swap-device", "mm/page_io.c: the test's device refused"),
    row(
        "block",
        Note,
        r"\bI/O error[,:]? (?:on )?dev |\bblock nbd\d+: |\bnbd\d*: .*(?:fail|error|timed out)",
        "block/blk-core.c, drivers/block/nbd.c: the test's device went away or refused",
    ),
    row(
        "kvm",
        Note,
        r"\bkvm(?: \[\d+\]|_amd|_intel)?: .*(?:unhandled|unimplemented|unexpected|failed)",
        "virt/kvm, arch/x86/kvm",
    ),
    row(
        "clock",
        Note,
        r"Marking (?:clocksource .+|TSC) (?:as )?unstable|timekeeping watchdog on CPU",
        "the guest's clock stumbled; the durations of this boot are doubtful",
    ),
    row("lockdep-off", Note, r"INFO: lockdep is turned off", "follows its first report: the next defect stays unseen"),
    row("nmi", Note, r"NMI received for unknown reason|NMI: (?:IOCK|PCI system) error", "arch/x86/kernel/nmi.c"),
];
