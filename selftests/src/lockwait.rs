// SPDX-License-Identifier: GPL-2.0-only
//! Does a stack show a task that waits for the mmap lock, or for a VMA's?
//!
//! Owns: the tables of symbols, for both ends. Must not: know trials.
//!
//! `/proc/PID/stack` leaves out all of `.sched.text`
//! (`stack_trace_consume_entry_nosched()`), where the slow paths of an rwsem and
//! `down_write()` itself are: on most kernels the innermost symbol that can be
//! seen is the function that called for the lock.

/// Symbols that mean a wait for a lock wherever they are in the stack.
const ANYWHERE: [&str; 23] = [
    "rwsem_down_read_slowpath",
    "rwsem_down_write_slowpath",
    "rwsem_down_read_failed",
    "rwsem_down_write_failed",
    "rwsem_down_write_failed_killable",
    // Assembly before 5.2, not in .sched.text.
    "call_rwsem_down_read_failed",
    "call_rwsem_down_write_failed",
    "call_rwsem_down_write_failed_killable",
    "down_read",
    "down_read_killable",
    "down_write",
    "down_write_killable",
    "__down_read",
    "__down_read_killable",
    "__down_read_common",
    "__down_write",
    "__down_write_common",
    "__down_write_killable",
    // Per-VMA locks (since 6.4): a writer that has the mmap lock waits for the readers of a VMA.
    "__vma_start_write",
    "__vma_start_exclude_readers",
    "__vma_enter_locked",
    "vma_start_write",
    "vma_mark_detached",
];

/// Functions that take the mmap lock themselves, with the call that led there. As
/// the innermost visible symbol of a sleeping task they mean the lock: nothing
/// else that they call without a frame of its own sleeps.
const INNERMOST: [(&str, &str); 19] = [
    ("vm_mmap_pgoff", "mmap(2)"),
    ("__vm_munmap", "munmap(2)"),
    ("vm_munmap", "munmap(2) before 4.20"),
    ("__x64_sys_munmap", "munmap(2) where __vm_munmap() is inlined"),
    ("__se_sys_munmap", "munmap(2) where __vm_munmap() is inlined"),
    ("__do_sys_munmap", "munmap(2) where __vm_munmap() is inlined"),
    ("do_mprotect_pkey", "mprotect(2)"),
    ("__x64_sys_mprotect", "mprotect(2) where do_mprotect_pkey() is inlined"),
    ("__se_sys_mprotect", "mprotect(2) where do_mprotect_pkey() is inlined"),
    ("__do_sys_mprotect", "mprotect(2) where do_mprotect_pkey() is inlined"),
    ("do_madvise", "madvise(2)"),
    ("madvise_lock", "madvise(2) since 6.15"),
    ("m_start", "read(2) of /proc/PID/maps"),
    ("m_next", "read(2) of /proc/PID/maps that falls back from per-VMA locks"),
    ("proc_get_vma", "read(2) of /proc/PID/maps that falls back from per-VMA locks"),
    ("mmap_read_lock", "where it is not inlined"),
    ("mmap_read_lock_killable", "where it is not inlined"),
    ("mmap_write_lock", "where it is not inlined"),
    ("mmap_write_lock_killable", "where it is not inlined"),
];

/// `stack` is innermost first, symbols only; the suffix of a compiler's clone,
/// as in `m_start.isra.0`, does not count. An empty stack shows nothing.
#[must_use]
pub fn shows_lock_wait(stack: &[String]) -> bool {
    let bare = |symbol: &'_ str| symbol.split('.').next().unwrap_or_default().to_owned();
    stack.iter().any(|symbol| ANYWHERE.contains(&bare(symbol).as_str()))
        || stack.first().is_some_and(|symbol| INNERMOST.iter().any(|(name, _)| *name == bare(symbol)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(symbols: &[&str]) -> Vec<String> {
        symbols.iter().map(|symbol| (*symbol).to_owned()).collect()
    }

    #[test]
    fn the_caller_counts_only_as_the_innermost() {
        assert!(shows_lock_wait(&stack(&["vm_mmap_pgoff", "ksys_mmap_pgoff", "do_syscall_64"])));
        assert!(!shows_lock_wait(&stack(&["folio_wait_bit_common", "do_mmap", "vm_mmap_pgoff"])));
        assert!(shows_lock_wait(&stack(&["m_start.isra.0", "seq_read_iter"])));
        // 5.10 with KASAN and lockdep, of which __down_read_killable() is not inlined.
        assert!(shows_lock_wait(&stack(&["__down_read_killable", "m_start", "seq_read_iter"])));
    }

    #[test]
    fn a_lock_symbol_counts_anywhere() {
        assert!(shows_lock_wait(&stack(&["schedule", "rwsem_down_write_slowpath", "down_write_killable"])));
        assert!(shows_lock_wait(&stack(&["__vma_start_write.isra.0", "mprotect_fixup"])));
    }

    #[test]
    fn the_slow_paths_of_3_17_are_known() {
        assert!(shows_lock_wait(&stack(&["call_rwsem_down_write_failed", "SyS_mmap_pgoff", "SyS_mmap"])));
        assert!(shows_lock_wait(&stack(&["call_rwsem_down_read_failed", "seq_read", "vfs_read"])));
        assert!(!shows_lock_wait(&stack(&["__lock_page", "__lock_page_or_retry", "handle_mm_fault"])));
    }

    #[test]
    fn another_wait_is_none() {
        assert!(!shows_lock_wait(&stack(&["unix_stream_read_generic", "vfs_read"])));
        assert!(!shows_lock_wait(&[]));
    }
}
