// SPDX-License-Identifier: GPL-2.0-only
//! Fragments are read, merged and compared as their authors mean them.

#![expect(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use xtask::dress::Dress;
use xtask::kconfig::{KconfigError, Lost, Merged, parse};

fn merged(text: &str) -> Merged {
    Merged::new([parse(Path::new("f.config"), text).unwrap().as_slice()]).unwrap()
}

fn absent(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(symbol, why)| ((*symbol).to_owned(), (*why).to_owned())).collect()
}

fn verify(text: &str, config: &str, declared: &[(&str, &str)]) -> Vec<String> {
    merged(text).verify(config, &absent(declared)).iter().map(Lost::to_string).collect()
}

#[test]
fn a_line_has_a_symbol_a_value_and_a_reason() {
    let all = parse(Path::new("f"), "\n# words\nCONFIG_A=y   # because\n# CONFIG_B is not set\nCONFIG_C=8\n").unwrap();
    let lines: Vec<_> = all.iter().map(|w| (w.symbol.as_str(), w.value.as_str(), w.reason.as_str(), w.line)).collect();
    assert_eq!(lines, [("CONFIG_A", "y", "because", 3), ("CONFIG_B", "n", "", 4), ("CONFIG_C", "8", "", 5)]);
}

#[test]
fn a_string_may_hold_a_hash_and_an_escaped_quote() {
    let all = parse(Path::new("f"), r#"CONFIG_CMDLINE="a # b \" c"  # why"#).unwrap();
    assert_eq!((all[0].value.as_str(), all[0].reason.as_str()), (r#""a # b \" c""#, "why"));
}

#[test]
fn what_is_no_kconfig_is_refused_with_its_place() {
    for bad in ["KVM=y", "CONFIG_=y", "CONFIG_A", "CONFIG_A=", "CONFIG_A=y z", "CONFIG_A=\"open", "CONFIG_A-B=y"] {
        let error = parse(Path::new("dir/f.config"), &format!("CONFIG_OK=y\n{bad}\n")).unwrap_err();
        assert!(error.to_string().contains("dir/f.config:2:"), "{bad}: {error}");
    }
}

#[test]
fn contradicting_fragments_are_named_both() {
    let one = parse(Path::new("one.config"), "CONFIG_A=y\n").unwrap();
    let two = parse(Path::new("two.config"), "\nCONFIG_A=n\n").unwrap();
    let error = Merged::new([one.as_slice(), two.as_slice()]).unwrap_err();
    assert!(matches!(error, KconfigError::Conflict { .. }));
    assert!(error.to_string().contains("CONFIG_A=y (one.config:1)"), "{error}");
    assert!(error.to_string().contains("CONFIG_A=n (two.config:2)"), "{error}");
    assert!(parse(Path::new("f"), "CONFIG_A=y\n# CONFIG_A is not set\n").is_err());
}

#[test]
fn agreeing_fragments_are_one() {
    let one = parse(Path::new("one"), "CONFIG_B=y\nCONFIG_A=n\n").unwrap();
    let two = parse(Path::new("two"), "# CONFIG_A is not set\n").unwrap();
    let merged = Merged::new([one.as_slice(), two.as_slice()]).unwrap();
    assert_eq!(merged.render(), "# CONFIG_A is not set\nCONFIG_B=y\n");
}

#[test]
fn what_survived_is_silent() {
    let config = "# CONFIG_N is not set\nCONFIG_A=y\nCONFIG_S=\"x\"\nCONFIG_H=0x1000\n";
    assert_eq!(
        verify("CONFIG_A=y\nCONFIG_N=n\nCONFIG_UNKNOWN=n\nCONFIG_S=\"x\"\nCONFIG_H=0x01000", config, &[]),
        [""; 0]
    );
}

#[test]
fn what_did_not_survive_is_named_with_both_values() {
    let lost = verify("CONFIG_A=y\nCONFIG_B=y\nCONFIG_N=n\nCONFIG_K=4", "CONFIG_B=m\nCONFIG_N=y\nCONFIG_K=8\n", &[]);
    assert_eq!(
        lost,
        [
            "CONFIG_A=y (f.config:1) did not survive olddefconfig: .config has CONFIG_A=n",
            "CONFIG_B=y (f.config:2) did not survive olddefconfig: .config has CONFIG_B=m",
            "CONFIG_K=4 (f.config:4) did not survive olddefconfig: .config has CONFIG_K=8",
            "CONFIG_N=n (f.config:3) did not survive olddefconfig: .config has CONFIG_N=y",
        ]
    );
}

#[test]
fn a_declared_absence_excuses_and_a_stale_one_is_reported() {
    let fragment = "CONFIG_ORC=y\nCONFIG_A=y\n";
    assert_eq!(verify(fragment, "CONFIG_A=y\n", &[("ORC", "younger than 3.17")]), [""; 0]);
    let stale = verify(fragment, "CONFIG_A=y\nCONFIG_ORC=y\n", &[("CONFIG_ORC", "younger than 3.17")]);
    assert_eq!(stale.len(), 1);
    assert!(stale[0].contains("declared absent (younger than 3.17), but this kernel has it"), "{stale:?}");
    let unasked = verify("CONFIG_A=y", "CONFIG_A=y\n", &[("GONE", "why")]);
    assert!(unasked[0].contains("CONFIG_GONE is declared absent, but no fragment asks for it"), "{unasked:?}");
}

#[test]
fn every_line_of_ours_has_its_reason_and_they_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kconfigs");
    let mut fragments = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let fragment = parse(&path, &std::fs::read_to_string(&path).unwrap()).unwrap();
        for wanted in &fragment {
            assert!(wanted.reason.len() > 3, "{wanted} has no reason");
        }
        // What a kernel is dressed in replaces lines of the others.
        if ![Dress::Vng, Dress::Gdb].iter().any(|dress| path.file_stem() == dress.fragment().map(AsRef::as_ref)) {
            fragments.push(fragment);
        }
    }
    assert!(fragments.len() >= 2);
    let merged = Merged::new(fragments.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(merged.iter().count(), fragments.iter().map(Vec::len).sum::<usize>(), "a symbol is asked for twice");
}

#[test]
fn what_a_kernel_is_dressed_in_replaces_the_demands_of_others() {
    let parsed = |file: &str, text: &str| parse(Path::new(file), text).unwrap();
    let lean = parsed("lean", "CONFIG_INET=n # small\nCONFIG_VT=n # no screen\n");
    let mut merged = Merged::new([lean.as_slice()]).unwrap();
    merged.replace(parsed("vng", "CONFIG_INET=y # loopback\nCONFIG_9P_FS=y # root\n"));
    assert_eq!(merged.render(), "CONFIG_9P_FS=y\nCONFIG_INET=y\n# CONFIG_VT is not set\n");
    let lost = merged.verify("CONFIG_INET=y\n", &BTreeMap::new());
    let [lost] = lost.as_slice() else { panic!("{lost:?}") };
    assert!(lost.to_string().starts_with("CONFIG_9P_FS=y (vng:2) did not survive olddefconfig"), "{lost}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        drop(parse(Path::new("f"), &text));
    }

    #[test]
    fn what_is_rendered_is_what_was_asked(
        wants in prop::collection::btree_map("[A-Z][A-Z0-9_]{0,9}", prop_oneof!["y", "n", "m", "[0-9]{1,4}", "\"[a-z #]{0,9}\""], 0..9),
    ) {
        let text: String = wants.iter().map(|(symbol, value)| format!("CONFIG_{symbol}={value}  # why\n")).collect();
        let first = merged(&text);
        let again = merged(&first.render());
        let pairs = |merged: &Merged| merged.iter().map(|w| (w.symbol.clone(), w.value.clone())).collect::<Vec<_>>();
        prop_assert_eq!(pairs(&first), pairs(&again));
        prop_assert!(first.verify(&first.render(), &BTreeMap::new()).is_empty());
    }
}
