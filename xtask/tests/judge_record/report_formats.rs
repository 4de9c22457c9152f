// SPDX-License-Identifier: GPL-2.0-only
//! The formats that other programs read, each read as strictly as its document says.

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::Value;
use xtask::report::{junit, kcidb, ktap, markdown};
use xtask::store::{self, Evidence};

use crate::builder::checkout;
use crate::told::{HOSTILE, crashed, failed, invalid, passed};

/// A result of KTAP, with those that are nested in it.
#[derive(Debug, PartialEq)]
struct Test {
    ok: bool,
    name: String,
    more: String,
    children: Vec<Test>,
}

/// Reads one level; every line must be one that ktap.rst describes, in its place.
fn tests(lines: &mut std::iter::Peekable<std::str::Lines<'_>>, indent: &str) -> Vec<Test> {
    assert_eq!(lines.next().unwrap().strip_prefix(indent), Some("KTAP version 1"));
    let subtest = |line: &&str| line.strip_prefix(indent).is_some_and(|line| line.starts_with("# Subtest: "));
    lines.next_if(subtest);
    let plan = lines.next().unwrap().strip_prefix(indent).unwrap().strip_prefix("1..").expect("a plan");
    let mut found = Vec::new();
    for number in 1..=plan.parse::<usize>().unwrap() {
        let diagnostic = |line: &&str| line.strip_prefix(indent).is_some_and(|line| line.starts_with("# "));
        while lines.next_if(diagnostic).is_some() {}
        let deeper = format!("{indent}  ");
        let nested = lines.peek().is_some_and(|line| line.starts_with(&deeper));
        let children = if nested { tests(lines, &deeper) } else { Vec::new() };
        let line = lines.next().unwrap().strip_prefix(indent).expect("a result");
        let (ok, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok ").unwrap_or_else(|| panic!("no result: {line:?}"))),
        };
        let (head, more) = rest.split_once(" # ").unwrap_or((rest, ""));
        let (count, name) = head.split_once(' ').unwrap();
        assert_eq!(count, number.to_string());
        assert!(!name.contains('#') && !line.contains(|letter: char| letter.is_control()), "{line:?}");
        assert_eq!(ok, ok && children.iter().all(|child| child.ok), "a failed child, and {line:?}");
        found.push(Test { ok, name: name.to_owned(), more: more.to_owned(), children });
    }
    found
}

fn ktap_of(evidence: &Evidence) -> Vec<Test> {
    let text = ktap::render(evidence);
    let mut lines = text.lines().peekable();
    let found = tests(&mut lines, "");
    assert_eq!(lines.next(), None, "lines beyond the plan");
    found
}

#[test]
fn a_pass_is_ok_at_every_level_of_ktap_and_its_defect_an_xfail() {
    let found = ktap_of(&passed());
    let [target] = &found[..] else { panic!("{found:?}") };
    assert!(target.ok && target.name == "v6.1" && target.children.len() == 2);
    let side =
        |index: usize| target.children[index].children.iter().map(|test| (test.name.as_str(), test.more.as_str()));
    assert!(side(0).any(|it| it == ("anon.sync.read@1.writer", "XFAIL held")));
    assert!(side(1).any(|it| it == ("anon.sync.read@1.writer", "released")));
    assert!(side(0).any(|it| it == ("control.held@1.writer", "held")));
    insta::assert_snapshot!(ktap::render(&passed()));
}

#[test]
fn ktap_tells_the_kernels_fault_from_the_harness() {
    let wrong = |evidence: &Evidence| {
        let found = ktap_of(evidence);
        assert!(!found[0].ok && !found[0].children[1].ok && found[0].children[0].ok);
        let side = found.into_iter().next().unwrap().children.into_iter().nth(1).unwrap();
        side.children.into_iter().filter(|test| !test.ok).map(|test| test.name + ": " + &test.more).collect::<Vec<_>>()
    };
    let failed = wrong(&failed());
    assert!(failed.iter().all(|it| it.contains("shows held, expected is released")) && failed.len() == 2, "{failed:?}");
    let invalid = wrong(&invalid());
    assert!(invalid[0].starts_with("boot: ERROR control.held shows"), "{invalid:?}");
    let crashed = wrong(&crashed());
    assert!(crashed[0].starts_with("boot: the console reports a panic"), "{crashed:?}");
}

#[test]
fn nothing_of_a_boot_that_proves_nothing_is_ok_without_skip() {
    for evidence in [crashed(), invalid()] {
        let found = ktap_of(&evidence);
        for test in found[0].children[1].children.iter().filter(|test| test.ok) {
            assert!(test.more.starts_with("SKIP ") && test.more.contains("proves nothing"), "{test:?}");
        }
    }
}

