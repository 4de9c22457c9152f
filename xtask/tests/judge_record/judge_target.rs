// SPDX-License-Identifier: GPL-2.0-only
//! Both sides against the expectations, and the exit code that follows.

use anyhow::anyhow;
use selftests::lost::Lost;
use selftests::plan::Plan;
use selftests::protocol::CellEnd;
use xtask::error::Error;
use xtask::judge::{self, HELD_SHARE, RELEASED_SHARE};
use xtask::outcome::{Outcome, TargetOutcome};
use xtask::target::Target;
use xtask::transcript::Transcript;
use xtask::variant::Variant;
use xtask::verdict::Verdict;

use crate::builder::{as_expected, boot, both, cell, each_sample, end_as, finding, judged, plan, sample, target, told};

/// Breaks the boots of both sides in one way.
type Mutation = fn(&mut [(&'static str, Transcript)], &Plan);

fn exit(outcome: TargetOutcome) -> u8 {
    judge::outcome("tcg", vec![outcome], None).exit
}

#[track_caller]
fn assert_is(target: &Target, mutation: Mutation, exit_code: u8, part: &str) {
    let plan = plan(&[]);
    let mut boots = both(target, &plan);
    mutation(&mut boots, &plan);
    let outcome = judged(target, &plan, &boots);
    let told = told(outcome.verdict, &outcome.reasons);
    assert_eq!(exit(outcome), exit_code, "{told}");
    assert!(told.contains(part), "{told}");
}

#[test]
fn what_is_expected_passes_on_every_target() {
    for name in ["v3.17", "v5.10", "v6.1", "v7.3"] {
        let (target, plan) = (target(name), plan(&[]));
        let outcome = judged(&target, &plan, &both(&target, &plan));
        assert_eq!((outcome.verdict, outcome.reasons.len()), (Verdict::Pass, 0), "{:?}", outcome.reasons);
        assert_eq!(exit(outcome), 0);
    }
}

#[test]
fn where_either_is_expected_of_the_reader_the_writer_is_not_excused() {
    fn once(boots: &mut [(&'static str, Transcript)], writer_held: bool, reader_held: bool) {
        let name = "shmem.sync.write@8";
        each_sample(&mut boots[0].1, name, |it| {
            *it = match it.trial {
                1 => sample(cell(name), 1, writer_held, reader_held),
                trial => sample(cell(name), trial, true, true),
            }
        });
    }
    let target = target("v5.10");
    assert_is(&target, |boots, _| once(boots, true, false), 0, "");
    assert_is(&target, |boots, _| once(boots, false, true), 104, "baseline shmem.sync.write@8 (writer) shows mixed");
}

#[test]
fn each_mutated_run_has_its_exit_code() {
    let table: [(Mutation, u8, &str); 10] = [
        // The series emptied: the patched kernel is the stock one.
        (
            |boots, _| boots[1].1 = boots[0].1.clone(),
            100,
            "patched anon.sync.read@1 (writer, reader), anon.sync.write@1 (writer, reader), ",
        ),
        // The kernel under test never had the defect.
        (
            |boots, _| boots[0].1 = boots[1].1.clone(),
            104,
            "file-random.apf-halt.write@1 (writer, reader) shows released, expected is held",
        ),
        // One trial is enough to disprove a series.
        (
            |boots, _| {
                each_sample(&mut boots[1].1, "shmem.sync.write@8", |it| {
                    if it.trial == 1 {
                        *it = sample(cell("shmem.sync.write@8"), 1, true, true);
                    }
                });
            },
            100,
            "patched shmem.sync.write@8 (writer, reader) shows mixed",
        ),
        (
            |boots, _| {
                each_sample(&mut boots[0].1, "shmem.sync.write@8", |it| {
                    if it.trial == 1 {
                        *it = sample(cell("shmem.sync.write@8"), 1, false, false);
                    }
                });
            },
            104,
            "baseline shmem.sync.write@8 (writer, reader) shows mixed",
        ),
        // A crash is worse than a lock that was held.
        (
            |boots, plan| {
                boots[1].1 = boot(plan, |_, _| true);
                boots[1].1.findings.push(finding("panic", "Kernel panic - not syncing"));
            },
            103,
            "patched: the console reports a panic",
        ),
        (
            |boots, _| {
                each_sample(&mut boots[1].1, "control.held@1", |it| {
                    *it = sample(cell("control.held@1"), it.trial, false, false)
                })
            },
            104,
            "patched: control.held shows released",
        ),
        (
            |boots, _| {
                end_as(
                    &mut boots[1].1,
                    "anon.sync.read@1",
                    &CellEnd::Lost(Lost::Skipped { reason: "no swap".to_owned() }),
                )
            },
            104,
            "target.toml declares no skip: no swap",
        ),
        // Sizes never turn into a failure.
        (
            |boots, plan| {
                let slow = f64::from(plan.hold_ms) * RELEASED_SHARE;
                each_sample(&mut boots[1].1, "anon.sync.read@1", |it| {
                    it.hold_ms = 20.0;
                    it.probes[0].wait_ms = slow;
                });
            },
            125,
            "patched anon.sync.read@1 (writer) is released, but with a median wait of 5.0 ms",
        ),
        (
            |boots, plan| {
                let late = f64::from(plan.hold_ms) * HELD_SHARE - 1.0;
                each_sample(&mut boots[0].1, "anon.sync.read@1", |it| it.probes[0].wait_ms = late);
            },
            125,
            "baseline anon.sync.read@1 (writer) waited 89.0 ms at most",
        ),
        (|boots, _| boots[0].1.frames.truncate(20), 103, "baseline: the frames end without a bye"),
    ];
    let target = target("v6.1");
    for (mutation, exit_code, part) in table {
        assert_is(&target, mutation, exit_code, part);
    }
}

#[test]
fn sizes_just_inside_their_bounds_pass() {
    let (target, plan) = (target("v6.1"), plan(&[]));
    let mut boots = both(&target, &plan);
    each_sample(&mut boots[0].1, "anon.sync.read@1", |it| it.probes[0].wait_ms = 90.0);
    each_sample(&mut boots[1].1, "anon.sync.read@1", |it| {
        it.hold_ms = 20.0;
        it.probes[0].wait_ms = 4.9;
    });
    assert_eq!(judged(&target, &plan, &boots).verdict, Verdict::Pass);
}

#[test]
fn a_lock_that_is_let_go_unexpectedly_asks_for_a_new_target_toml() {
    let text = target("v6.1").text.replace("patched = \"released\"", "patched = \"held\"");
    let target = Target::parse("v6.1", std::path::Path::new("."), &text).unwrap();
    let plan = plan(&["anon.sync.read@1"]);
    let boots = [("patched", boot(&plan, |_, _| false))];
    let outcome = judged(&target, &plan, &boots);
    assert_eq!(outcome.verdict, Verdict::Invalid);
    assert!(outcome.reasons[0].contains("correct target.toml"), "{:?}", outcome.reasons);
}

#[test]
fn a_declared_skip_passes_as_long_as_something_was_measured() {
    let text = format!("{}\n[[skip]]\ncells = \"anon.apf-halt.*\"\nreason = \"no irqchip\"\n", target("v6.1").text);
    let target = Target::parse("v6.1", std::path::Path::new("."), &text).unwrap();
    let skipped = |globs: &[&str]| {
        let plan = plan(globs);
        let mut boots = both(&target, &plan);
        for (_, transcript) in &mut boots {
            end_as(
                transcript,
                "anon.apf-halt.read@1",
                &CellEnd::Lost(Lost::Skipped { reason: "no irqchip".to_owned() }),
            );
        }
        judged(&target, &plan, &boots)
    };
    assert_eq!(skipped(&["anon.*.read@1"]).verdict, Verdict::Pass);
    let nothing = skipped(&["anon.apf-halt.read@1"]);
    assert_eq!(nothing.verdict, Verdict::Inconclusive);
    assert!(nothing.reasons[0].contains("nothing but controls"), "{:?}", nothing.reasons);
}

#[test]
fn one_side_alone_compares_nothing() {
    let (target, plan) = (target("v6.1"), plan(&[]));
    for (side, missing) in [("baseline", "patched"), ("patched", "baseline")] {
        let outcome = judged(&target, &plan, &[(side, as_expected(&target, side, &plan))]);
        assert_eq!(outcome.verdict, Verdict::Inconclusive);
        assert!(outcome.reasons[0].starts_with(&format!("{missing} was not run")), "{:?}", outcome.reasons);
    }
    assert_eq!(judged(&target, &plan, &[]).verdict, Verdict::Inconclusive);
}

/// v6.1 with a side that is there to die in a debug kernel.
fn with_v2() -> Target {
    let v6_1 = target("v6.1");
    let row = r#"
[[side]]
name = "v2"
patches = "v2"
reason = "as posted"
dies = { config = "debug", pattern = "kernel BUG at .*kvm_main" }
"#;
    Target::parse("v6.1", &v6_1.dir, &format!("{}{row}", v6_1.text)).unwrap()
}

#[test]
fn a_side_that_is_there_to_die_must_die_as_declared_and_only_in_its_variant() {
    let (target, plan) = (with_v2(), plan(&["anon.sync.*"]));
    let run = |variant, v2: &Transcript| {
        let mut boots = both(&target, &plan);
        boots.push(("v2", v2.clone()));
        let sides = boots.iter().map(|(side, boot)| judge::side(side, boot, &plan, &[])).collect();
        judge::target(&target, "6.1.192", sides, &plan, variant)
    };
    let died = |line: &str| {
        let mut boot = as_expected(&target, "patched", &plan);
        boot.findings = vec![finding("bug", line)];
        boot
    };
    let sound = as_expected(&target, "patched", &plan);
    let declared = died("kernel BUG at virt/kvm/kvm_main.c:1150!");

    assert_eq!(exit(run(Variant::Debug, &declared)), 0);
    assert_eq!(exit(run(Variant::Measure, &declared)), 103);
    assert_eq!(exit(run(Variant::Debug, &died("kernel BUG at mm/shmem.c:99!"))), 103);
    let survived = run(Variant::Debug, &sound);
    assert!(survived.reasons[0].contains("is there to crash with"), "{:?}", survived.reasons);
    assert_eq!(exit(survived), 104);
    // Of a further side that no row speaks about nothing is expected.
    assert_eq!(exit(run(Variant::Measure, &sound)), 0);
}

#[test]
fn a_debug_run_needs_the_patched_side_alone() {
    let (target, plan) = (target("v6.1"), plan(&["anon.sync.*"]));
    let alone = |side| {
        let sides = vec![judge::side(side, &as_expected(&target, side, &plan), &plan, &[])];
        exit(judge::target(&target, "6.1.192", sides, &plan, Variant::Debug))
    };
    assert_eq!((alone("patched"), alone("baseline")), (0, 125));
}

#[test]
fn one_wait_close_to_the_hold_is_no_clean_release() {
    let (target, plan) = (target("v6.1"), plan(&[]));
    for (wait, verdict) in [(49.0, Verdict::Pass), (51.0, Verdict::Inconclusive)] {
        let mut boots = both(&target, &plan);
        each_sample(&mut boots[1].1, "anon.sync.read@1", |sample| {
            if sample.trial == 0 {
                (sample.hold_ms, sample.probes[0].wait_ms) = (60.0, wait);
            }
        });
        assert_eq!(judged(&target, &plan, &boots).verdict, verdict, "{wait} ms");
    }
}

#[test]
fn a_tree_without_target_passes_by_being_measured() {
    let plan = plan(&["anon.*"]);
    let tree =
        |transcript: &Transcript| judge::tree("tree", "6.9.0", vec![judge::side("tree", transcript, &plan, &[])]);
    for held in [false, true] {
        assert_eq!(tree(&boot(&plan, |_, _| held)).verdict, Verdict::Pass);
    }
    let mut disagreeing = boot(&plan, |_, _| false);
    each_sample(&mut disagreeing, "anon.sync.read@1", |it| {
        if it.trial == 0 {
            *it = sample(cell("anon.sync.read@1"), 0, true, true);
        }
    });
    assert_eq!(tree(&disagreeing).verdict, Verdict::Inconclusive);
    disagreeing.frames.truncate(9);
    assert_eq!(tree(&disagreeing).verdict, Verdict::Crashed);
}

#[test]
fn the_worst_target_decides_and_all_reasons_are_kept() {
    let (target, plan) = (target("v6.1"), plan(&[]));
    let passed = judged(&target, &plan, &both(&target, &plan));
    let error = Error::Build(anyhow!("`make bzImage` exited with status 2"));
    let stopped = judge::stopped("v7.3", "7.3.4", Vec::new(), &error).unwrap();
    let outcome: Outcome = judge::outcome("tcg", vec![passed, stopped], Some("results/runs/x".to_owned()));
    assert_eq!((outcome.verdict, outcome.exit), (Verdict::BuildFailed, 101));
    assert_eq!(outcome.reasons, ["v7.3: `make bzImage` exited with status 2"]);
    assert!(judge::stopped("v6.1", "", Vec::new(), &Error::Usage(anyhow!("no"))).is_none());
    assert_eq!(judge::outcome("tcg", Vec::new(), None).exit, 125);
}
