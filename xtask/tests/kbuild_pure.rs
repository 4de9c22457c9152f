// SPDX-License-Identifier: GPL-2.0-only
//! What make prints is counted and, if it failed, explained; kernels are found again.

#![expect(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

use std::fs;
use std::path::Path;

use xtask::kbuild::{Cause, Keeper, Made, Meter, diagnose};

const SRC: &str = "/cache/v6.1/src";

fn explain(log: &str) -> (Cause, String) {
    diagnose(log, Path::new(SRC))
}

#[test]
fn only_steps_are_counted() {
    let mut meter = Meter::new(100, true);
    let lines = [
        ("make: Entering directory '/x'", None),
        ("  CC      mm/shmem.o", Some("CC mm/shmem.o")),
        ("  CC [M]  fs/x.o", Some("CC fs/x.o")),
        ("  LD      .tmp_vmlinux.kallsyms1", Some("LD .tmp_vmlinux.kallsyms1")),
        ("  note: in expansion of macro", None),
        ("  HOSTCC  scripts/basic/fixdep", Some("HOSTCC scripts/basic/fixdep")),
        ("   12 | int x;", None),
        ("  853 | int gcc_quotes_this;", None),
        ("  CC", None),
        ("", None),
    ];
    for (line, step) in lines {
        assert_eq!(meter.line(line).as_deref(), step, "{line}");
    }
    assert_eq!(meter.done(), 4);
}

#[test]
fn a_clean_build_has_a_length_and_a_small_one_has_none() {
    let step = "  CC      mm/shmem.o";
    let mut clean = Meter::new(3, true);
    assert_eq!(clean.total(), Some(3));
    (0..5).for_each(|_| drop(clean.line(step)));
    assert_eq!(clean.total(), Some(5), "an estimate that was too small grows");
    let mut small = Meter::new(1_000, false);
    (0..20).for_each(|_| drop(small.line(step)));
    assert_eq!(small.total(), None);
    (0..200).for_each(|_| drop(small.line(step)));
    assert_eq!(small.total(), Some(1_000), "a changed header rebuilds the tree");
}

#[test]
fn the_first_compiler_error_comes_first_and_its_target_second() {
    let log = format!(
        "  CC      mm/a.o\n{SRC}/mm/a.c: In function 'f':\n{SRC}/mm/a.c:7:2: warning: unused\n\
         \u{1b}[1m{SRC}/mm/a.c:9:5:\u{1b}[m \u{1b}[31merror: \u{1b}[mexpected ';' before '}}' token\n\
         {SRC}/mm/a.c:11:5: error: later\nmake[3]: *** [{SRC}/scripts/Makefile.build:250: mm/a.o] Error 1\n\
         make[2]: *** [{SRC}/Makefile:2: mm] Error 2\n"
    );
    let (cause, words) = explain(&log);
    assert_eq!(cause, Cause::Tree);
    assert_eq!(
        words,
        "mm/a.c:9:5: error: expected ';' before '}' token\nmake[3]: *** [scripts/Makefile.build:250: mm/a.o] Error 1"
    );
}

#[test]
fn each_failure_has_its_cause() {
    let host = [
        "fatal error: error writing to /tmp/cc.s: No space left on device",
        "gcc: fatal error: Killed signal terminated program cc1",
        "/bin/sh: 1: flex: not found",
        "/bin/sh: line 1: bc: command not found",
        "make[2]: flex: No such file or directory",
        "/s/tools/objtool/include/objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory",
    ];
    for line in host {
        let (cause, words) = explain(&format!("mm/a.c:1:1: error: x\n{line}\nmake[1]: *** [Makefile:1: a] Error 1\n"));
        assert_eq!(cause, Cause::Host, "{line}");
        assert!(words.starts_with(line.trim()), "{words}");
    }
    let tree = [
        "mm/a.c:3:10: fatal error: linux/nothing.h: No such file or directory",
        "arch/x86/a.S:3: Error: no such instruction: `foo'",
        "ld: mm/a.o: in function `f': a.c:(.text+0x1): undefined reference to `g'",
        "mm/a.o: error: objtool: f+0x1: unsupported",
        "make[1]: *** No rule to make target 'mm/a.o', needed by 'mm/built-in.a'.  Stop.",
        "make: *** No rule to make target 'tinyconfig'.  Stop.",
    ];
    for line in tree {
        let (cause, words) = explain(&format!("  CC      x.o\n{line}\n"));
        assert_eq!((cause, words.as_str()), (Cause::Tree, line));
    }
    assert_eq!(explain("").0, Cause::Tree);
}

