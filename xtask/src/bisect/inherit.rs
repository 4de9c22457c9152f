// SPDX-License-Identifier: GPL-2.0-only
//! When an item is the same kernel as one that was tested.
//!
//! Owns: two proofs. Before a build: nothing that the tested one's build has read
//! differs. After it: all that is loaded at boot is equal. In doubt it is another
//! kernel, and a test costs seconds. Must not: build, or decide what an answer is.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use git2::{Delta, Oid, Repository};
use object::{Object, ObjectSection, SectionFlags};
use sha2::{Digest, Sha256};

/// Source files, below the source folder, that a build has read: those that kbuild
/// noted beside each target. What earlier builds in the same folder read is among
/// them, which can only make a difference where there is none.
///
/// # Errors
/// The build folder cannot be read.
pub fn read_by(build: &Path, src: &Path) -> anyhow::Result<BTreeSet<String>> {
    let prefix = format!("{}/", src.display());
    let mut files = BTreeSet::new();
    for entry in walkdir::WalkDir::new(build) {
        let entry = entry.with_context(|| format!("cannot read {}", build.display()))?;
        let name = entry.file_name().to_string_lossy();
        let noted = name.starts_with('.') && (name.ends_with(".cmd") || name.ends_with(".d"));
        if !entry.file_type().is_file() || !noted {
            continue;
        }
        let text = std::fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.extend(named_in(&String::from_utf8_lossy(&text), &prefix));
    }
    Ok(files)
}

/// Paths below `prefix` among the words of a note.
fn named_in(text: &str, prefix: &str) -> Vec<String> {
    let words = text.split(|char: char| char.is_ascii_whitespace() || matches!(char, '(' | ')' | ';' | '"' | '\''));
    words.filter_map(|word| word.strip_prefix(prefix)).map(normal).collect()
}

/// Without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The first file that may make a difference between two trees, of which the first
/// was built and its build has read `compiled`; `None` if there is none.
///
/// # Errors
/// A tree cannot be read.
pub fn difference(
    repo: &Repository,
    built: Oid,
    other: Oid,
    compiled: &BTreeSet<String>,
) -> anyhow::Result<Option<String>> {
    let tree = |commit: Oid| {
        let tree = repo.find_commit(commit).and_then(|commit| commit.tree());
        tree.with_context(|| format!("cannot read the tree of {commit}"))
    };
    let diff =
        repo.diff_tree_to_tree(Some(&tree(built)?), Some(&tree(other)?), None).context("cannot compare two commits")?;
    for delta in diff.deltas() {
        for file in [delta.old_file(), delta.new_file()] {
            let Some(path) = file.path() else { continue };
            let path = path.to_string_lossy();
            if may_matter(&path, delta.status() == Delta::Added, compiled) {
                return Ok(Some(path.into_owned()));
            }
        }
    }
    Ok(None)
}

/// Can a change of this file change a kernel whose build has not read it? Not if only
/// an `#include` or a rule would make it be read, which are in files of their own.
fn may_matter(path: &str, added: bool, compiled: &BTreeSet<String>) -> bool {
    if compiled.contains(path) {
        return true;
    }
    if path.starts_with("Documentation/") || path.starts_with("tools/testing/") || path == "MAINTAINERS" {
        // make configures from no file here, but some kernels read Kconfig files everywhere.
        return path.rsplit('/').next().is_some_and(|name| name.starts_with("Kconfig"));
    }
    // Host programs and what they read are noted less well than the kernel's objects.
    if path.starts_with("scripts/") || path.starts_with("tools/") || path.starts_with("usr/") {
        return true;
    }
    match path.rsplit_once('.') {
        Some((_, "c" | "S" | "rst" | "txt" | "dts" | "dtsi")) => false,
        // A new header may come before another one of its name.
        Some((_, "h")) => added,
        _ => true,
    }
}

/// A digest of all that a boot loads from `vmlinux`: allocated sections with their
/// addresses. Not of the build id, which also sees symbols that nothing loads.
///
/// # Errors
/// It cannot be read, or is no ELF file.
pub fn sections(vmlinux: &Path) -> anyhow::Result<String> {
    const ALLOC: u64 = object::elf::SHF_ALLOC as u64;
    let bytes = std::fs::read(vmlinux).with_context(|| format!("cannot read {}", vmlinux.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{} is no ELF file", vmlinux.display()))?;
    let mut hash = Sha256::new();
    for section in file.sections() {
        let name = section.name().unwrap_or_default();
        let loaded = matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & ALLOC != 0);
        if !loaded || name == ".notes" {
            continue;
        }
        hash.update(format!("{name}\0{:x} {:x}\0", section.address(), section.size()));
        // Of one without content (.bss) address and size are all.
        hash.update(section.data().with_context(|| format!("cannot read {name} of {}", vmlinux.display()))?);
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_of_a_build_name_what_it_has_read() {
        let note = "savedcmd_mm/x.o := gcc -I/w/src/include -include /w/src/include/linux/kconfig.h -o mm/x.o /w/src/mm/x.c\n\n\
                    deps_mm/x.o := \\\n  /w/src/mm/../lib/y.h \\\n    $(wildcard include/config/SWAP) \\\n  include/generated/z.h \\\n";
        assert_eq!(named_in(note, "/w/src/"), ["include/linux/kconfig.h", "mm/x.c", "lib/y.h"]);
    }

    #[test]
    fn what_may_matter_is_built() {
        let compiled = BTreeSet::from(["mm/x.c".to_owned(), "Documentation/odd.h".to_owned()]);
        let matters = |path, added| may_matter(path, added, &compiled);
        for path in
            ["mm/x.c", "Documentation/odd.h", "mm/Makefile", "mm/Kconfig", "scripts/ld.c", "tools/objtool/check.c"]
        {
            assert!(matters(path, false), "{path}");
        }
        for path in ["drivers/y.c", "include/z.h", "Documentation/vm/swap.rst", "tools/testing/x.sh", "arch/arm/a.dts"]
        {
            assert!(!matters(path, false), "{path}");
        }
        assert!(matters("include/new.h", true) && !matters("drivers/new.c", true));
    }

    #[test]
    fn our_own_program_has_sections() {
        let own = std::env::current_exe().unwrap();
        let one = sections(&own).unwrap();
        assert_eq!((one.len(), &one), (64, &sections(&own).unwrap()));
        assert!(sections(Path::new("/proc/self/status")).is_err());
    }
}
