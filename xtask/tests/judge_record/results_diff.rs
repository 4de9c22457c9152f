// SPDX-License-Identifier: GPL-2.0-only
//! Two runs side by side: every word, and what the exit code makes of it.

use xtask::diff::{Change, Line, compare, exit_code};
use xtask::outcome::{BehaviourOutcome, BehaviourState, CellOutcome, CellState};
use xtask::report::diff::render;
use xtask::report::list;
use xtask::report::table::Look;
use xtask::store::{Entry, Evidence, Stored};
use xtask::verdict::Verdict;

use crate::told::{crashed, failed, invalid, passed};

const CELL: &str = "anon.sync.read";

/// A later run of another kernel that shows the same.
fn later(of: &Evidence) -> Evidence {
    let mut evidence = of.clone();
    evidence.outcome.run = Some("results/runs/20261102T120000Z-fedcba".to_owned());
    for side in evidence.info.iter_mut().flat_map(|info| &mut info.targets).flat_map(|target| &mut target.sides) {
        side.kernel_hash = "another".to_owned();
    }
    evidence
}

/// The patched writer's cell, which is released.
fn cell(evidence: &mut Evidence) -> &mut CellOutcome {
    let cells = &mut evidence.outcome.targets[0].sides[1].cells;
    cells.iter_mut().find(|cell| cell.cell == CELL && cell.window == 1 && cell.probe == "writer").unwrap()
}

fn shown(state: CellState) -> Evidence {
    let mut evidence = passed();
    cell(&mut evidence).state = state;
    evidence
}

/// What is said of that one cell.
fn said(before: &Evidence, after: &Evidence, history: &[Stored]) -> Option<Change> {
    let lines = compare(before, after, history);
    let of = |line: &&Line| line.side.as_deref() == Some("patched") && line.subject == format!("{CELL}@1.writer");
    lines.iter().find(of).map(|line| line.change)
}

fn stored(of: &Evidence, id: &str) -> Stored {
    Stored { id: id.to_owned(), info: of.info.clone().unwrap(), outcome: Some(of.outcome.clone()) }
}

#[test]
fn every_pair_of_states_has_its_word() {
    use CellState::{Broken, Held, Mixed, Released, Skipped};
    for (was, now, word) in [
        (Released, Released, None),
        (Released, Held, Some(Change::New)),
        (Released, Mixed, Some(Change::New)),
        (Held, Released, Some(Change::Fixed)),
        (Held, Held, Some(Change::Persistent)),
        (Held, Mixed, Some(Change::Persistent)),
        (Mixed, Held, Some(Change::Flaky)),
        (Mixed, Released, Some(Change::Flaky)),
        (Released, Skipped, Some(Change::Missing)),
        (Held, Broken, Some(Change::Missing)),
        (Broken, Held, None),
        (Skipped, Released, None),
    ] {
        assert_eq!(said(&shown(was), &later(&shown(now)), &[]), word, "{was} → {now}");
    }
}

#[test]
fn the_same_kernel_that_shows_both_is_flaky() {
    let (was, now) = (passed(), shown(CellState::Held));
    let history =
        |of: &Evidence| vec![stored(&passed(), "20261101T110000Z-aaaaaa"), stored(of, "20261101T130000Z-bbbbbb")];
    assert_eq!(said(&was, &now, &history(&now)), Some(Change::Flaky));
    let now = later(&now);
    assert_eq!(said(&was, &now, &history(&now)), Some(Change::New), "another kernel's state is no excuse");
}

#[test]
fn a_cell_or_a_side_or_a_target_that_is_gone_is_missing() {
    let was = passed();
    let mut now = later(&was);
    now.outcome.targets[0].sides[1].cells.retain(|cell| cell.cell != CELL);
    assert_eq!(said(&was, &now, &[]), Some(Change::Missing));
    now.outcome.targets[0].sides.pop();
    let told = |now: &Evidence| {
        compare(&was, now, &[]).into_iter().filter(|line| line.change == Change::Missing).collect::<Vec<_>>()
    };
    let lines = told(&now);
    assert_eq!((lines.len(), lines[0].subject.as_str(), lines[0].side.as_deref()), (1, "boot", Some("patched")));
    now.outcome.targets.clear();
    let lines = told(&now);
    assert_eq!((lines.len(), lines[0].subject.as_str(), &lines[0].side), (1, "verdict", &None));
    assert_eq!(exit_code(lines.iter().map(|line| line.change)), 125);
}

