// SPDX-License-Identifier: GPL-2.0-only
//! `target.toml`: the committed ones load, and each typing error is told with its
//! line and with what is allowed.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::{Path, PathBuf};

use selftests::cell::{Probe, catalogue};
use xtask::error::Error;
use xtask::side::Side;
use xtask::target::{Behaves, Expected, SIDES, SourceKind, Target};
use xtask::variant::Variant;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn patches() -> PathBuf {
    checkout().join("patches")
}

const GOOD: &str = r#"schema = 1
[source]
kind = "binary"
series = "6.1"
package = "linux-source-6.1"
suites = ["bookworm"]
[config]
base = "tinyconfig"
fragments = ["boot", "measure"]
[config.absent]
CONFIG_FOO = "came with 6.4"
[[expect]]
cells = "anon.*"
window = 1
sides = { baseline = "held", patched = "released" }
reason = "polls"
[[expect]]
cells = "*"
sides = { baseline = "released", patched = "released" }
reason = "drops"
"#;

fn parse(text: &str) -> Result<Target, Error> {
    Target::parse("v6.1", Path::new("patches/v6.1"), text)
}

#[track_caller]
fn assert_refused(text: &str, parts: &[&str]) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let message = error.to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}\nlacks one of {parts:?}");
}

#[test]
fn all_committed_targets_load_and_speak_about_every_cell() {
    let names = Target::names(&patches()).unwrap();
    assert!(names.contains(&"v6.1".to_owned()) && names.contains(&"v7.3".to_owned()), "{names:?}");
    for name in names {
        let target = Target::load(&patches(), &name).unwrap();
        for fragment in &target.config.fragments {
            assert!(checkout().join("kconfigs").join(format!("{fragment}.config")).is_file(), "{name}: {fragment}");
        }
        for cell in catalogue().iter().filter(|cell| !cell.is_control()) {
            for (probe, side) in Probe::ALL.iter().flat_map(|probe| SIDES.map(|side| (probe, side))) {
                let row = target.expected(side, &cell.name(), cell.window, &probe.to_string());
                let skip = target.declared_skip(&cell.name(), cell.window);
                assert!(row.is_some() || skip.is_some(), "{name} {cell} {probe} {side}");
            }
        }
    }
}

/// Its cells are those of its time; a file below patches/ must speak about all.
#[test]
fn a_record_need_not_know_cells_that_came_later() {
    let text = GOOD.replace("cells = \"*\"", "cells = \"shmem.*\"");
    assert_ne!(text, GOOD);
    assert_refused(&text, &["has no [[expect]] row"]);
    let target = Target::recorded("v6.1", Path::new(""), &text).unwrap();
    assert!(target.expected("baseline", "file.sync.read", 8, "writer").is_none());
}

#[test]
fn the_first_row_that_matches_counts() {
    let target = parse(GOOD).unwrap();
    let state = |cell: &str, window, side: &str| target.expected(side, cell, window, "writer").unwrap().sides[side];
    assert_eq!(state("anon.sync.read", 1, "baseline"), Expected::Held);
    assert_eq!(state("anon.sync.read", 8, "baseline"), Expected::Released);
    assert_eq!(state("shmem.sync.read", 1, "baseline"), Expected::Released);
    assert!(target.expected("v2", "anon.sync.read", 1, "writer").is_none());
    assert_eq!(
        (target.source.kind, target.config.absent["CONFIG_FOO"].as_str()),
        (SourceKind::Binary, "came with 6.4")
    );
}

