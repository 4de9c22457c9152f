// SPDX-License-Identifier: GPL-2.0-only
//! Behaviours: what each end means on each side, and that it is kept and told.

use selftests::behaviour::{Behaviour, BehaviourEnd};
use selftests::lost::Lost;
use selftests::plan::Plan;
use selftests::protocol::{Envelope, Frame};
use xtask::judge::{self, side};
use xtask::outcome::{BehaviourState, SideOutcome, TargetOutcome};
use xtask::report::matrix;
use xtask::report::table::{Look, render};
use xtask::target::Target;
use xtask::transcript::Transcript;
use xtask::variant::Variant;
use xtask::verdict::Verdict;

use crate::builder::{boot, plan, renumber, target, told};

const NAME: &str = "sigkill.anon";
const ROW: &str = "\n[[behaviour]]\nnames = \"sigkill.*\"\nsides = { baseline = \"wrong\", patched = \"right\" }\nreason = \"polls\"\n";

fn behaviour() -> Behaviour {
    NAME.parse().unwrap()
}

fn behaving() -> Plan {
    Plan { behaviours: vec![behaviour()], ..plan(&["anon.sync.read@1"]) }
}

fn right() -> BehaviourEnd {
    BehaviourEnd::Right { saw: "gone 5.0 ms after SIGKILL".to_owned() }
}

fn wrong() -> BehaviourEnd {
    BehaviourEnd::Wrong { saw: "still waits in swap_readpage".to_owned() }
}

/// A complete boot in which the anonymous cells are `held`, with these frames before its bye.
fn with(held: bool, frames: Vec<Frame>) -> Transcript {
    let mut transcript = boot(&behaving(), |_, _| held);
    let bye = transcript.frames.pop().unwrap();
    transcript.frames.extend(frames.into_iter().map(|frame| Envelope { seq: 0, frame }));
    transcript.frames.push(bye);
    renumber(&mut transcript);
    transcript
}

fn tried(outcome: BehaviourEnd) -> Vec<Frame> {
    let behaviour = behaviour();
    vec![Frame::BehaviourStart { behaviour }, Frame::BehaviourResult { behaviour, outcome }]
}

fn boot_of(name: &str, outcome: BehaviourEnd) -> SideOutcome {
    side(name, &with(name == "baseline", tried(outcome)), &behaving(), &[])
}

/// Both sides of a target with the row, or without it.
fn both(row: &str, baseline: BehaviourEnd, patched: BehaviourEnd) -> TargetOutcome {
    let plain = target("v6.1");
    let own = plain.text.split("[[behaviour]]").next().unwrap();
    let text = format!("{own}{row}");
    let target = Target::parse(&plain.name, &plain.dir, &text).unwrap();
    let sides = vec![boot_of("baseline", baseline), boot_of("patched", patched)];
    judge::target(&target, "6.1.192", sides, &behaving(), Variant::Measure)
}

#[track_caller]
fn assert_is(outcome: &TargetOutcome, verdict: Verdict, part: &str) {
    let told = told(outcome.verdict, &outcome.reasons);
    assert_eq!(outcome.verdict, verdict, "{told}");
    assert!(told.contains(part), "{told}");
}

#[test]
fn right_is_expected_where_no_row_says_otherwise() {
    assert_is(&both("", right(), right()), Verdict::Pass, "");
    assert_is(&both(ROW, wrong(), right()), Verdict::Pass, "");
    assert_is(
        &both("", right(), wrong()),
        Verdict::Fail,
        "patched sigkill.anon is wrong, expected is right: still waits",
    );
    assert_is(&both(ROW, wrong(), wrong()), Verdict::Fail, "(polls)");
    assert_is(&both("", wrong(), right()), Verdict::Invalid, "baseline sigkill.anon is wrong");
    assert_is(
        &both(ROW, right(), right()),
        Verdict::Invalid,
        "baseline sigkill.anon is right, expected is wrong (polls)",
    );
}

