// SPDX-License-Identifier: GPL-2.0-only
//! One boot by itself: each way to be wrong has its verdict and names the culprit.

use selftests::lost::Lost;
use selftests::protocol::{CellEnd, Frame, Meanwhile};
use xtask::judge::side;
use xtask::outcome::{CellOutcome, CellState, SideOutcome};
use xtask::transcript::{Ending, Transcript};
use xtask::verdict::Verdict;

use crate::builder::{TRIALS, boot, cell, each_sample, end_as, finding, plan, renumber, sample, told};

const CELLS: [&str; 2] = ["anon.sync.read@1", "anon.apf-halt.read@1"];

fn held() -> Transcript {
    boot(&plan(&CELLS), |_, _| true)
}

fn released() -> Transcript {
    boot(&plan(&CELLS), |_, _| false)
}

fn judged(transcript: &Transcript) -> SideOutcome {
    side("baseline", transcript, &plan(&CELLS), &[])
}

fn found<'a>(side: &'a SideOutcome, name: &str, probe: &str) -> &'a CellOutcome {
    side.cells.iter().find(|cell| cell.cell == name && cell.probe == probe).unwrap()
}

#[track_caller]
fn assert_is(transcript: &Transcript, verdict: Verdict, part: &str) {
    let side = judged(transcript);
    let told = told(side.verdict, &side.reasons);
    assert_eq!(side.verdict, verdict, "{told}");
    assert!(told.contains(part), "{told}");
}

#[test]
fn a_complete_sequence_passes_whatever_it_shows() {
    for (transcript, state) in [(held(), CellState::Held), (released(), CellState::Released)] {
        let side = judged(&transcript);
        assert_eq!((side.verdict, side.controls_ok, side.boot_ms), (Verdict::Pass, true, 1900), "{:?}", side.reasons);
        assert_eq!(side.cells.len(), 4 * 2);
        assert_eq!(found(&side, "anon.sync.read", "writer").state, state);
        assert_eq!(found(&side, "anon.sync.read", "reader").n, TRIALS);
    }
}

#[test]
fn a_held_cell_names_the_most_frequent_stack_and_its_waits() {
    let mut transcript = held();
    each_sample(&mut transcript, "anon.sync.read@1", |sample| {
        if sample.trial == 0 {
            sample.waiter = vec!["something_rare".to_owned()];
        }
    });
    let side = judged(&transcript);
    let cell = found(&side, "anon.sync.read", "writer");
    assert_eq!(cell.holder[1], "swap_readpage");
    assert_eq!((cell.wait_ms.median, cell.wait_ms.p99, cell.wait_ms.max), (102.5, 103.5, 103.5));
    assert!((cell.hold_ms - 105.0).abs() < 1e-9);
}

#[test]
fn a_crash_on_the_console_counts_even_after_bye() {
    let mut transcript = held();
    transcript.findings.push(finding("oops", "BUG: kernel NULL pointer dereference, address: 0"));
    assert_is(&transcript, Verdict::Crashed, "BUG: kernel NULL pointer");
    let mut note = held();
    note.findings.push(finding("note", "random: crng init done"));
    note.findings[0].fatal = false;
    assert_eq!(judged(&note).verdict, Verdict::Pass);
}

#[test]
fn a_tolerated_finding_does_not_count() {
    let text = "class = \"warning\"\npattern = \"topology_sane\"\nreason = \"QEMU's NUMA nodes\"";
    let tolerate = [toml::from_str(text).unwrap()];
    let mut transcript = held();
    transcript.findings.push(finding("warning", "WARNING: CPU: 1 PID: 0 at topology_sane.isra.0+0x6c"));
    assert_eq!(side("baseline", &transcript, &plan(&CELLS), &tolerate).verdict, Verdict::Pass);
    transcript.findings.push(finding("warning", "WARNING: CPU: 0 PID: 1 at mm/memory.c:1"));
    assert_eq!(side("baseline", &transcript, &plan(&CELLS), &tolerate).verdict, Verdict::Crashed);
}

#[test]
fn the_ending_says_who_failed() {
    let stderr = "terminating on signal 15".to_owned();
    let table = [
        (Ending::TimedOut { phase: "frame".to_owned(), deadline_ms: 20_000 }, Verdict::Crashed, "phase frame"),
        (
            Ending::TimedOut { phase: "qemu-start".to_owned(), deadline_ms: 5000 },
            Verdict::Infra,
            "QEMU had not come up",
        ),
        (Ending::KilledAfterCrash, Verdict::Crashed, "crash on the console"),
        (Ending::Signaled { signal: 9, stderr: stderr.clone() }, Verdict::Infra, "signal 9"),
        (Ending::FailedToStart { stderr }, Verdict::Infra, "terminating on signal 15"),
    ];
    for (ending, verdict, part) in table {
        let mut transcript = held();
        transcript.ending = ending.clone();
        assert_is(&transcript, verdict, part);
        // The same if it came in the middle.
        transcript.frames.truncate(5);
        assert_is(&transcript, verdict, part);
    }
}

