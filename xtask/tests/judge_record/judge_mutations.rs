// SPDX-License-Identifier: GPL-2.0-only
//! Nothing but the whole sequence passes: every frame is taken out, doubled,
//! swapped, and no result is ever `pass`.

use proptest::prelude::*;
use selftests::protocol::{CellEnd, Frame};
use xtask::judge::side;
use xtask::transcript::Transcript;
use xtask::verdict::Verdict;

use crate::builder::{boot, cell, plan, renumber};

const CELLS: [&str; 1] = ["anon.sync.*"];

fn passing() -> Transcript {
    boot(&plan(&CELLS), |cell, _| cell.window == 1)
}

fn verdict(transcript: &Transcript) -> Verdict {
    side("baseline", transcript, &plan(&CELLS), &[]).verdict
}

#[test]
fn the_transcript_that_is_mutated_passes() {
    assert_eq!(verdict(&passing()), Verdict::Pass);
}

#[test]
fn no_frame_may_be_missing() {
    for lost in 0..passing().frames.len() {
        let mut transcript = passing();
        let frame = transcript.frames.remove(lost).frame;
        assert_ne!(verdict(&transcript), Verdict::Pass, "without frame {lost}, {frame:?}");
        // Even if the guest had numbered as if it had never been: only notes are free.
        renumber(&mut transcript);
        let passes = verdict(&transcript) == Verdict::Pass;
        assert_eq!(passes, matches!(frame, Frame::Note { .. }), "without frame {lost}, {frame:?}");
    }
}

#[test]
fn no_prefix_passes() {
    for length in 0..passing().frames.len() {
        let mut transcript = passing();
        transcript.frames.truncate(length);
        assert_eq!(verdict(&transcript), Verdict::Crashed, "{length} frames");
    }
}

#[test]
fn no_frame_may_be_doubled() {
    for twice in 0..passing().frames.len() {
        let mut transcript = passing();
        let again = transcript.frames[twice].clone();
        let note = matches!(again.frame, Frame::Note { .. });
        transcript.frames.insert(twice, again);
        assert_eq!(verdict(&transcript), Verdict::Crashed, "frame {twice} twice, as it is");
        renumber(&mut transcript);
        assert_eq!(verdict(&transcript) == Verdict::Pass, note, "frame {twice} twice, numbered anew");
    }
}

#[test]
fn each_wrong_count_and_foreign_cell_is_a_crash() {
    type Change = fn(&mut Vec<selftests::protocol::Envelope>);
    let table: [(&str, Change); 6] = [
        ("bye counts too few", |frames| {
            if let Some(Frame::Bye { frames }) = frames.last_mut().map(|last| &mut last.frame) {
                *frames -= 1;
            }
        }),
        ("a gap", |frames| frames[4].seq += 1),
        ("a foreign start", |frames| frames[3].frame = Frame::Start { cell: cell("shmem.sync.read@1") }),
        ("the wrong order", |frames| frames[3].frame = Frame::Start { cell: cell("control.released@1") }),
        ("a result of another cell", |frames| {
            let result = frames.iter_mut().find(|it| matches!(it.frame, Frame::Result { .. })).unwrap();
            let outcome = CellEnd::Complete { trials: 3 };
            result.frame = Frame::Result { cell: cell("shmem.sync.read@1"), outcome };
        }),
        ("a result that counts other trials", |frames| {
            let result = frames.iter_mut().find(|it| matches!(it.frame, Frame::Result { .. })).unwrap();
            let outcome = CellEnd::Complete { trials: 2 };
            result.frame = Frame::Result { cell: cell("control.held@1"), outcome };
        }),
    ];
    for (name, change) in table {
        let mut transcript = passing();
        change(&mut transcript.frames);
        assert_eq!(verdict(&transcript), Verdict::Crashed, "{name}");
    }
}

proptest! {
    #[test]
    fn no_two_frames_may_change_places(first in 0_usize..30, second in 0_usize..30) {
        let mut transcript = passing();
        prop_assume!(first < second && second < transcript.frames.len());
        transcript.frames.swap(first, second);
        prop_assert_eq!(verdict(&transcript), Verdict::Crashed);
    }

    #[test]
    fn no_run_of_frames_may_be_missing(from in 0_usize..40, length in 1_usize..10, numbered in any::<bool>()) {
        let mut transcript = passing();
        prop_assume!(from < transcript.frames.len());
        let end = (from + length).min(transcript.frames.len());
        let notes = transcript.frames[from..end].iter().all(|it| matches!(it.frame, Frame::Note { .. }));
        prop_assume!(!notes);
        transcript.frames.drain(from..end);
        if numbered {
            renumber(&mut transcript);
        }
        prop_assert_ne!(verdict(&transcript), Verdict::Pass);
    }
}
