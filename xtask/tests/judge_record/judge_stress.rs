// SPDX-License-Identifier: GPL-2.0-only
//! A stress of guest memory: what each end of it means, and that it is kept and told.

use selftests::lost::Lost;
use selftests::plan::{Plan, Stress};
use selftests::protocol::{Envelope, Frame};
use selftests::tally::{OPERATIONS, StressEnd, Tally, Wrong};
use xtask::judge::{self, side};
use xtask::outcome::{SideOutcome, StressState};
use xtask::report::{matrix, table::Look, table::render};
use xtask::transcript::Transcript;
use xtask::verdict::Verdict;

use crate::builder::{boot, finding, judged, plan, renumber, target, told};

const STRESS: Stress = Stress { seconds: 60, seed: 7 };

fn stressed() -> Plan {
    Plan { stress: Some(STRESS), ..plan(&["anon.sync.read@1"]) }
}

fn tally() -> Tally {
    Tally {
        guest_reads: 9000,
        guest_writes: 3000,
        denied: 12,
        swap_reads: 2500,
        swap_writes: 1000,
        delayed: 2400,
        async_pf: Some(800),
        longest_ms: 321.5,
        operations: OPERATIONS.iter().map(|name| ((*name).to_owned(), 90)).collect(),
        ..Tally::default()
    }
}

fn wrong() -> Wrong {
    Wrong {
        seen_by: "vcpu1".to_owned(),
        backing: "shmem".to_owned(),
        page: 3,
        word: 17,
        expected: "0x44000002".to_owned(),
        found: "0xaaaaaaaa".to_owned(),
    }
}

/// A complete boot with these frames before its bye.
fn with(frames: Vec<Frame>) -> Transcript {
    let mut transcript = boot(&stressed(), |_, _| false);
    let bye = transcript.frames.pop().unwrap();
    transcript.frames.extend(frames.into_iter().map(|frame| Envelope { seq: 0, frame }));
    transcript.frames.push(bye);
    renumber(&mut transcript);
    transcript
}

fn ended(outcome: StressEnd) -> Transcript {
    let note = Frame::Note { text: "stress: 12 guest reads".to_owned() };
    with(vec![Frame::StressStart { stress: STRESS }, note, Frame::StressResult { outcome }])
}

fn judge(transcript: &Transcript) -> SideOutcome {
    side("patched", transcript, &stressed(), &[])
}

#[track_caller]
fn assert_is(transcript: &Transcript, verdict: Verdict, part: &str) -> SideOutcome {
    let side = judge(transcript);
    let told = told(side.verdict, &side.reasons);
    assert_eq!(side.verdict, verdict, "{told}");
    assert!(told.contains(part), "{told}");
    side
}

#[test]
fn a_sound_stress_passes_and_is_kept() {
    let side = assert_is(&ended(StressEnd::Complete { tally: tally() }), Verdict::Pass, "");
    let stress = side.stress.clone().unwrap();
    assert_eq!((stress.seconds, stress.seed, stress.state), (60, 7, StressState::Sound));
    assert_eq!(stress.tally, Some(tally()));
    let json = serde_json::to_string(&side).unwrap();
    assert_eq!(serde_json::from_str::<SideOutcome>(&json).unwrap(), side);
}

#[test]
fn an_outcome_of_before_reads_back_without_a_stress() {
    let side = side("patched", &boot(&plan(&[]), |_, _| false), &plan(&[]), &[]);
    let json = serde_json::to_string(&side).unwrap();
    assert!(!json.contains("stress"), "{json}");
    assert_eq!(serde_json::from_str::<SideOutcome>(&json).unwrap().stress, None);
    let old = serde_json::to_string(&plan(&[])).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&old).unwrap().stress, None);
}