#[test]
fn each_typing_error_is_told_with_its_line() {
    let table: &[(&str, &str, &[&str])] = &[
        ("schema = 1", "schema = 2", &["patches/v6.1/target.toml:1:", "schema 2", "allowed: 1"]),
        ("schema = 1\n", "", &["target.toml", "schema"]),
        ("kind = \"binary\"", "kind = \"git\"", &["target.toml:3:", "git", "`binary`", "`user`"]),
        ("suites = [", "suits = [", &["target.toml:6:", "suits", "`suites`"]),
        ("package = \"linux-source-6.1\"\n", "", &["target.toml:2:", "need a package"]),
        ("kind = \"binary\"", "kind = \"user\"", &["target.toml:2:", "neither package nor suites"]),
        ("series = \"6.1\"", "series = \"\"", &["target.toml:2:", "series is empty"]),
        ("tinyconfig", "defconfig", &["target.toml:8:", "`tinyconfig`", "`allnoconfig`"]),
        ("\"measure\"", "\"../measure\"", &["target.toml:7:", "../measure", "kconfigs/"]),
        ("CONFIG_FOO = \"came with 6.4\"", "FOO = \"x\"", &["target.toml:7:", "\"FOO\"", "CONFIG_NAME"]),
        ("CONFIG_FOO = \"came with 6.4\"", "CONFIG_FOO = \"\"", &["\"CONFIG_FOO\"", "reason"]),
        ("cells = \"anon.*\"", "cells = \"anno.*\"", &["target.toml:12:", "\"anno.*\" matches no cell"]),
        ("cells = \"anon.*\"", "cells = \"anon.sync.read@1\"", &["target.toml:12:", "window is a key of its own"]),
        ("cells = \"anon.*\"", "cells = \"control.*\"", &["target.toml:12:", "controls are built in"]),
        ("cells = \"anon.*\"", "cells = \"[\"", &["target.toml:13:", "is no glob"]),
        ("window = 1", "window = 4", &["target.toml:12:", "matches no cell"]),
        ("window = 1", "probe = \"wrtier\"", &["target.toml:14:", "wrtier", "`writer`"]),
        ("baseline = \"held\", ", "", &["target.toml:12:", "what baseline shows", "baseline, patched"]),
        ("baseline = \"held\"", "baseline = \"hold\"", &["target.toml:15:", "hold", "`held`"]),
        (
            "baseline = \"held\"",
            "v2 = \"held\", baseline = \"held\"",
            &["no side is named \"v2\"", "baseline, patched"],
        ),
        ("reason = \"polls\"", "reason = \" \"", &["target.toml:12:", "needs a reason"]),
        ("cells = \"*\"", "cells = \"anon.*\"", &["shmem.sync.read@1", "no [[expect]] row", "probe writer"]),
        ("cells = \"*\"", "cells = \"anon.*\"\nwindow = 1", &["target.toml:17:", "never reached"]),
    ];
    for (old, new, parts) in table {
        assert!(GOOD.contains(old), "{old}");
        assert_refused(&GOOD.replacen(old, new, 1), parts);
    }
}

#[test]
fn skips_and_tolerated_findings_are_checked_too() {
    let with = |rows: &str| format!("{GOOD}{rows}");
    let skip = with("[[skip]]\ncells = \"anon.apf-halt.*\"\nreason = \"no irqchip\"\n");
    assert!(parse(&skip).unwrap().declared_skip("anon.apf-halt.read", 1).is_some());
    assert!(parse(&skip).unwrap().declared_skip("anon.sync.read", 1).is_none());
    assert_refused(&with("[[skip]]\ncells = \"hugetlb.*\"\nreason = \"x\"\n"), &["target.toml:21:", "matches no cell"]);
    assert_refused(&with("[[skip]]\ncells = \"anon.*\"\nreason = \"\"\n"), &["target.toml:21:", "needs a reason"]);
    assert_refused(&with("[[tolerate]]\nreason = \"x\"\n"), &["target.toml:21:", "class, pattern or both"]);
    assert_refused(
        &with("[[tolerate]]\npattern = \"(\"\nreason = \"x\"\n"),
        &["target.toml:22:", "no regular expression"],
    );
    assert_refused(&with("[[tolerate]]\nclass = \"warning\"\nreason = \"\"\n"), &["target.toml:21:", "needs a reason"]);
}