#[test]
fn a_crash_is_new_and_an_invalid_boot_is_missing() {
    let words = |now: &Evidence| {
        let lines = compare(&passed(), now, &[]);
        let patched = lines.iter().find(|line| line.subject == "boot" && line.side.as_deref() == Some("patched"));
        (patched.unwrap().change, exit_code(lines.iter().map(|line| line.change)))
    };
    assert_eq!(words(&crashed()), (Change::New, 100));
    assert_eq!(words(&invalid()), (Change::Missing, 125));
}

#[test]
fn what_a_stock_kernel_always_shows_is_no_regression() {
    let lines = compare(&passed(), &later(&passed()), &[]);
    assert!(lines.iter().all(|line| line.change == Change::Persistent && line.side.as_deref() == Some("baseline")));
    assert_eq!((lines.is_empty(), exit_code(lines.iter().map(|line| line.change))), (false, 0));
    assert_eq!(exit_code(compare(&passed(), &failed(), &[]).iter().map(|line| line.change)), 100);
    assert_eq!(exit_code(compare(&failed(), &passed(), &[]).iter().map(|line| line.change)), 0, "fixed");
}

#[test]
fn a_slower_wait_takes_three_runs_that_can_be_compared() {
    let was = passed();
    let mut now = later(&was);
    cell(&mut now).wait_ms.median = 4.0;
    let ids = ["20261030T120000Z-aaaaaa", "20261031T120000Z-aaaaaa"];
    let mut history: Vec<Stored> = ids.iter().map(|id| stored(&was, id)).collect();
    assert_eq!(said(&was, &now, &history), Some(Change::New));
    assert_eq!(said(&was, &now, &history[1..]), None, "two are too few");
    history[0].info.plan.hold_ms += 1;
    assert_eq!(said(&was, &now, &history), None, "another hold");
    history[0].info.plan.hold_ms -= 1;
    history[0].outcome.as_mut().unwrap().targets[0].verdict = Verdict::Fail;
    assert_eq!(said(&was, &now, &history), None, "no good run");
    history[0] = stored(&was, "20261103T120000Z-aaaaaa");
    assert_eq!(said(&was, &now, &history), None, "a run from after it");
}

#[test]
fn differences_for_a_terminal() {
    let mut now = later(&failed());
    now.outcome.targets[0].sides[0].cells.retain(|cell| cell.probe != "reader");
    let lines = compare(&passed(), &now, &[]);
    insta::assert_snapshot!(render(&lines, ["results/runs/a", "results/runs/b"], Look::PLAIN));
    assert_eq!(render(&[], ["a", "b"], Look::PLAIN), "no difference: a → b\n");
}

#[test]
fn a_list_for_a_terminal() {
    let mut unfinished = stored(&passed(), "");
    unfinished.outcome = None;
    let entries = [
        Entry::new("20261103T120000Z-aaaaaa", Err(anyhow::anyhow!("run.json is not what this xtask writes"))),
        Entry::new("20261102T120000Z-aaaaaa", Ok(unfinished)),
        Entry::new("20261101T120000Z-aaaaaa", Ok(stored(&failed(), ""))),
        Entry::new("20261031T120000Z-aaaaaa", Ok(stored(&passed(), ""))),
    ];
    insta::assert_snapshot!(list::render(&entries, Look::PLAIN));
}

/// The patched side showed this in a behaviour.
fn behaved(state: BehaviourState) -> Evidence {
    let mut evidence = passed();
    let seen = BehaviourOutcome { behaviour: "sigkill.anon".to_owned(), state, saw: "…".to_owned() };
    evidence.outcome.targets[0].sides[1].behaviours = vec![seen];
    evidence
}

#[test]
fn a_behaviour_has_the_same_words() {
    use BehaviourState::{Broken, Right, Wrong};
    let said = |before: &Evidence, after: &Evidence, history: &[Stored]| {
        let lines = compare(before, after, history);
        let line = lines.into_iter().find(|line| line.subject == "sigkill.anon");
        line.map(|line| (line.change, line.side.unwrap()))
    };
    for (was, now, word) in [
        (Right, Right, None),
        (Right, Wrong, Some(Change::New)),
        (Wrong, Right, Some(Change::Fixed)),
        (Wrong, Wrong, Some(Change::Persistent)),
        (Right, Broken, Some(Change::Missing)),
    ] {
        let told = said(&behaved(was), &later(&behaved(now)), &[]);
        assert_eq!(told, word.map(|word| (word, "patched".to_owned())), "{was} → {now}");
    }
    assert_eq!(said(&behaved(Right), &later(&passed()), &[]).unwrap().0, Change::Missing);
    let before = [stored(&behaved(Wrong), "20261101T100000Z-abcdef")];
    assert_eq!(said(&behaved(Right), &behaved(Wrong), &before).unwrap().0, Change::Flaky, "the same kernel");
}