#[test]
fn a_panic_stays_a_crash_if_somebody_then_kills_qemu() {
    let mut transcript = held();
    transcript.frames.truncate(5);
    transcript.findings.push(finding("panic", "Kernel panic - not syncing: Attempted to kill init!"));
    transcript.ending = Ending::Signaled { signal: 9, stderr: String::new() };
    assert_is(&transcript, Verdict::Crashed, "Attempted to kill init!");
}

#[test]
fn a_cut_stream_is_a_crash_unless_qemu_was_killed() {
    let mut transcript = held();
    transcript.frames.truncate(6);
    transcript.stream_error = Some("the frame stream is broken: 17 bytes of a frame are left".to_owned());
    assert_is(&transcript, Verdict::Crashed, "17 bytes");
    transcript.ending = Ending::Signaled { signal: 9, stderr: String::new() };
    assert_is(&transcript, Verdict::Infra, "signal 9");
}

#[test]
fn a_guest_of_another_build_is_no_crash_of_the_kernel() {
    let mut transcript = held();
    if let Frame::Hello { protocol, .. } = &mut transcript.frames[0].frame {
        *protocol += 1;
    }
    assert_is(&transcript, Verdict::Infra, "protocol 2");
    let mut transcript = held();
    if let Frame::Plan { cells } = &mut transcript.frames[1].frame {
        cells.pop();
    }
    assert_is(&transcript, Verdict::Infra, "announces 3 cells");
}

#[test]
fn a_test_process_that_failed_makes_its_cell_worthless_and_the_next_still_counts() {
    let table = [
        (CellEnd::Lost(Lost::Exited { code: 3 }), "status 3"),
        (CellEnd::Lost(Lost::Signaled { signal: 11 }), "signal 11"),
        (CellEnd::Lost(Lost::Hung { deadline_ms: 4000 }), "4000 ms"),
        (CellEnd::Lost(Lost::Broken { reason: "page not evicted".to_owned() }), "page not evicted"),
    ];
    for (end, part) in table {
        let mut transcript = held();
        end_as(&mut transcript, "anon.sync.read@1", &end);
        assert_is(&transcript, Verdict::Invalid, part);
        assert_is(&transcript, Verdict::Invalid, "anon.sync.read@1");
        let side = judged(&transcript);
        assert_eq!(found(&side, "anon.sync.read", "writer").state, CellState::Broken);
        assert_eq!(found(&side, "anon.apf-halt.read", "writer").state, CellState::Held);
    }
}

#[test]
fn a_control_that_does_not_separate_makes_all_worthless() {
    let mut deaf = held();
    for envelope in &mut deaf.frames {
        if let Frame::Sample { cell: of, sample: it } = &mut envelope.frame
            && of.name() == "control.held"
        {
            *it = sample(cell("control.held@1"), it.trial, false, false);
        }
    }
    assert_is(&deaf, Verdict::Invalid, "control.held shows released");
    assert!(!judged(&deaf).controls_ok);
    let mut stuck = released();
    each_sample(&mut stuck, "control.released@1", |it| *it = sample(cell("control.released@1"), it.trial, true, true));
    assert_is(&stuck, Verdict::Invalid, "control.released shows held");
}

#[test]
fn a_plan_without_controls_proves_nothing() {
    let mut plan = plan(&CELLS);
    plan.cells.retain(|cell| !cell.is_control());
    let side = side("baseline", &boot(&plan, |_, _| true), &plan, &[]);
    assert_eq!((side.verdict, side.controls_ok), (Verdict::Invalid, false));
    assert!(side.reasons[0].contains("control.held was not measured"), "{:?}", side.reasons);
}

#[test]
fn trials_that_disagree_are_mixed_and_the_holder_is_of_the_held_ones() {
    let mut transcript = released();
    each_sample(&mut transcript, "anon.sync.read@1", |it| {
        if it.trial == 1 {
            *it = sample(cell("anon.sync.read@1"), 1, true, true);
            it.waiter = vec!["the_culprit".to_owned()];
        }
    });
    let side = judged(&transcript);
    let cell = found(&side, "anon.sync.read", "writer");
    assert_eq!((cell.state, side.verdict), (CellState::Mixed, Verdict::Pass));
    assert_eq!(cell.holder, ["the_culprit"]);
}