#[test]
fn an_unknown_target_selects_nothing_and_all_are_named() {
    for name in ["v9.9", "", "../patches/v6.1", "v6.1/"] {
        let error = Target::load(&patches(), name).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{name:?}");
        assert!(error.to_string().contains("v6.1, "), "{error}");
    }
    let nowhere = Target::load(Path::new("/nonexistent"), "v6.1").unwrap_err();
    assert!(nowhere.to_string().contains("none"), "{nowhere}");
}

#[test]
fn names_are_sorted_as_versions_and_patches_as_names() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["v6.12", "v7.3", "v3.17", "v6.1", "no-target"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        if name != "no-target" {
            std::fs::write(dir.path().join(name).join("target.toml"), GOOD).unwrap();
        }
    }
    assert_eq!(Target::names(dir.path()).unwrap(), ["v3.17", "v6.1", "v6.12", "v7.3"]);
    let target = Target::load(dir.path(), "v6.1").unwrap();
    assert!(target.series().unwrap().is_empty() && target.compat().unwrap().is_empty());
    std::fs::create_dir(dir.path().join("v6.1/series")).unwrap();
    for name in ["0002-b.patch", "0001-a.patch", "notes.txt"] {
        std::fs::write(dir.path().join("v6.1/series").join(name), "").unwrap();
    }
    let names: Vec<_> = target.series().unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["0001-a.patch", "0002-b.patch"]);
}

const V2: &str = r#"[[side]]
name = "v2"
patches = "v2-as-posted"
reason = "what was posted"
dies = { config = "debug", pattern = "kernel BUG" }
"#;

#[test]
fn a_target_may_have_further_sides() {
    let target = parse(&format!("{GOOD}{V2}")).unwrap();
    assert_eq!(target.side_names(), ["baseline", "patched", "v2"]);
    assert_eq!(Side::of(&target, "v2").unwrap(), Side::Extra("v2".to_owned()));
    let error = Side::of(&target, "v3").unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("it has: baseline, patched, v2"), "{error}");
    assert!(target.death("v2", Variant::Debug).is_some());
    assert!(target.death("v2", Variant::Measure).is_none() && target.death("patched", Variant::Debug).is_none());
    let row = "{ baseline = \"held\", patched = \"released\"";
    parse(&format!("{}{V2}", GOOD.replace(row, &format!("{row}, v2 = \"held\"")))).unwrap();
}

#[test]
fn a_further_side_is_checked() {
    let with = |from: &str, to: &str| format!("{GOOD}{}", V2.replace(from, to));
    assert_refused(&with("\"v2\"", "\"patched\""), &["there is a side \"patched\" already"]);
    assert_refused(&with("v2-as-posted", "../v6.1/series"), &["cannot name a side or its folder"]);
    assert_refused(&with("what was posted", " "), &["needs a reason"]);
    assert_refused(&with("\"debug\"", "\"debgu\""), &["unknown variant"]);
    assert_refused(&with("kernel BUG", "kernel ("), &["no regular expression"]);
}

#[test]
fn what_a_variant_lacks_is_a_list_of_its_own() {
    let variant = "[variant.debug.absent]\nCONFIG_KASAN = \"came with 4.0\"\n";
    let target = parse(&format!("{GOOD}{variant}")).unwrap();
    assert_eq!(target.variant[&Variant::Debug].absent["CONFIG_KASAN"], "came with 4.0");
    assert_refused(&format!("{GOOD}{}", variant.replace("CONFIG_", "")), &["absent symbol"]);
    assert_refused(&format!("{GOOD}{}", variant.replace("debug", "asan")), &["unknown variant"]);
}

