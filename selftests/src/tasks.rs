// SPDX-License-Identifier: GPL-2.0-only
//! What `/proc` says about a task: its state and where in the kernel it waits.
//!
//! Owns: reading and parsing `stat` and `stack`. Must not: judge
//! a stack. Reading either takes no mmap lock.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The state letter in the text of a `stat` file.
pub(crate) fn parse_state(stat: &str) -> Option<char> {
    // The name, in parentheses, may itself have parentheses and spaces.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The symbols in the text of a `stack` file, innermost first.
///
/// Offsets go, and so do the suffixes of the compiler's clones, since they
/// change with each build.
pub(crate) fn parse_stack(stack: &str) -> Vec<String> {
    stack.lines().filter_map(symbol).map(str::to_owned).collect()
}

fn symbol(line: &str) -> Option<&str> {
    let name = line.split_once("] ")?.1.split(['+', ' ']).next()?;
    let name = name.split('.').next()?;
    // The last line of an old kernel's stack is a bare address.
    (!name.is_empty() && !name.starts_with("0x")).then_some(name)
}

/// The state of the task whose directory is `dir`; `None` if it is gone.
pub(crate) fn state(dir: &Path) -> Option<char> {
    parse_state(&fs::read_to_string(dir.join("stat")).ok()?)
}

/// The major faults of the task alone whose directory is `dir`, as its `stat` counts them.
pub(crate) fn major_faults(dir: &Path) -> anyhow::Result<u64> {
    let path = dir.join("stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    parse_major_faults(&stat).with_context(|| format!("{} says {stat:?}", path.display()))
}

/// `maj_flt`, ten fields after the state.
fn parse_major_faults(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(9)?.parse().ok()
}

/// The kernel stack of the task whose directory is `dir`; empty if it runs, is
/// gone, or may not be looked at.
pub(crate) fn stack(dir: &Path) -> Vec<String> {
    parse_stack(&fs::read_to_string(dir.join("stack")).unwrap_or_default())
}

/// The directories of all kworkers.
pub(crate) fn kworkers() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|dir| dir.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit()))
        .filter(|dir| fs::read_to_string(dir.join("comm")).is_ok_and(|comm| comm.starts_with("kworker/")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_the_last_parenthesis() {
        assert_eq!(parse_state("12 (a) S b) D 1 12 12"), Some('D'));
        assert_eq!(parse_state(""), None);
    }

    #[test]
    fn major_faults_are_the_twelfth_field() {
        assert_eq!(parse_major_faults("12 (a) S b) D 1 12 12 0 -1 64 31 0 7 0 4 5"), Some(7));
        assert_eq!(parse_major_faults("12 (a) D 1"), None);
    }

    #[test]
    fn stacks_of_old_and_new_kernels_become_symbols() {
        let new = "[<0>] swap_readpage+0x15a/0x260\n[<0>] read_swap_cache_async.part.0+0x5c/0x90\n";
        assert_eq!(parse_stack(new), ["swap_readpage", "read_swap_cache_async"]);
        let old = "[<ffffffff81100a31>] rwsem_down_write_failed+0x1/0x2\n[<ffffffffffffffff>] 0xffffffffffffffff\n";
        assert_eq!(parse_stack(old), ["rwsem_down_write_failed"]);
        assert!(parse_stack("").is_empty());
    }
}
