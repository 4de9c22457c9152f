// SPDX-License-Identifier: GPL-2.0-only
//! What a build runs on this machine, asked of the builds themselves: kbuild keeps,
//! beside each object, what it was made of. Whatever a program of the host was made of
//! must not be changed by a series that nobody has read.

use std::collections::BTreeSet;
use std::path::Path;

use xtask::cache::Cache;
use xtask::review::host::runs_here;

/// The files of the tree that were read for an object that is none of the kernel's.
fn sources(note: &str, build: &Path, src: &Path) -> Vec<String> {
    let mut paragraphs = note.split("\n\n");
    if paragraphs.next().is_none_or(|command| command.contains("__KERNEL__")) {
        return Vec::new();
    }
    let words = note.split_whitespace().filter(|word| word.contains('/'));
    let files = words.filter_map(|word| build.join(word).canonicalize().ok()).filter(|path| path.is_file());
    files.filter_map(|path| Some(path.strip_prefix(src).ok()?.to_str()?.to_owned())).collect()
}

#[test]
#[ignore = "needs built kernels in the cache"]
fn what_host_programs_are_made_of_needs_trust() {
    let cache = Cache::open().unwrap();
    let (mut notes, mut missed) = (0, BTreeSet::new());
    for work in std::fs::read_dir(cache.root.join("work")).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(src) = work.join("src").canonicalize() else { continue };
        let build = work.join("build");
        for entry in walkdir::WalkDir::new(&build).into_iter().filter_map(Result::ok) {
            if !entry.file_name().to_string_lossy().ends_with(".cmd") {
                continue;
            }
            let used = sources(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()), &build, &src);
            notes += usize::from(!used.is_empty());
            missed.extend(used.into_iter().filter(|path| !runs_here(path)));
        }
    }
    assert!(notes > 50, "only {notes} objects of host programs: no kernel is built");
    assert_eq!(missed, BTreeSet::new(), "of {notes} objects");
}
