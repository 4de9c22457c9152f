// SPDX-License-Identifier: GPL-2.0-only
//! What people see: golden texts, colours, and README's generated block.

use anyhow::anyhow;
use xtask::error::Error;
use xtask::judge;
use xtask::outcome::Outcome;
use xtask::report;
use xtask::report::readme::{self, BEGIN, END};
use xtask::report::table::{Look, render};
use xtask::store;

use crate::builder::{both, claimed, finding, judged, plan, target};

fn outcome(globs: &[&str], stock_as_patched: bool) -> Outcome {
    let (named, plan) = (target("v6.1"), plan(globs));
    let mut boots = both(&named, &plan);
    if stock_as_patched {
        boots[1].1 = boots[0].1.clone();
    }
    judge::outcome("tcg", vec![judged(&named, &plan, &boots)], Some("results/runs/20261101T120000Z-abcdef".to_owned()))
}

#[test]
fn a_pass_for_a_terminal() {
    insta::assert_snapshot!(render(&outcome(&["anon.sync.read*", "shmem.apf-halt.write@1"], false), Look::PLAIN));
}

#[test]
fn a_failure_has_its_reasons_last() {
    insta::assert_snapshot!(render(&outcome(&["anon.sync.read@1"], true), Look::PLAIN));
}

#[test]
fn a_crash_has_its_console_line() {
    let (named, plan) = (target("v6.1"), plan(&["anon.sync.read@1"]));
    let mut boots = both(&named, &plan);
    boots[1].1.frames.truncate(9);
    boots[1].1.findings.push(finding("panic", "Kernel panic - not syncing: Fatal exception"));
    let outcome = judge::outcome("tcg", vec![judged(&named, &plan, &boots)], None);
    insta::assert_snapshot!(render(&outcome, Look::PLAIN));
}

#[test]
fn all_kernels_in_one_table() {
    let plan = plan(&[]);
    let of = |name: &str| {
        let target = target(name);
        judged(&target, &plan, &both(&target, &plan))
    };
    let failed = judge::stopped("v9", "9.9", Vec::new(), &Error::Infra(anyhow!("the disk is full"))).unwrap();
    let outcome = judge::outcome("tcg", vec![of("v6.1"), of("v7.3"), failed], None);
    insta::assert_snapshot!(report::matrix::render(&outcome, Look::PLAIN));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let outcome = outcome(&[], false);
    assert!(!render(&outcome, Look::PLAIN).contains('\u{1b}'));
    assert!(render(&outcome, Look { color: true, width: None }).contains('\u{1b}'));
}

#[test]
fn a_narrow_terminal_is_respected() {
    let text = render(&outcome(&[], false), Look { color: false, width: Some(70) });
    let table: Vec<&str> =
        text.lines().skip_while(|line| !line.starts_with('─')).take_while(|line| !line.is_empty()).collect();
    assert!(table.len() > 20);
    assert!(table.iter().all(|line| line.chars().count() <= 70), "{}", table.join("\n"));
}

#[test]
fn readmes_block_is_made_of_the_references() {
    let plan = plan(&[]);
    let references = store::reference(&outcome(&[], false), &claimed(&plan)).unwrap();
    let readme = format!("# Title\n\n{BEGIN}\nstale words\n{END}\n\nmore\n");
    assert!(readme::check(&readme, &references).is_err());
    let made = readme::replace(&readme, &references).unwrap();
    readme::check(&made, &references).unwrap();
    assert!(made.starts_with("# Title\n\n") && made.ends_with("\n\nmore\n") && !made.contains("stale"));
    insta::assert_snapshot!(readme::block(&references));
}

#[test]
fn readme_needs_both_markers_once() {
    for readme in
        ["", BEGIN, END, &format!("{END}{BEGIN}"), &format!("{BEGIN}{BEGIN}{END}"), &format!("{BEGIN}{END}{END}")]
    {
        assert!(readme::replace(readme, &[]).is_err(), "{readme:?}");
    }
    assert!(readme::replace(&format!("{BEGIN}{END}"), &[]).unwrap().contains("Nothing has been measured"));
}
