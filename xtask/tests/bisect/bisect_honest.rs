// SPDX-License-Identifier: GPL-2.0-only
//! The search with an honest oracle, and with one that lies to an honest policy.

use proptest::prelude::*;
use xtask::bisect::evidence::{Direction, Observation, Seen};
use xtask::bisect::graph::{Graph, GraphError};
use xtask::bisect::policy::{Endpoints, Policy};
use xtask::bisect::step::{Conflict, Open, Reason, Step, step};

use crate::support::{Random, found, history, honest, search};

fn trusting() -> Policy {
    Policy { endpoints: Endpoints::Trust, ..Policy::honest() }
}

#[test]
fn every_culprit_of_a_line_is_found() {
    for len in 2..40 {
        let graph = Graph::linear(len);
        for culprit in 1..len {
            for endpoints in [Endpoints::Trust, Endpoints::First, Endpoints::Both] {
                let policy = Policy { endpoints, ..Policy::honest() };
                let (end, seen) = search(&graph, (&[0], &[len - 1]), &policy, &mut honest(&graph, culprit));
                assert_eq!(found(&end), Ok(culprit), "{len} {culprit}");
                let ends = match endpoints {
                    Endpoints::Trust => 0,
                    Endpoints::First => 2,
                    Endpoints::Both => 2 + 2 * usize::from(len > 2),
                };
                let most = usize::try_from((len - 1).next_power_of_two().ilog2()).unwrap();
                assert!(seen.len() <= most + ends, "{len} {culprit} {seen:?}");
            }
        }
    }
}

#[test]
fn what_is_no_graph_is_refused() {
    assert_eq!(Graph::new(vec![vec![1]]).unwrap_err(), GraphError::NoSuchItem { item: 0, parent: 1, len: 1 });
    assert!(matches!(Graph::new(vec![vec![1], vec![0]]).unwrap_err(), GraphError::Cycle { .. }));
    assert_eq!(Graph::linear(3).ranked(vec![0, 1, 1]).unwrap_err(), GraphError::Rank { len: 3 });
}

#[test]
fn ends_that_span_nothing_are_said() {
    let line = Graph::linear(4);
    for (good, bad) in [(2, 2), (3, 1)] {
        let end = step(&line, &[good], &[bad], &[], &trusting());
        assert_eq!(end, Step::Contradiction(Conflict::NoRange { good }));
    }
    let two = Graph::new(vec![vec![], vec![0], vec![], vec![2]]).unwrap();
    let end = step(&two, &[1], &[3], &[], &trusting());
    assert_eq!(end, Step::Contradiction(Conflict::Unrelated { good: 1, bad: 3 }));
}

#[test]
fn ends_that_are_no_items_are_said_and_not_a_panic() {
    let line = Graph::linear(4);
    for policy in [trusting(), Policy::flaky(0.1, 0.1), Policy::flaky(f64::NAN, 0.1)] {
        let end = step(&line, &[9], &[3], &[], &policy);
        assert_eq!(end, Step::Contradiction(Conflict::NoSuchItem { item: 9 }));
        let end = step(&line, &[0], &[], &[], &policy);
        assert_eq!(end, Step::Contradiction(Conflict::NoCommonCulprit { items: vec![] }));
        let strange = [Observation::fresh(7, Seen::Bad), Observation::inherited(2, Seen::Good, 99)];
        assert!(!matches!(step(&line, &[0], &[3], &strange, &policy), Step::Contradiction(_)));
    }
}