#[test]
fn a_side_is_made_of_its_patches() {
    let target = Target::load(&patches(), "v6.1").unwrap();
    let (compat, series) = (target.compat().unwrap().len(), target.series().unwrap().len());
    let count = |side: Side, upto| side.patches(&target, upto).map(|files| files.len() - compat);
    assert_eq!(count(Side::Baseline, None).unwrap(), 0);
    assert_eq!(count(Side::Patched, None).unwrap(), series);
    assert_eq!(count(Side::Patched, Some(2)).unwrap(), 2);
    assert_eq!(count(Side::Patched, Some(series + 1)).unwrap_err().exit_code(), 4);
}

#[test]
fn what_is_only_to_be_discussed_comes_last() {
    let dir = tempfile::tempdir().unwrap();
    let series = dir.path().join("v6.1/series");
    std::fs::create_dir_all(&series).unwrap();
    for name in ["0001-a.patch", "0002-b.patch", "0003-c.patch"] {
        std::fs::write(series.join(name), "").unwrap();
    }
    let load = |named: &[&str]| {
        let row = |name: &&str| format!("[[rfc]]\npatch = \"{name}\"\nreason = \"ugly\"\n");
        let rows: String = named.iter().map(row).collect();
        std::fs::write(dir.path().join("v6.1/target.toml"), format!("{GOOD}{rows}")).unwrap();
        Target::load(dir.path(), "v6.1").map(|target| target.rfc.len())
    };
    assert_eq!(load(&[]).unwrap(), 0);
    assert_eq!(load(&["0002-b.patch", "0003-c.patch"]).unwrap(), 2);
    for wrong in [&["0002-b.patch"][..], &["0004-d.patch"], &["0003-c.patch", "0003-c.patch"]] {
        let error = load(wrong).unwrap_err().to_string();
        assert!(error.contains("target.toml") && error.contains("not the last patches"), "{error}");
    }
    assert_refused(&format!("{GOOD}[[rfc]]\npatch = \"0001-a.patch\"\nreason = \" \"\n"), &["an RFC needs a reason"]);
}

#[test]
fn files_that_are_not_compiled_are_declared_with_a_reason() {
    let row = "[[uncompiled]]\nfiles = \"arch/{mips,sh}/mm/gup.c\"\nreason = \"another architecture\"\n";
    let target = parse(&format!("{GOOD}{row}")).unwrap();
    assert!(target.leaves_out("arch/sh/mm/gup.c") && !target.leaves_out("arch/x86/mm/gup.c"));
    assert!(!parse(GOOD).unwrap().leaves_out("arch/sh/mm/gup.c"));
    assert_refused(&format!("{GOOD}{}", row.replace("another architecture", "")), &["need a reason"]);
}

#[test]
fn a_behaviour_without_a_row_is_right_on_every_side() {
    let row = |names: &str, sides: &str| {
        format!("{GOOD}[[behaviour]]\nnames = \"{names}\"\nsides = {{ {sides} }}\nreason = \"polls\"\n")
    };
    let target = parse(&row("sigkill.*", "baseline = \"wrong\", patched = \"right\"")).unwrap();
    assert_eq!(target.behaves("baseline", "sigkill.anon"), Some((Behaves::Wrong, "polls")));
    assert_eq!(target.behaves("patched", "sigkill.shmem"), Some((Behaves::Right, "polls")));
    assert_eq!(target.behaves("baseline", "munmap.anon"), None);
    let both = "baseline = \"wrong\", patched = \"right\"";
    assert_refused(&row("sigkil.*", both), &["target.toml:21", "\"sigkil.*\"", "selftests --list"]);
    assert_refused(&row("*", "baseline = \"right\", patched = \"right\""), &["needs no row"]);
    assert_refused(&row("*", "baseline = \"wrong\""), &["does not say what patched shows"]);
    assert_refused(&row("*", "baseline = \"wrong\", patched = \"held\""), &["`right`"]);
    let hidden = "[[behaviour]]\nnames = \"sigkill.anon\"\nsides = { baseline = \"wrong\", patched = \"right\" }\nreason = \"x\"\n";
    assert_refused(&format!("{}{hidden}", row("*", both)), &["is the first to match no behaviour"]);
}
