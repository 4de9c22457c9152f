// SPDX-License-Identifier: GPL-2.0-only
//! Every word, by tables.

use xtask::diff::Change;
use xtask::outcome::CellState::{self, Broken, Held, Mixed, Released, Skipped};
use xtask::regress::{Asked, WINDOW, compare};
use xtask::verdict::Verdict;

use crate::nights::{CELL, SIDE, TARGET, asked, cell, line, night, same_kernel, states, told};

#[test]
fn every_pair_of_states_has_its_word() {
    for (was, now, word) in [
        (Released, Released, None),
        (Released, Held, Some(Change::New)),
        (Released, Mixed, Some(Change::New)),
        (Released, Skipped, Some(Change::Missing)),
        (Released, Broken, Some(Change::Missing)),
        (Held, Released, Some(Change::Fixed)),
        (Held, Held, Some(Change::Persistent)),
        (Held, Mixed, Some(Change::Persistent)),
        (Held, Broken, Some(Change::Missing)),
        (Mixed, Released, Some(Change::Flaky)),
        (Mixed, Held, Some(Change::Flaky)),
        (Mixed, Mixed, Some(Change::Flaky)),
        (Mixed, Skipped, Some(Change::Missing)),
    ] {
        let told = told(&states(&[was, now]));
        assert_eq!(line(&told).map(|line| line.change), word, "{was} → {now}");
        let exit = match word {
            Some(Change::New) => 100,
            Some(Change::Missing) => 125,
            _ => 0,
        };
        assert_eq!(told.exit_code(), exit, "{was} → {now}");
    }
}

/// Released, held, mixed, not measured.
fn parsed(text: &str) -> Vec<CellState> {
    let one = |letter| match letter {
        'r' => Released,
        'h' => Held,
        'm' => Mixed,
        _ => Broken,
    };
    text.chars().map(one).collect()
}

#[test]
fn the_newest_night_that_says_something_is_before() {
    for (nights, word, was, good, since) in [
        ("rrh", Some(Change::New), "night-001", Some("night-001"), None),
        ("rhh", Some(Change::Persistent), "night-001", Some("night-000"), Some("night-001")),
        ("rhhh", Some(Change::Persistent), "night-002", Some("night-000"), Some("night-001")),
        ("hhh", Some(Change::Persistent), "night-001", None, Some("night-000")),
        ("rhr", Some(Change::Fixed), "night-001", Some("night-000"), None),
        // What proves nothing is no night in between.
        ("r?h", Some(Change::New), "night-000", Some("night-000"), None),
        ("rh?h", Some(Change::Persistent), "night-001", Some("night-000"), Some("night-001")),
        ("r??", Some(Change::Missing), "night-000", Some("night-000"), None),
        // The third change is chance; the second is a regression that came back.
        ("rrhrr", None, "", None, None),
        ("rhrh", Some(Change::Flaky), "night-002", Some("night-002"), None),
        ("hrhr", Some(Change::Flaky), "night-002", Some("night-001"), None),
        ("rhrrr", None, "", None, None),
        ("hrh", Some(Change::New), "night-001", Some("night-001"), None),
    ] {
        let told = told(&states(&parsed(nights)));
        let line = line(&told);
        assert_eq!(line.map(|line| line.change), word, "{nights}");
        let Some(line) = line else { continue };
        assert_eq!(line.was_run.as_deref(), Some(was), "{nights}");
        assert_eq!((line.good.as_deref(), line.since.as_deref()), (good, since), "{nights}");
        assert_eq!(line.now_run, format!("night-{:03}", nights.len() - 1));
    }
}

#[test]
fn changes_before_the_window_are_forgotten() {
    let old = "rhrhrh".to_owned() + &"r".repeat(WINDOW);
    let told = told(&states(&parsed(&(old + "h"))));
    assert_eq!(line(&told).unwrap().change, Change::New);
}

#[test]
fn one_kernel_that_shows_both_is_flaky() {
    for (was, now) in [(Released, Held), (Held, Released), (Released, Mixed), (Held, Mixed)] {
        let mut nights = states(&[was, now]);
        same_kernel(&mut nights, &[0, 1]);
        assert_eq!(line(&told(&nights)).unwrap().change, Change::Flaky, "{was} → {now}");
    }
    // Not if it was another one that showed the other.
    let mut nights = states(&[Released, Held, Released, Held]);
    same_kernel(&mut nights[..3], &[0, 2]);
    assert_eq!(line(&told(&nights[..3])).unwrap().change, Change::Fixed);
}

#[test]
fn too_few_trials_say_nothing() {
    let mut nights = states(&[Released, Held]);
    nights[1].targets[0].sides[0].cells[0].n = 2;
    assert_eq!(line(&told(&nights)).unwrap().change, Change::Missing);
    nights[1].targets[0].sides[0].cells[0].n = 3;
    assert_eq!(line(&told(&nights)).unwrap().change, Change::New);
}

