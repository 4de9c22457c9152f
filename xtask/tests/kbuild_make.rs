// SPDX-License-Identifier: GPL-2.0-only
//! The whole way of a build, with real make on a Makefile that stands for kbuild.

#![expect(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use xtask::error::Error;
use xtask::kbuild::{BuildSpec, Kernel, Place, Tree, build};
use xtask::progress::Progress;

const MAKEFILE: &str = r#"
tinyconfig:
	@mkdir -p $(O)/include/config $(O)/arch/x86/boot $(O)/kernel $(O)/mm
	@echo $@ >> $(O)/calls
	@echo 'CONFIG_BASE=y' > $(O)/.config
olddefconfig:
	@echo $@ >> $(O)/calls
	@grep -v UNKNOWN $(O)/.config > $(O)/.config.new; mv $(O)/.config.new $(O)/.config
bzImage: $(O)/mm/a.o
	@echo $@ >> $(O)/calls
	@cat $(O)/mm/a.o > $(O)/arch/x86/boot/bzImage; echo "$(KCFLAGS)" >> $(O)/arch/x86/boot/bzImage
	@echo 6.1.0 > $(O)/include/config/kernel.release
	@cp $(O)/.config $(O)/System.map
$(O)/mm/a.o: mm/a.c
	@echo '  CC      mm/a.o'
	@if grep -q BROKEN mm/a.c; then echo "$(CURDIR)/mm/a.c:1:1: error: it is broken"; exit 1; fi
	@if grep -q FULL mm/a.c; then echo "as: mm/a.o: No space left on device"; exit 1; fi
	@cp mm/a.c $@; touch $(O)/mm/.a.o.cmd
"#;

struct Work {
    folder: tempfile::TempDir,
    place: Place,
    spec: BuildSpec,
}