#[test]
fn each_unsound_trial_is_named() {
    type Change = fn(&mut selftests::protocol::Sample);
    let table: [(&str, bool, Change, &str); 11] = [
        (CELLS[0], true, |it| it.probes[0].blocked_in.clear(), "no wait for a lock: none"),
        (CELLS[0], true, |it| it.probes[0].blocked_in = vec!["do_mmap".to_owned()], "no wait for a lock: do_mmap"),
        (CELLS[0], true, |it| it.hold_ms = 60.0, "let go after 60.0 of 100 ms"),
        (CELLS[0], false, |it| it.probes[1].wait_ms = 50.0, "yet returned within a hold"),
        (CELLS[0], false, |it| it.withheld_bytes = 0, "no request was withheld"),
        (CELLS[0], false, |it| it.waiter.clear(), "nobody was seen waiting"),
        (CELLS[0], false, |it| it.hold_ms = -1.0, "a time is negative"),
        (CELLS[0], false, |it| drop(it.probes.pop()), "the reader is missing"),
        (CELLS[0], false, |it| it.async_pf = Some(1), "on the synchronous path"),
        (CELLS[1], false, |it| it.async_pf = Some(0), "no async page fault was tried"),
        (CELLS[1], true, |it| it.async_pf = None, "cannot be read"),
    ];
    for (of, is_held, change, part) in table {
        let mut transcript = if is_held { held() } else { released() };
        each_sample(&mut transcript, of, |it| {
            if it.trial == TRIALS - 1 {
                change(it);
            }
        });
        assert_is(&transcript, Verdict::Invalid, part);
        assert_is(&transcript, Verdict::Invalid, "trial 2 does not count");
    }
}

#[test]
fn a_guest_that_takes_its_async_page_faults_must_go_on() {
    const CELL: &str = "anon.apf-guest.read@1";
    let plan = plan(&[CELL]);
    let judged = |change: &dyn Fn(&mut selftests::protocol::Sample)| {
        let mut transcript = boot(&plan, |_, _| false);
        each_sample(&mut transcript, CELL, |it| change(it));
        side("patched", &transcript, &plan, &[])
    };
    let fine = judged(&|_| ());
    assert_eq!(fine.verdict, Verdict::Pass, "{:?}", fine.reasons);
    assert_eq!(found(&fine, "anon.apf-guest.read", "writer").guest_progress, Some(1000));
    type Change = fn(&mut Meanwhile);
    let table: [(Change, &str); 4] = [
        (|it| it.progress = 0, "made no progress"),
        (|it| it.told = 0, "counts 0 pages that are not present, KVM 1 page faults"),
        (|it| it.injected = Some(0), "counts 1 pages that are not present, KVM 0 page faults"),
        (|it| it.injected = None, "kvm:kvm_inj_exception cannot be read"),
    ];
    for (change, part) in table {
        let side = judged(&|it| change(it.meanwhile.as_mut().unwrap()));
        let told = told(side.verdict, &side.reasons);
        assert!(side.verdict == Verdict::Invalid && told.contains(part), "{told}");
    }
    assert_eq!(judged(&|it| it.meanwhile = None).verdict, Verdict::Invalid);
    // One that waited in the polite pass had no choice.
    let held = side("baseline", &boot(&plan, |_, _| true), &plan, &[]);
    assert_eq!((held.verdict, held.cells[4].guest_progress), (Verdict::Pass, None), "{:?}", held.reasons);
}

#[test]
fn a_held_async_cell_without_attempt_needs_the_vcpu_itself_to_wait() {
    let mut transcript = held();
    each_sample(&mut transcript, CELLS[1], |it| it.waiter = vec!["async_pf_execute".to_owned()]);
    assert_is(&transcript, Verdict::Invalid, "no async page fault was tried");
    each_sample(&mut transcript, CELLS[1], |it| it.async_pf = Some(1));
    assert_eq!(judged(&transcript).verdict, Verdict::Pass);
}

#[test]
fn a_synchronous_cell_needs_no_tracepoint() {
    let mut transcript = released();
    each_sample(&mut transcript, CELLS[0], |it| it.async_pf = None);
    assert_eq!(judged(&transcript).verdict, Verdict::Pass);
}

#[test]
fn a_crash_in_the_middle_keeps_what_was_measured_for_display() {
    let mut transcript = held();
    let second = transcript.frames.iter().position(|it| matches!(it.frame, Frame::Result { .. })).unwrap();
    transcript.frames.truncate(second + 1);
    renumber(&mut transcript);
    let side = judged(&transcript);
    assert_eq!((side.verdict, side.cells.len()), (Verdict::Crashed, 2));
    assert!(side.reasons[0].contains("without a bye"), "{:?}", side.reasons);
}

#[test]
fn a_guest_whose_clock_runs_ahead_proves_nothing() {
    let mut transcript = held();
    transcript.boot_ms = Some(700);
    assert_eq!(judged(&transcript).verdict, Verdict::Pass, "100 ms are within the slack");
    for envelope in &mut transcript.frames {
        if let Frame::Hello { uptime_ms, .. } = &mut envelope.frame {
            *uptime_ms = 15_911;
        }
    }
    assert_is(&transcript, Verdict::Invalid, "clock runs ahead: 15911 ms of uptime 700 ms after");
}