#[test]
fn a_run_that_no_kernel_had_a_part_in_has_a_case_too() {
    let mut evidence = passed();
    evidence.outcome = xtask::judge::without_kernel(&xtask::error::Error::Infra(anyhow::anyhow!("no space"))).unwrap();
    let found = ktap_of(&evidence);
    assert_eq!((found.len(), found[0].ok, found[0].more.as_str()), (1, false, "ERROR no space"));
    let report = Report::deserialize_from_str(&junit::render(&evidence).unwrap()).unwrap();
    assert_eq!((report.tests, report.errors), (1, 1));
}

#[test]
fn a_target_that_did_not_build_says_so_once() {
    let mut evidence = passed();
    let error = xtask::error::Error::Build(anyhow::anyhow!("mm/gup.c:1: error: no"));
    let side = evidence.outcome.targets[0].sides.remove(0);
    let stopped = xtask::judge::stopped("v6.1", "6.1.192", vec![side], &error).unwrap();
    evidence.outcome = xtask::judge::outcome("tcg", vec![stopped], evidence.outcome.run);
    let found = ktap_of(&evidence);
    let last = found[0].children.last().unwrap();
    assert!(!found[0].ok && found[0].children[0].ok && !last.ok && last.more.contains("mm/gup.c:1"), "{found:?}");
    let report = Report::deserialize_from_str(&junit::render(&evidence).unwrap()).unwrap();
    assert_eq!((report.failures, report.errors), (1, 0), "a kernel that does not build is no error of the harness");
    let all = valid(&evidence);
    let failed: Vec<&Value> = all["builds"].as_array().unwrap().iter().filter(|it| it["status"] == "FAIL").collect();
    assert!(failed.len() == 1 && failed[0]["log_excerpt"].as_str().unwrap().contains("mm/gup.c:1"));
}

#[test]
fn a_series_that_does_not_apply_is_a_checkout_that_is_not_valid() {
    let mut evidence = passed();
    let error = xtask::error::Error::Apply(anyhow::anyhow!("hunk 2 of mm/shmem.c does not fit"));
    let stopped = xtask::judge::stopped("v6.1", "6.1.192", Vec::new(), &error).unwrap();
    evidence.outcome = xtask::judge::outcome("tcg", vec![stopped], evidence.outcome.run);
    let all = valid(&evidence);
    assert_eq!(all["checkouts"].as_array().unwrap().len(), 1);
    assert_eq!(all["checkouts"][0]["valid"], false);
    assert!(all["checkouts"][0]["log_excerpt"].as_str().unwrap().contains("hunk 2"));
}

#[test]
fn junit_has_failures_errors_and_skips_apart_and_the_console() {
    let read = |evidence: &Evidence| {
        let report = Report::deserialize_from_str(&junit::render(evidence).unwrap()).unwrap();
        let console = report.test_suites[1].system_out.as_ref().unwrap().as_str().to_owned();
        assert!(console.starts_with("[    0.000000] Linux version 6.1.192"), "{console:?}");
        let cases: Vec<_> = report.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
        let kind = |kind: NonSuccessKind| {
            cases
                .iter()
                .filter(|it| matches!(&it.status, TestCaseStatus::NonSuccess { kind: of, .. } if *of == kind))
                .count()
        };
        let skipped = cases.iter().filter(|it| matches!(it.status, TestCaseStatus::Skipped { .. })).count();
        assert_eq!((report.failures, report.errors), (kind(NonSuccessKind::Failure), kind(NonSuccessKind::Error)));
        [kind(NonSuccessKind::Failure), kind(NonSuccessKind::Error), skipped]
    };
    assert_eq!(read(&passed()), [0, 0, 0]);
    assert_eq!(read(&failed()), [2, 0, 0], "both probes were held");
    let [failures, errors, skipped] = read(&invalid());
    assert!(failures == 0 && errors == 1 && skipped > 0, "{failures} {errors} {skipped}");
    let [failures, errors, _] = read(&crashed());
    assert!(failures == 1 && errors == 0, "{failures} {errors}");
}

#[test]
fn hostile_words_survive_xml_as_words() {
    let xml = junit::render(&crashed()).unwrap();
    assert!(!xml.contains("<script") && !xml.contains('\u{7}') && !xml.contains('\u{fffe}'), "{xml}");
    let report = Report::deserialize_from_str(&xml).unwrap();
    let case = &report.test_suites[1].test_cases[0];
    let TestCaseStatus::NonSuccess { message: Some(message), .. } = &case.status else { panic!("{case:?}") };
    assert!(message.as_str().contains("</pre><script>alert(1)</script> # SKIP ``` ]]>"), "{message:?}");
}