#[test]
fn a_step_is_written_as_one_flat_record() {
    let text = |step: &Step| serde_json::to_string(step).unwrap();
    let line = Graph::linear(4);
    let first = step(&line, &[0], &[3], &[], &trusting());
    assert_eq!(text(&first), r#"{"step":"test","item":2,"reason":"search","remaining":2,"candidates":3}"#);
    let wrong = Step::Contradiction(Conflict::Drift { item: 3 });
    assert_eq!(text(&wrong), r#"{"step":"contradiction","conflict":"drift","item":3}"#);
}

#[test]
fn an_oracle_that_inverts_is_noticed_at_the_first_end() {
    let graph = Graph::linear(9);
    let truth = honest(&graph, 4);
    let mut lies = |item| if truth(item) == Seen::Good { Seen::Bad } else { Seen::Good };
    let (end, seen) = search(&graph, (&[0], &[8]), &Policy::honest(), &mut lies);
    assert_eq!(end, Step::Contradiction(Conflict::BadIsGood { item: 8 }));
    assert_eq!(seen.len(), 1);
}

#[test]
fn an_oracle_that_lies_about_one_end_is_noticed() {
    let graph = Graph::linear(9);
    let truth = honest(&graph, 4);
    let mut always_bad = |_| Seen::Bad;
    let (end, _) = search(&graph, (&[0], &[8]), &Policy::honest(), &mut always_bad);
    assert_eq!(end, Step::Contradiction(Conflict::GoodIsBad { item: 0 }));
    let mut always_good = |item| if item == 8 { Seen::Good } else { truth(item) };
    let (end, _) = search(&graph, (&[0], &[8]), &Policy::honest(), &mut always_good);
    assert_eq!(end, Step::Contradiction(Conflict::BadIsGood { item: 8 }));
}

#[test]
fn an_oracle_that_drifts_is_noticed_before_the_answer() {
    let graph = Graph::linear(17);
    for after in 2..6 {
        let truth = honest(&graph, 9);
        let mut asked = 0;
        let mut drifts = |item| {
            asked += 1;
            if asked > after { Seen::Bad } else { truth(item) }
        };
        let (end, _) = search(&graph, (&[0], &[16]), &Policy::honest(), &mut drifts);
        assert_eq!(end, Step::Contradiction(Conflict::Drift { item: 0 }), "after {after}");
    }
}

#[test]
fn answers_that_cannot_all_be_true_are_a_contradiction() {
    let graph = Graph::linear(9);
    let said = |list: &[(usize, Seen)]| -> Step {
        let seen: Vec<Observation> = list.iter().map(|&(item, seen)| Observation::fresh(item, seen)).collect();
        step(&graph, &[0], &[8], &seen, &trusting())
    };
    let end = said(&[(3, Seen::Bad), (5, Seen::Good)]);
    assert_eq!(end, Step::Contradiction(Conflict::GoodContainsBad { good: 5, bad: 3 }));
    let end = said(&[(3, Seen::Bad), (3, Seen::Good)]);
    assert_eq!(end, Step::Contradiction(Conflict::BothSeen { item: 3 }));
    let fork = Graph::new(vec![vec![], vec![0], vec![0], vec![1, 2]]).unwrap();
    let both = [Observation::fresh(1, Seen::Bad), Observation::fresh(2, Seen::Bad)];
    let end = step(&fork, &[0], &[3], &both, &trusting());
    assert!(matches!(end, Step::Contradiction(Conflict::NoCommonCulprit { .. })), "{end:?}");
}

#[test]
fn a_middle_that_cannot_be_tested_gives_the_candidates() {
    let graph = Graph::linear(20);
    for culprit in 1..20 {
        let truth = honest(&graph, culprit);
        let mut oracle = |item| if (5..15).contains(&item) { Seen::Skip } else { truth(item) };
        let (end, _) = search(&graph, (&[0], &[19]), &Policy::honest(), &mut oracle);
        if (5..=15).contains(&culprit) {
            let Step::Undecided { candidates, why, .. } = end else { panic!("{end:?}") };
            assert_eq!((candidates, why), ((5..=15).collect(), Open::Skipped));
        } else {
            assert_eq!(found(&end), Ok(culprit));
        }
    }
}

#[test]
fn an_end_that_cannot_be_tested_stays_open() {
    let graph = Graph::linear(6);
    let mut oracle = |item| if item == 0 { Seen::Skip } else { Seen::Bad };
    let (end, _) = search(&graph, (&[0], &[5]), &Policy::honest(), &mut oracle);
    assert!(matches!(end, Step::Undecided { why: Open::Endpoint, .. }), "{end:?}");
}

#[test]
fn a_budget_ends_with_what_is_left() {
    let graph = Graph::linear(65);
    let policy = Policy { max_tests: 3, ..trusting() };
    let (end, _) = search(&graph, (&[0], &[64]), &policy, &mut honest(&graph, 1));
    let Step::Undecided { candidates, why, wanted, .. } = end else { panic!("{end:?}") };
    assert_eq!((candidates, why, wanted), ((1..=8).collect(), Open::Budget, Some(3)));
}

#[test]
fn a_merge_base_is_asked_first_and_may_be_bad() {
    // 0 - 1 - 2(good); 1 - 3 - 4 - 5(bad)
    let graph = Graph::new(vec![vec![], vec![0], vec![1], vec![1], vec![3], vec![4]]).unwrap();
    let first = step(&graph, &[2], &[5], &[], &trusting());
    assert!(matches!(first, Step::Test { item: 1, reason: Reason::MergeBase, .. }), "{first:?}");
    let (end, _) =
        search(&graph, (&[2], &[5]), &trusting(), &mut |item| [Seen::Bad, Seen::Good][usize::from(item == 2)]);
    assert_eq!(end, Step::Contradiction(Conflict::MergeBaseBad { base: 1, good: 2 }));
    for culprit in 3..6 {
        let (end, _) = search(&graph, (&[2], &[5]), &trusting(), &mut honest(&graph, culprit));
        assert_eq!(found(&end), Ok(culprit));
    }
}

/// The effect came in at `cause`, and went with `cure`; what is asked for is the cure.
fn fix(graph: &Graph, cause: usize, cure: usize) -> impl Fn(usize) -> Seen + use<> {
    let (with, without) = (graph.descendants(&[cause]), graph.descendants(&[cure]));
    move |item| {
        let effect = with.contains(item) && !without.contains(item);
        Direction::Fix.fold(if effect { Seen::Bad } else { Seen::Good })
    }
}

#[test]
fn a_branch_older_than_the_effect_is_not_taken_for_its_fix() {
    // The effect comes with 1; the branch 2-3-4-5 left before, and is merged by 7; 9 mends it.
    let parents =
        vec![vec![], vec![0], vec![0], vec![2], vec![3], vec![4], vec![1], vec![6, 5], vec![7], vec![8], vec![9]];
    let graph = Graph::new(parents).unwrap();
    for cure in [6, 7, 8, 9, 10] {
        let policy = Policy { direction: Direction::Fix, ..Policy::honest() };
        let (end, seen) = search(&graph, (&[1], &[10]), &policy, &mut fix(&graph, 1, cure));
        assert_eq!(found(&end), Ok(cure), "{seen:?}");
        // The proof that the direction matters: without it the branch is blamed, or contradicts.
        let (end, _) = search(&graph, (&[1], &[10]), &Policy::honest(), &mut fix(&graph, 1, cure));
        assert!(cure < 8 || found(&end) != Ok(cure), "{end:?}");
    }
}

#[test]
fn a_fix_is_found_in_any_history_where_the_branch_has_the_effect_or_not() {
    let mut random = Random::new(7);
    for _ in 0..300 {
        let len = 6 + random.below(30);
        let graph = Graph::new(history(len, &mut random)).unwrap();
        let cause = random.below(len - 1);
        let after: Vec<usize> = graph.descendants(&[cause]).ones().filter(|&item| item != cause).collect();
        let cure = after[random.below(after.len())];
        let policy = Policy { direction: Direction::Fix, ..Policy::honest() };
        let (end, seen) = search(&graph, (&[cause], &[len - 1]), &policy, &mut fix(&graph, cause, cure));
        assert_eq!(found(&end), Ok(cure), "{graph:?} {cause} {seen:?}");
    }
}

#[test]
fn an_inherited_answer_counts_as_one_but_is_no_test() {
    let graph = Graph::linear(9);
    let truth = honest(&graph, 6);
    let mut seen: Vec<Observation> = Vec::new();
    loop {
        match step(&graph, &[0], &[8], &seen, &trusting()) {
            Step::Test { item: 4, .. } => seen.push(Observation::inherited(4, Seen::Good, 0)),
            Step::Test { item, .. } => seen.push(Observation::fresh(item, truth(item))),
            Step::Found { item, tests, .. } => {
                assert_eq!((item, tests), (6, seen.len() - 1));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn dag() -> impl Strategy<Value = (Vec<Vec<usize>>, usize, u64)> {
    (3_usize..40, any::<u64>(), any::<u64>()).prop_map(|(len, seed, skips)| {
        let mut random = Random::new(seed);
        let parents = history(len, &mut random);
        (parents, 1 + random.below(len - 1), skips)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against brute force: the culprit if it can be told, else all that can be it.
    #[test]
    fn the_answer_is_exact_in_any_history((parents, culprit, skips) in dag()) {
        let len = parents.len();
        let graph = Graph::new(parents).unwrap();
        let skipped = |item: usize| item != 0 && item != len - 1 && (skips >> (item % 64)) & 3 == 3;
        let truth = honest(&graph, culprit);
        let mut oracle = |item| if skipped(item) { Seen::Skip } else { truth(item) };
        let (end, seen) = search(&graph, (&[0], &[len - 1]), &Policy::honest(), &mut oracle);
        let fits = |of: usize| {
            let same = honest(&graph, of);
            (0..len).all(|item| skipped(item) || same(item) == truth(item))
        };
        let possible: Vec<usize> = (1..len).filter(|&of| fits(of)).collect();
        match end {
            Step::Found { item, tests, .. } => {
                prop_assert_eq!(item, culprit);
                prop_assert_eq!(tests, seen.len());
            }
            Step::Undecided { candidates, why: Open::Skipped, .. } => {
                prop_assert!(possible.len() > 1, "only {} fits, {:?}", culprit, candidates);
                prop_assert!(possible.iter().all(|of| candidates.contains(of)), "{:?} {:?}", possible, candidates);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// The same observations give the same step, whatever was asked before.
    #[test]
    fn a_step_is_a_function_of_its_input((parents, culprit, _) in dag()) {
        let graph = Graph::new(parents).unwrap();
        let ends = ([0], [graph.len() - 1]);
        let (end, seen) = search(&graph, (&ends.0, &ends.1), &Policy::honest(), &mut honest(&graph, culprit));
        for upto in 0..seen.len() {
            let again = step(&graph, &ends.0, &ends.1, &seen[..upto], &Policy::honest());
            let asked = matches!(again, Step::Test { item, .. } if item == seen[upto].item);
            prop_assert!(asked, "{:?} {:?}", again, seen[upto]);
        }
        prop_assert_eq!(step(&graph, &ends.0, &ends.1, &seen, &Policy::honest()), end);
    }
}