#[test]
fn a_behaviour_that_was_not_tried_proves_nothing() {
    let skipped = BehaviourEnd::Lost(Lost::Skipped { reason: "no guest".to_owned() });
    assert_is(
        &both("", right(), skipped),
        Verdict::Invalid,
        "patched sigkill.anon is skipped, expected is right: no guest",
    );
    let ends = [
        (BehaviourEnd::Lost(Lost::Broken { reason: "no hold".to_owned() }), "no hold"),
        (BehaviourEnd::Lost(Lost::Exited { code: 7 }), "status 7"),
        (BehaviourEnd::Lost(Lost::Signaled { signal: 9 }), "signal 9"),
        (BehaviourEnd::Lost(Lost::Hung { deadline_ms: 25_000 }), "25000 ms"),
    ];
    for (end, part) in ends {
        let side = boot_of("patched", end);
        assert_eq!((side.verdict, side.behaviours[0].state), (Verdict::Invalid, BehaviourState::Broken));
        assert!(side.reasons[0].contains(NAME) && side.reasons[0].contains(part), "{:?}", side.reasons);
    }
}

#[test]
fn they_come_after_the_cells_each_once() {
    let broken = |frames: Vec<Frame>, part: &str| {
        let side = side("patched", &with(false, frames), &behaving(), &[]);
        assert_eq!(side.verdict, Verdict::Crashed);
        assert!(side.reasons[0].contains(part), "{:?}", side.reasons);
    };
    broken(Vec::new(), "bye comes before sigkill.anon has run");
    broken(tried(right())[..1].to_vec(), "sigkill.anon is under way");
    broken(tried(right())[1..].to_vec(), "the result of sigkill.anon");
    broken([tried(right()), tried(right())].concat(), "after all behaviours of the plan");
    let other = "sigkill.shmem".parse().unwrap();
    broken(vec![Frame::BehaviourStart { behaviour: other }], "sigkill.shmem starts where sigkill.anon must");
    let mut early = with(false, tried(right()));
    let start = early.frames.len() - 3;
    early.frames[2..=start].rotate_right(1);
    renumber(&mut early);
    let side = side("patched", &early, &behaving(), &[]);
    assert!(side.reasons[0].contains("sigkill.anon starts before control.held@1 has run"), "{:?}", side.reasons);
}

#[test]
fn it_is_kept_and_told() {
    let side = boot_of("patched", right());
    let json = serde_json::to_string(&side).unwrap();
    assert!(json.contains("\"state\":\"right\""), "{json}");
    assert_eq!(serde_json::from_str::<SideOutcome>(&json).unwrap(), side);
    let old = json.replace(&json[json.find("\"behaviours\"").unwrap()..json.find("\"verdict\"").unwrap()], "");
    assert!(serde_json::from_str::<SideOutcome>(&old).unwrap().behaviours.is_empty());
    let outcome = judge::outcome("tcg", vec![both(ROW, wrong(), right())], None);
    assert!(matrix::render(&outcome, Look::PLAIN).contains("v6.1: 0 of 1 behaviours are right on every side\n"));
    let text = render(&outcome, Look::PLAIN);
    assert!(
        text.contains("0 of 1 behaviours are right on every side\n    sigkill.anon  baseline wrong: still"),
        "{text}"
    );
    let text = render(&judge::outcome("tcg", vec![both("", right(), right())], None), Look::PLAIN);
    assert!(text.contains("1 of 1 behaviours are right on every side\n"), "{text}");
    assert!(!text.contains("sigkill.anon"), "{text}");
    let mut alone = both(ROW, wrong(), right());
    alone.sides.iter_mut().for_each(|side| side.cells.retain(|cell| cell.is_control()));
    let text = render(&judge::outcome("tcg", vec![alone], None), Look::PLAIN);
    assert!(text.contains("baseline 0 of 1 right, patched 1 of 1 right"), "{text}");
}