/// Against the schema that kernel CI systems publish.
fn valid(evidence: &Evidence) -> Value {
    let path = checkout().join("xtask/tests/fixtures/kcidb/v5.3.json");
    // The validator's regular expressions have another name for NUL.
    let text = std::fs::read_to_string(path).unwrap().replace(r"\\0", r"\\x00");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let all: Value = serde_json::from_str(&kcidb::render(evidence).unwrap()).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&all).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    all
}

#[test]
fn kcidb_is_what_the_schema_says_and_every_id_is_there_once() {
    for evidence in [passed(), failed(), crashed(), invalid(), store::evidence(&checkout(), Some("reference")).unwrap()]
    {
        let all = valid(&evidence);
        for list in ["checkouts", "builds", "tests"] {
            let mut ids: Vec<&str> =
                all[list].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert!(count > 0 && ids.len() == count, "{list}: {count} ids, {} of them different", ids.len());
        }
        let known = |list: &str, id: &Value| all[list].as_array().unwrap().iter().any(|it| it["id"] == *id);
        assert!(all["builds"].as_array().unwrap().iter().all(|it| known("checkouts", &it["checkout_id"])));
        assert!(all["tests"].as_array().unwrap().iter().all(|it| known("builds", &it["build_id"])));
    }
}

#[test]
fn kcidb_has_figures_in_seconds_and_blames_whom_it_must() {
    let all = valid(&passed());
    let tests = all["tests"].as_array().unwrap();
    let at = |path: &str| tests.iter().filter(|it| it["path"] == path).cloned().collect::<Vec<_>>();
    let waits = at("kvm_gup_io.anon.sync.read.1.writer.wait_max");
    assert_eq!((waits[0]["status"].as_str(), waits[0]["number"]["value"].as_f64()), (Some("DONE"), Some(0.1035)));
    let states = at("kvm_gup_io.anon.sync.read.1.writer");
    assert_eq!([&states[0]["status"], &states[1]["status"]], ["DONE", "PASS"], "the known defect says nothing new");
    for (evidence, status) in [(failed(), "FAIL"), (crashed(), "FAIL"), (invalid(), "ERROR")] {
        let all = valid(&evidence);
        let wrong = all["tests"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| ["FAIL", "ERROR", "MISS"].iter().any(|of| it["status"] == *of));
        assert!(wrong.clone().count() > 0 && wrong.clone().all(|it| it["status"] == status), "{status}");
    }
}

#[test]
fn markdown_for_a_mail() {
    insta::assert_snapshot!(markdown::render(&passed()));
}

#[test]
fn hostile_words_do_not_leave_their_fence() {
    let text = markdown::render(&crashed());
    let fence = "````";
    let console = text.split(&format!("\n{fence}\n")).nth(1).unwrap();
    assert!(console.contains("``` ]]> |") && console.contains("not ok 2 injected"), "{text}");
    let reason = text.lines().find(|line| line.starts_with("* ")).unwrap();
    assert!(reason.contains("\\<script\\>") && HOSTILE.contains("<script>"), "{reason}");
}

#[test]
fn the_evidence_of_one_target_and_of_all() {
    let all = store::evidence(&checkout(), Some("reference")).unwrap();
    let one = store::evidence(&checkout(), Some("results/reference/v6.1.json")).unwrap();
    assert!(all.outcome.targets.len() > 5 && all.outcome.exit == 0);
    assert_eq!(one.outcome.targets.len(), 1);
    assert_eq!(store::evidence(&checkout(), Some("reference/v6.1")).unwrap(), one);
    assert_eq!(store::evidence(&checkout(), Some("reference/v0.0")).unwrap_err().exit_code(), 4);
    assert!(ktap_of(&all).iter().all(|test| test.ok));
}

#[test]
fn the_patches_of_a_side_are_known_by_their_digest() {
    let path = checkout().join("xtask/tests/fixtures/0001-mail.patch");
    let patches = xtask::series::load(&[path]).unwrap();
    // sha256sum 0001-mail.patch | cut -c-64 | sha256sum
    let digest = "08b4dbb02298d0e797f9bcda6f8a5a5e7e743f226d79381a068ce26e42c35980";
    assert_eq!(xtask::series::digest(&patches), digest);
    assert_eq!(xtask::series::digest(&[]), "");
    let mut evidence = passed();
    let sides = &mut evidence.info.as_mut().unwrap().targets[0].sides;
    (sides[0].patchset, sides[1].patchset) = (Some(String::new()), Some(digest.to_owned()));
    let all = valid(&evidence);
    assert_eq!([&all["checkouts"][0]["patchset_hash"], &all["checkouts"][1]["patchset_hash"]], ["", digest]);
}