impl Work {
    /// `None`, with a word, on a host without make: the rest of the suite needs none.
    fn new() -> Option<Self> {
        if std::process::Command::new("make").arg("--version").output().is_err() {
            eprintln!("skipped: this host has no make");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let place = Place { src: path("src"), build: path("build"), kernels: path("kernels"), logs: path("logs") };
        fs::create_dir_all(place.src.join("mm")).unwrap();
        fs::write(place.src.join("Makefile"), MAKEFILE).unwrap();
        fs::write(place.src.join("Kconfig"), "config A\n").unwrap();
        fs::write(place.src.join("mm/a.c"), "int a;\n").unwrap();
        fs::write(path("f.config"), "CONFIG_A=y  # why\n").unwrap();
        let spec = BuildSpec {
            base: "tinyconfig".to_owned(),
            fragments: vec![path("f.config")],
            over: Vec::new(),
            absent: BTreeMap::new(),
            make_args: Vec::new(),
        };
        Some(Self { folder, place, spec })
    }

    fn build(&self, tree: &str) -> Result<Kernel, Error> {
        build(&self.place, &self.spec, "baseline", &Tree::alone(tree), || Ok(()), &Progress::silent())
    }

    fn calls(&self) -> Vec<String> {
        let calls = self.place.build.join("calls");
        let text = fs::read_to_string(&calls).unwrap_or_default();
        drop(fs::remove_file(calls));
        text.lines().map(str::to_owned).collect()
    }

    fn edit(&self, text: &str) {
        fs::write(self.place.src.join("mm/a.c"), text).unwrap();
        // Time stamps are as coarse as the host's clock tick: make the object old.
        age(&self.place.build.join("mm/a.o"));
    }
}

fn age(path: &Path) {
    if path.exists() {
        set_time(path, SystemTime::now() - Duration::from_secs(100));
    }
}

fn set_time(path: &Path, time: SystemTime) {
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_build_is_configured_made_and_kept() {
    let Some(work) = Work::new() else { return };
    let kernel = work.build("one").unwrap();
    assert_eq!(work.calls(), ["tinyconfig", "olddefconfig", "bzImage"]);
    assert!(kernel.rebuilt && kernel.image.ends_with(PathBuf::from(&kernel.hash).join("bzImage")));
    assert_eq!(kernel.release, "6.1.0");
    assert_eq!(fs::read_to_string(&kernel.config).unwrap(), "CONFIG_BASE=y\nCONFIG_A=y\n");
    let log = fs::read_to_string(work.place.logs.join("build-baseline.log")).unwrap();
    assert!(log.contains("LOCALVERSION=") && log.contains("  CC      mm/a.o"), "{log}");
}

#[test]
fn nothing_changed_runs_nothing_whichever_side_it_was() {
    let Some(work) = Work::new() else { return };
    let first = work.build("one").unwrap();
    work.edit("int b;\n");
    let second = work.build("two").unwrap();
    work.calls();
    let again = work.build("one").unwrap();
    assert_eq!(work.calls(), [""; 0]);
    assert!(!again.rebuilt && again.hash == first.hash && again.hash != second.hash);
}

#[test]
fn an_edit_does_not_configure_again() {
    let Some(work) = Work::new() else { return };
    work.build("one").unwrap();
    work.calls();
    work.edit("int b;\n");
    assert!(work.build("two").unwrap().rebuilt);
    assert_eq!(work.calls(), ["bzImage"]);
}

/// A kernel that can say `single-goals` and boots from its vmlinux, after one build.
fn narrow() -> Option<Work> {
    let work = Work::new()?;
    fs::write(work.place.src.join("Makefile"), NARROW).unwrap();
    fs::write(&work.spec.fragments[0], "CONFIG_PVH=y  # why\n").unwrap();
    for name in ["a", "b"] {
        fs::write(work.place.src.join(format!("mm/{name}.c")), "int a;\n").unwrap();
    }
    work.build("one").unwrap();
    assert_eq!(work.calls(), ["tinyconfig", "olddefconfig", "vmlinux mm/a.o mm/b.o"]);
    Some(work)
}

const NARROW: &str = r#"
build-dir := .
single-goals := mm/a.o mm/b.o
tinyconfig:
	@mkdir -p $(O)/include/config $(O)/kernel $(O)/mm
	@echo $@ >> $(O)/calls
	@echo 'CONFIG_BASE=y' > $(O)/.config
olddefconfig:
	@echo $@ >> $(O)/calls
vmlinux: $(single-goals)
	@echo "$@ $(patsubst ./%,%,$(single-goals))" >> $(O)/calls
	@cat $(O)/mm/*.o > $(O)/vmlinux
	@cd $(O) && test -f built-in.a || ar cDPrST built-in.a mm/a.o mm/b.o
	@echo 6.1.0 > $(O)/include/config/kernel.release
	@cp $(O)/.config $(O)/System.map
%.o:
	@cp $(@:.o=.c) $(O)/$@
	@echo 'cmd_$(patsubst ./%,%,$@) := cp $(FLAGS)' > $(O)/$(@D)/.$(@F).cmd
	@echo "source := $(CURDIR)/$(@:.o=.c) $(CURDIR)/mm/shared.c" >> $(O)/$(@D)/.$(@F).cmd
"#;

/// Builds the tree `two`, in which these files are others than in `one`.
fn build_after(work: &Work, changed: &[&str]) -> Vec<String> {
    let since = |before: &str| (before == "one").then(|| changed.iter().map(PathBuf::from).collect());
    let tree = Tree { id: "two", since: &since };
    build(&work.place, &work.spec, "baseline", &tree, || Ok(()), &Progress::silent()).unwrap();
    work.calls()
}

#[test]
fn after_an_edit_make_looks_at_what_it_reaches_and_at_nothing_else() {
    let Some(mut work) = narrow() else { return };
    work.spec.make_args.push("KCFLAGS=-g".to_owned());
    // Another configuration is no edit.
    assert_eq!(build_after(&work, &["mm/a.c"]), ["tinyconfig", "olddefconfig", "vmlinux mm/a.o mm/b.o"]);
    let Some(work) = narrow() else { return };
    assert_eq!(build_after(&work, &["mm/a.c"]), ["vmlinux mm/a.o"]);
}

#[test]
fn whatever_is_no_edit_of_linked_c_files_is_built_the_long_way() {
    let long = ["vmlinux mm/a.o mm/b.o"];
    for path in ["mm/a.h", "mm/unknown.c", "tools/a.c", "Makefile"] {
        let Some(work) = narrow() else { return };
        fs::create_dir_all(work.place.src.join("tools")).unwrap();
        for path in ["mm/a.h", "mm/unknown.c", "tools/a.c"] {
            fs::write(work.place.src.join(path), "x").unwrap();
        }
        fs::write(work.place.build.join("mm/.tool.cmd"), "tools/a.c").unwrap();
        assert_eq!(build_after(&work, &["mm/a.c", path]), long, "{path}");
    }
    // A file that is also part of something that is not linked as it is.
    let Some(work) = narrow() else { return };
    fs::write(work.place.build.join("mm/.bounds.s.cmd"), format!("{}/mm/a.c", work.place.src.display())).unwrap();
    assert_eq!(build_after(&work, &["mm/a.c"]), long);
    // A file that is gone.
    let Some(work) = narrow() else { return };
    assert_eq!(build_after(&work, &["mm/a.c", "mm/gone.c"]), long);
    // And a build of which nothing is known, as after one that failed.
    let Some(work) = narrow() else { return };
    fs::remove_file(work.place.build.join(".xtask/built")).unwrap();
    assert_eq!(build_after(&work, &["mm/a.c"]), long);
}

#[test]
fn a_file_that_two_objects_include_remakes_both() {
    let Some(work) = narrow() else { return };
    fs::write(work.place.src.join("mm/shared.c"), "int s;\n").unwrap();
    assert_eq!(build_after(&work, &["mm/shared.c"]), ["vmlinux mm/a.o mm/b.o"]);
}

#[test]
fn an_object_that_another_command_has_made_is_made_the_long_way() {
    let Some(work) = narrow() else { return };
    // As if a Makefile gave other flags to a goal by itself.
    let other = NARROW.replace("%.o:\n", "FLAGS = $(filter command,$(origin single-goals))\n%.o:\n");
    fs::write(work.place.src.join("Makefile"), other).unwrap();
    assert_eq!(build_after(&work, &["mm/a.c"]), ["vmlinux mm/a.o", "vmlinux mm/a.o mm/b.o"]);
}

#[test]
fn a_failed_build_is_no_ground_for_a_narrow_one() {
    let Some(work) = narrow() else { return };
    let broken = NARROW.replace("%.o:\n", "%.o:\n\t@exit 1\n");
    fs::write(work.place.src.join("Makefile"), broken).unwrap();
    let since = |_: &str| Some(vec![PathBuf::from("mm/a.c")]);
    let tree = Tree { id: "bad", since: &since };
    build(&work.place, &work.spec, "baseline", &tree, || Ok(()), &Progress::silent()).unwrap_err();
    fs::write(work.place.src.join("Makefile"), NARROW).unwrap();
    work.calls();
    assert_eq!(build_after(&work, &["mm/b.c"]), ["vmlinux mm/a.o mm/b.o"]);
}

#[test]
fn a_changed_kconfig_configures_again_but_an_equal_result_keeps_its_time() {
    let Some(work) = Work::new() else { return };
    work.build("one").unwrap();
    let config = work.place.build.join(".config");
    let old = SystemTime::now() - Duration::from_secs(1000);
    set_time(&config, old);
    work.calls();
    fs::write(work.place.src.join("mm/Kconfig.debug"), "config B\n").unwrap();
    work.build("two").unwrap();
    assert_eq!(work.calls(), ["tinyconfig", "olddefconfig", "bzImage"]);
    assert_eq!(config.metadata().unwrap().modified().unwrap(), old);
}

#[test]
fn other_arguments_or_fragments_are_another_kernel() {
    let Some(mut work) = Work::new() else { return };
    let first = work.build("one").unwrap();
    work.spec.make_args = vec!["KCFLAGS=-g".to_owned()];
    let second = work.build("one").unwrap();
    assert!(second.rebuilt && second.hash != first.hash);
    fs::write(&work.spec.fragments[0], "CONFIG_A=y  # why\nCONFIG_C=y  # why\n").unwrap();
    let third = work.build("one").unwrap();
    assert!(fs::read_to_string(third.config).unwrap().contains("CONFIG_C=y"));
}

#[test]
fn a_symbol_that_did_not_survive_is_a_build_error_until_it_is_declared() {
    let Some(mut work) = Work::new() else { return };
    fs::write(&work.spec.fragments[0], "CONFIG_A=y\nCONFIG_UNKNOWN=y  # why\n").unwrap();
    let error = work.build("one").unwrap_err();
    assert_eq!(error.exit_code(), 101);
    assert!(error.to_string().contains("CONFIG_UNKNOWN=y"), "{error}");
    work.spec.absent.insert("UNKNOWN".to_owned(), "too young".to_owned());
    work.build("one").unwrap();
    work.spec.absent.insert("A".to_owned(), "wrong".to_owned());
    let error = work.build("one").unwrap_err().to_string();
    assert!(error.contains("CONFIG_A=y") && error.contains("delete the declaration"), "{error}");
}

#[test]
fn an_error_names_its_line_first_and_leaves_the_next_build_well() {
    let Some(work) = Work::new() else { return };
    work.edit("BROKEN\n");
    let error = work.build("one").unwrap_err();
    assert_eq!(error.exit_code(), 101);
    let text = error.to_string();
    assert!(text.starts_with("mm/a.c:1:1: error: it is broken\nmake"), "{text}");
    assert!(
        text.contains(" make -C ")
            && text.contains("bzImage` exited with status 2")
            && text.contains("build-baseline.log"),
        "{text}"
    );
    work.edit("FULL\n");
    let error = work.build("two").unwrap_err();
    assert_eq!(error.exit_code(), 110, "{error}");
    work.edit("int a;\n");
    work.build("three").unwrap();
}

#[test]
fn contradicting_fragments_are_the_authors_fault() {
    let Some(mut work) = Work::new() else { return };
    let other = work.folder.path().join("g.config");
    fs::write(&other, "CONFIG_A=n\n").unwrap();
    work.spec.fragments.push(other);
    let error = work.build("one").unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
}

#[test]
fn an_unfinished_object_of_a_killed_build_is_made_again() {
    let Some(work) = Work::new() else { return };
    let whole = work.build("one").unwrap();
    let object = work.place.build.join("mm/a.o");
    // As a kill between assembler and objtool leaves it: younger than its note.
    fs::write(work.place.build.join(".xtask/under-way"), "").unwrap();
    fs::write(&object, "half").unwrap();
    age(&work.place.build.join("mm/.a.o.cmd"));
    let again = work.build("the same content under another name").unwrap();
    assert_eq!(again.hash, whole.hash);
    assert!(!work.place.build.join(".xtask/under-way").exists());
}

#[test]
fn what_survived_a_killed_build_is_ended_and_nothing_else() {
    let Some(work) = Work::new() else { return };
    work.build("one").unwrap();
    fs::write(work.place.build.join(".xtask/under-way"), "").unwrap();
    let sleeper =
        |folder: &Path| std::process::Command::new("sleep").arg("60").env("KVM_GUP_IO_BUILD", folder).spawn().unwrap();
    let (mut ours, mut other) = (sleeper(&work.place.build), sleeper(&work.folder.path().join("elsewhere")));
    work.build("two").unwrap();
    assert!(ours.wait().unwrap().code().is_none(), "it was killed");
    assert!(other.try_wait().unwrap().is_none(), "it is none of ours");
    other.kill().unwrap();
    other.wait().unwrap();
}