struct Fixture {
    folder: tempfile::TempDir,
    keeper: Keeper,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("kernels")).unwrap();
        let keeper = Keeper::new(&folder.path().join("kernels"));
        Self { folder, keeper }
    }

    fn made(&self, image: &str, config: &str) -> Made {
        let path = |name: &str| self.folder.path().join(name);
        for (name, text) in [("bzImage", image), (".config", config), ("System.map", "0 T x\n")] {
            fs::write(path(name), text).unwrap();
        }
        Made {
            image: path("bzImage"),
            config: path(".config"),
            system_map: path("System.map"),
            release: "6.1.192".to_owned(),
            compiler: "gcc 12".to_owned(),
        }
    }
}

#[test]
fn a_kept_kernel_is_found_by_its_inputs() {
    let fixture = Fixture::new();
    assert_eq!(fixture.keeper.find("key").unwrap(), None);
    let kept = fixture.keeper.keep("key", &fixture.made("image", "config")).unwrap();
    assert!(kept.rebuilt);
    assert_eq!(kept.image.parent().unwrap().file_name().unwrap().to_str().unwrap(), kept.hash);
    let found = fixture.keeper.find("key").unwrap().unwrap();
    assert_eq!(found, xtask::kbuild::Kernel { rebuilt: false, ..kept });
    assert_eq!(fixture.keeper.find("other").unwrap(), None);
}

#[test]
fn the_same_image_from_another_configuration_has_the_newer_record() {
    let fixture = Fixture::new();
    fixture.keeper.keep("a", &fixture.made("image", "one")).unwrap();
    let second = fixture.keeper.keep("b", &fixture.made("image", "two")).unwrap();
    assert_eq!(fs::read_to_string(second.config).unwrap(), "two");
    assert!(fixture.keeper.find("a").unwrap().is_some());
}

#[test]
fn a_harmed_or_removed_kernel_is_not_found() {
    let fixture = Fixture::new();
    let kept = fixture.keeper.keep("key", &fixture.made("image", "config")).unwrap();
    fs::write(&kept.image, "imag").unwrap();
    assert_eq!(fixture.keeper.find("key").unwrap(), None, "truncated");
    fs::remove_dir_all(kept.image.parent().unwrap()).unwrap();
    assert_eq!(fixture.keeper.find("key").unwrap(), None, "removed");
    assert!(fixture.keeper.keep("key", &fixture.made("image", "config")).unwrap().image.exists());
}

#[test]
fn old_kernels_and_half_written_ones_go() {
    let fixture = Fixture::new();
    let kernels = fixture.folder.path().join("kernels");
    fs::create_dir(kernels.join(".new-killed")).unwrap();
    for number in 0..70 {
        fixture.keeper.keep(&format!("key{number}"), &fixture.made(&format!("image {number}"), "c")).unwrap();
    }
    assert!(!kernels.join(".new-killed").exists());
    let folders = fs::read_dir(&kernels).unwrap().flatten().filter(|entry| entry.file_name() != "by-input").count();
    assert_eq!(folders, 30);
    assert_eq!(fs::read_dir(kernels.join("by-input")).unwrap().count(), 30, "notes go with their kernels");
    assert!(fixture.keeper.find("key69").unwrap().is_some());
    assert!(fixture.keeper.find("key0").unwrap().is_none());
}