#[test]
fn corruption_and_hangs_are_the_kernels() {
    let corrupt = StressEnd::Corrupt { wrong: wrong(), tally: tally() };
    let part =
        "stress with seed 7: the guest's memory was corrupted: vcpu1 found 0xaaaaaaaa at word 17 of shmem page 3";
    let side = assert_is(&ended(corrupt.clone()), Verdict::Crashed, part);
    assert_eq!(side.stress.unwrap().state, StressState::Corrupt);
    let stuck = StressEnd::Stuck { reason: "vCPU 0 has not ended an access".to_owned(), tally: tally() };
    let side = assert_is(&ended(stuck), Verdict::Crashed, "vCPU 0 has not ended");
    assert_eq!(side.stress.unwrap().state, StressState::Hung);
    assert_is(
        &ended(StressEnd::Lost(Lost::Hung { deadline_ms: 9000 })),
        Verdict::Crashed,
        "had not ended after 9000 ms",
    );
    // Beside a splat on the console both are told.
    let mut both = ended(corrupt);
    both.findings.push(finding("kasan", "BUG: KASAN: slab-use-after-free in shmem_swapin_folio"));
    assert_is(&both, Verdict::Crashed, "corrupted");
    assert_is(&both, Verdict::Crashed, "KASAN");
}

#[test]
fn what_was_no_stress_is_invalid() {
    let broken = [
        (
            StressEnd::Complete { tally: Tally { swap_reads: 0, ..tally() } },
            "it proves nothing: nothing was swapped in",
        ),
        (StressEnd::Complete { tally: Tally { async_pf: Some(0), ..tally() } }, "no async page fault was taken"),
        (StressEnd::Complete { tally: Tally { async_pf: None, ..tally() } }, "could not be counted"),
        (StressEnd::Lost(Lost::Skipped { reason: "no NBD".to_owned() }), "it could not be made: no NBD"),
        (StressEnd::Lost(Lost::Broken { reason: "fork: EAGAIN".to_owned() }), "fork: EAGAIN"),
        (StressEnd::Lost(Lost::Exited { code: 101 }), "exited early with status 101"),
        (StressEnd::Lost(Lost::Signaled { signal: 9 }), "killed by signal 9"),
    ];
    for (end, part) in broken {
        let side = assert_is(&ended(end), Verdict::Invalid, part);
        assert_eq!(side.stress.unwrap().state, StressState::Broken);
    }
    for name in OPERATIONS {
        let mut tally = tally();
        tally.operations.remove(name);
        assert_is(&ended(StressEnd::Complete { tally }), Verdict::Invalid, &format!("{name} was never done"));
    }
}

#[test]
fn a_stress_that_is_missing_or_another_is_no_pass() {
    assert_is(&with(Vec::new()), Verdict::Crashed, "bye comes before the stress has run");
    let start = Frame::StressStart { stress: STRESS };
    assert_is(&with(vec![start]), Verdict::Crashed, "the stress is under way");
    let other = Frame::StressStart { stress: Stress { seconds: 1, ..STRESS } };
    assert_is(&with(vec![other]), Verdict::Crashed, "it was asked for");
    let result = Frame::StressResult { outcome: StressEnd::Complete { tally: tally() } };
    assert_is(&with(vec![result]), Verdict::Crashed, "is the result of a stress");
    let unasked = ended(StressEnd::Complete { tally: tally() });
    let side = side("patched", &unasked, &Plan { stress: None, ..stressed() }, &[]);
    assert!(told(side.verdict, &side.reasons).contains("a stress starts that nobody asked for"));
    let mut cut = ended(StressEnd::Complete { tally: tally() });
    let at = cut.frames.len() - 2;
    cut.frames.truncate(at);
    assert_is(&cut, Verdict::Crashed, "without a bye: the stress is under way");
}

#[test]
fn both_tables_tell_it() {
    let (named, plan) = (target("v6.1"), stressed());
    let mut boots = crate::builder::both(&named, &plan);
    for (_, transcript) in &mut boots {
        let stress = ended(StressEnd::Complete { tally: tally() });
        let at = stress.frames.len() - 4;
        let bye = transcript.frames.pop().unwrap();
        transcript.frames.extend(stress.frames[at..at + 3].iter().cloned());
        transcript.frames.push(bye);
        renumber(transcript);
    }
    let outcome = judge::outcome("tcg", vec![judged(&named, &plan, &boots)], None);
    for text in [render(&outcome, Look::PLAIN), matrix::render(&outcome, Look::PLAIN)] {
        assert!(text.contains("stress of guest memory on v6.1 patched: sound (60 s, seed 7)\n"), "{text}");
        assert!(
            text.contains("800 async page faults, longest access 322 ms\n    swap: 2500 reads, 1000 writes"),
            "{text}"
        );
        assert!(text.contains("shmem.punch 90"), "{text}");
    }
}
