// SPDX-License-Identifier: GPL-2.0-only
//! Storms of nights: every word, what is comparable, and what noise does.

use selftests::cell::Probe;
use selftests::storms::{PROBES, Storm};
use xtask::diff::Change;
use xtask::outcome::StormOutcome;
use xtask::regress::{Asked, Line, Night, Told, compare};
use xtask::storm::histogram::Quantiles;
use xtask::storm::seen::{ProbeReport, Seen};
use xtask::verdict::Verdict;

use crate::nights::{SIDE, TARGET, night, same_kernel};
use crate::noise::{Random, measured};

const USUAL: f64 = 16.0;
const SLOW: f64 = 80.0;

fn asked() -> Asked {
    Asked { targets: [TARGET.to_owned()].into(), storm: true, ..Asked::default() }
}

/// A night whose writer had this 99th percentile; whatever else was measured was as ever.
fn stormy(number: usize, p99: f64) -> Night {
    let probe = |probe| {
        let p99 = if probe == Probe::Writer { p99 } else { USUAL };
        let wait_ms = Quantiles { p50: 1.0, p90: 4.0, p99, p99_9: 99.0 * p99, max: 99.0 * p99 };
        ProbeReport { probe, n: 1000, wait_ms, call_ms: wait_ms }
    };
    let seen = Seen {
        faults_per_s: 400.0,
        accesses: 9,
        swap_reads: 9,
        swap_writes: 9,
        late_ms: [1.0; 3],
        async_pf: Some(1),
        probes: PROBES.map(probe).to_vec(),
    };
    let mut night = night(number, Vec::new());
    let storm = StormOutcome { asked: Storm::usual(20), seen: Some(seen), reason: None };
    night.targets[0].sides[0].storm = Some(storm);
    night
}

fn nights(waits: &[f64]) -> Vec<Night> {
    waits.iter().enumerate().map(|(number, p99)| stormy(number, *p99)).collect()
}

fn told(nights: &[Night]) -> Told {
    let (last, past) = nights.split_last().unwrap();
    compare(past, last, &asked())
}

fn line(told: &Told) -> Option<&Line> {
    told.lines.iter().find(|line| line.subject == "storm.writer")
}

/// Usual and slow, by letters.
fn parsed(text: &str) -> Vec<Night> {
    nights(&text.chars().map(|letter| if letter == 's' { SLOW } else { USUAL }).collect::<Vec<_>>())
}

#[test]
fn every_word_is_said_of_a_storm() {
    for (text, word, exit) in [
        ("uuu", None, 0),
        // Two nights do not know what is usual.
        ("uus", None, 0),
        ("uuus", Some(Change::New), 100),
        ("uuuss", Some(Change::Persistent), 0),
        ("uuusssss", Some(Change::Persistent), 0),
        ("uuusu", Some(Change::Fixed), 0),
        ("uuususu", Some(Change::Flaky), 0),
    ] {
        let told = told(&parsed(text));
        assert_eq!((line(&told).map(|line| line.change), told.exit_code()), (word, exit), "{text}: {:?}", told.lines);
    }
}

#[test]
fn a_line_names_target_side_metric_figures_and_runs() {
    let told = told(&nights(&[15.0, 16.0, 14.0, 80.0]));
    let line = line(&told).unwrap();
    assert_eq!((line.target.as_str(), line.side.as_deref()), (TARGET, Some(SIDE)));
    assert_eq!(
        (line.was.as_str(), line.now.as_str()),
        ("usual, p99 16.000 ms at most in 3 runs", "slower, p99 80.000 ms")
    );
    assert_eq!((line.was_run.as_deref(), line.now_run.as_str()), (Some("night-002"), "night-003"));
    assert_eq!(line.good.as_deref(), Some("night-002"));
}

/// The nights since it became slow are no part of what is usual.
#[test]
fn a_storm_that_stays_slow_says_since_when() {
    let told = told(&parsed("uuusss"));
    let line = line(&told).unwrap();
    assert_eq!((line.since.as_deref(), line.good.as_deref()), (Some("night-003"), Some("night-002")));
    assert!(line.was.starts_with("slower, p99 80") && line.now.starts_with("slower, p99 80"), "{line:?}");
}

#[test]
fn the_same_kernel_cannot_have_become_slow() {
    let mut nights = parsed("uuus");
    same_kernel(&mut nights, &[2, 3]);
    let told = told(&nights);
    assert_eq!((line(&told).map(|line| line.change), told.exit_code()), (Some(Change::Flaky), 0));
}

/// Another storm, accelerator or fewer shots are another thing; a boot that is not sound
/// proves nothing.
#[test]
fn only_alike_storms_of_sound_boots_are_compared() {
    let storm = |night: &mut Night| night.targets[0].sides[0].storm.clone().unwrap();
    let changes: [fn(&mut Night); 4] = [
        |night| night.targets[0].sides[0].storm.as_mut().unwrap().asked.rate = 51,
        |night| night.accel = "kvm".to_owned(),
        |night| night.targets[0].sides[0].storm = None,
        |night| night.targets[0].sides[0].verdict = Verdict::Invalid,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut nights = parsed("uuus");
        drop(storm(&mut nights[1]));
        change(&mut nights[1]);
        assert_eq!(line(&told(&nights)), None, "{number}");
    }
    let few = |night: &mut Night| {
        let seen = night.targets[0].sides[0].storm.as_mut().unwrap().seen.as_mut().unwrap();
        seen.probes.iter_mut().for_each(|probe| probe.n = 99);
    };
    let mut nights = parsed("uuus");
    nights.iter_mut().for_each(few);
    assert_eq!(line(&told(&nights)), None, "of 99 shots the 99th percentile is the longest");
}

/// A boot that proves nothing has a line of its own; without `--storm` nothing is missing.
#[test]
fn a_storm_that_was_not_to_be_is_not_missed() {
    let mut nights = parsed("uuuu");
    nights[3].targets[0].sides[0].storm = None;
    let (last, past) = nights.split_last().unwrap();
    assert_eq!(compare(past, last, &Asked { storm: false, ..asked() }).lines, []);
    assert_eq!(line(&told(&nights)).map(|line| line.change), Some(Change::Missing));
}

/// Nights whose waits vary by a factor of two over four boots, more than those of a quiet host
/// did, each with a kernel of its own.
#[test]
fn noise_alone_is_rarely_new_and_what_grew_is_mostly_seen() {
    for (times, least, most) in [(1.0, 0, 10), (4.0, 650, 800), (6.0, 900, 1_000)] {
        let mut random = Random(5);
        let mut draw = |times: f64| USUAL * times * (2.0 * measured() * random.normal()).exp();
        let mut new = 0;
        for _ in 0..1_000 {
            let mut waits: Vec<f64> = (0..7).map(|_| draw(1.0)).collect();
            waits.push(draw(times));
            new += told(&nights(&waits)).lines.iter().filter(|line| line.change == Change::New).count();
        }
        assert!((least..=most).contains(&new), "{times} times: {new} of 1000 are new");
    }
}