#[test]
fn a_first_night_and_a_place_seen_first_have_nothing_to_say() {
    assert_eq!(told(&states(&[Held])).lines, []);
    let nights = [night(0, Vec::new()), night(1, vec![cell(Held, 90.0)])];
    assert_eq!(told(&nights).lines, []);
}

#[test]
fn what_was_asked_for_and_is_not_there_is_missing() {
    let mut nights = states(&[Released, Released]);
    nights[1].targets.clear();
    let told = told(&nights);
    assert_eq!(told.lines.len(), 1);
    let line = &told.lines[0];
    assert_eq!(
        (line.change, line.subject.as_str(), line.was_run.as_deref()),
        (Change::Missing, "verdict", Some("night-000"))
    );
    // Also if nobody has ever seen it.
    let told = compare(&[], &nights[1], &asked());
    assert_eq!((told.lines[0].change, told.exit_code()), (Change::Missing, 125));
    // Neither cells nor targets that were not asked for.
    let nights = [night(0, vec![cell(Released, 0.3)]), night(1, Vec::new())];
    assert_eq!(compare(&nights[..1], &nights[1], &asked()).lines[0].change, Change::Missing);
    let none = Asked { cells: std::iter::empty().collect(), ..asked() };
    assert_eq!(compare(&nights[..1], &nights[1], &none).lines, []);
    assert_eq!(compare(&nights[..1], &nights[1], &Asked::default()).lines, []);
}

#[test]
fn a_boot_and_a_verdict_have_the_same_words() {
    for (verdict, word) in
        [(Verdict::Crashed, Change::New), (Verdict::Invalid, Change::Missing), (Verdict::Infra, Change::Missing)]
    {
        let mut nights = states(&[Released, Held]);
        nights[1].targets[0].verdict = verdict;
        nights[1].targets[0].sides[0].verdict = verdict;
        let told = told(&nights);
        let said: Vec<_> = told.lines.iter().map(|line| (line.subject.as_str(), line.change)).collect();
        // A boot that proves nothing says nothing of its cells.
        assert_eq!(said, [("verdict", word), ("boot", word)], "{verdict}");
        assert_eq!(told.lines[1].side.as_deref(), Some(SIDE));
    }
    let mut nights = states(&[Released, Held]);
    nights[1].targets[0].verdict = Verdict::BuildFailed;
    nights[1].targets[0].sides.clear();
    let told = told(&nights);
    assert_eq!((told.lines.len(), told.lines[0].change), (1, Change::New));
}

/// A chance change makes no regression of the verdict either.
#[test]
fn a_verdict_on_the_very_same_kernels_is_flaky() {
    let mut nights = states(&[Released, Held]);
    nights[1].targets[0].verdict = Verdict::Fail;
    assert_eq!(told(&nights).exit_code(), 100);
    same_kernel(&mut nights, &[0, 1]);
    let told = told(&nights);
    assert!(told.lines.iter().all(|line| line.change == Change::Flaky) && told.lines.len() == 2, "{told:?}");
}

#[test]
fn a_side_that_is_gone_is_missing() {
    let mut nights = states(&[Released, Released]);
    let mut other = nights[0].targets[0].sides[0].clone();
    other.side = "earlier".to_owned();
    nights[0].targets[0].sides.push(other);
    let told = told(&nights);
    assert_eq!((told.lines[0].change, told.lines[0].side.as_deref()), (Change::Missing, Some("earlier")));
    assert_eq!(told.lines[0].target, TARGET);
    assert!(!told.lines[0].subject.contains(CELL));
}

#[test]
fn waits_need_three_comparable_good_nights() {
    let with = |medians: &[f64]| -> Vec<_> {
        medians.iter().enumerate().map(|(number, median)| night(number, vec![cell(Released, *median)])).collect()
    };
    assert_eq!(told(&with(&[0.3, 0.3, 4.0])).lines, []);
    let nights = with(&[0.3, 0.4, 0.3, 4.0]);
    let said = told(&nights);
    let line = line(&said).unwrap();
    assert_eq!((line.change, line.good.as_deref()), (Change::New, Some("night-002")));
    assert!(line.was.contains("median 0.400 ms at most in 3 runs") && line.now.contains("4.000"), "{line:?}");
    // A cell of three trials, another hold or accelerator, and a night that did not pass do not count.
    for spoil in 0..4 {
        let mut nights = nights.clone();
        match spoil {
            0 => nights[1].hold_ms = 400,
            1 => nights[1].accel = "kvm".to_owned(),
            2 => nights[1].targets[0].verdict = Verdict::Fail,
            _ => nights[1].targets[0].sides[0].cells[0].n = 2,
        }
        assert!(told(&nights).lines.iter().all(|line| !line.now.contains("median")), "{spoil}");
    }
}
