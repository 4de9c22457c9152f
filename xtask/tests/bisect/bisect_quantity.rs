// SPDX-License-Identifier: GPL-2.0-only
//! A measured quantity as an answer.

use xtask::bisect::evidence::Seen;
use xtask::bisect::quantity::{Rule, between, rate_bound, rates};

use crate::support::Random;

#[test]
fn plain_cases_are_decided_with_few_samples() {
    let rule = Rule::at(10.0);
    assert_eq!(rule.read(&[]).more, 7);
    assert_eq!(rule.read(&[300.0; 6]).seen, None);
    let bad = rule.read(&[300.0; 7]);
    assert_eq!((bad.seen, bad.median, bad.interval, bad.more), (Some(Seen::Bad), Some(300.0), (300.0, 300.0), 0));
    assert_eq!(rule.read(&[0.1; 7]).seen, Some(Seen::Good));
}

#[test]
fn one_outlier_is_no_answer_and_a_draw_is_a_skip() {
    let rule = Rule::at(10.0);
    let mut samples = vec![0.1; 6];
    samples.push(900.0);
    let open = rule.read(&samples);
    assert_eq!(open.seen, None);
    assert!(open.more > 0);
    samples.extend([0.1; 7]);
    assert_eq!(rule.read(&samples).seen, Some(Seen::Good));
    let draw: Vec<f64> = (0..48).map(|at| if at % 2 == 0 { 1.0 } else { 100.0 }).collect();
    assert_eq!(rule.read(&draw).seen, Some(Seen::Skip));
    assert_eq!(rule.read(&[f64::NAN; 60]).samples, 0);
}

#[test]
fn an_answer_does_not_change_by_more_samples() {
    let rule = Rule::at(10.0);
    let mut samples = vec![300.0; 7];
    samples.extend([0.1; 60]);
    assert_eq!(rule.read(&samples).seen, Some(Seen::Bad));
}

#[test]
fn the_error_holds_for_a_median_at_the_threshold() {
    let rule = Rule::at(0.5);
    let mut random = Random::new(5);
    let mut decided = 0;
    for _ in 0..1000 {
        let mut samples = Vec::new();
        let seen = loop {
            if let Some(seen) = rule.read(&samples).seen {
                break seen;
            }
            samples.push(random.below(1000) as f64 / 1000.0);
        };
        decided += usize::from(seen != Seen::Skip);
    }
    // Either answer is wrong there, and each may be given in 5 of 100 cases.
    assert!(decided <= 130, "{decided}");
}

#[test]
fn rates_are_bounded_from_the_ends() {
    assert!((rate_bound(0, 10, 0.95) - 0.2589).abs() < 1e-3);
    assert!((rate_bound(2, 10, 0.95) - 0.5069).abs() < 1e-3);
    assert_eq!((rate_bound(0, 0, 0.95), rate_bound(3, 3, 0.95)), (1.0, 1.0));
    let (false_bad, false_good) = rates(&[1.0; 20], &[50.0; 10], 10.0, 0.95);
    assert!(false_bad < 0.14 && false_good < 0.26, "{false_bad} {false_good}");
    assert_eq!(between(&[1.0, 2.0], &[8.0, 9.0]), Some(5.0));
    assert_eq!(between(&[1.0, 9.0], &[8.0]), None);
}
