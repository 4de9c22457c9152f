// SPDX-License-Identifier: GPL-2.0-only
//! The search with an honest oracle on graphs.

use xtask::bisect::evidence::{Observation, Seen};
use xtask::bisect::graph::Graph;
use xtask::bisect::policy::{Endpoints, Policy};
use xtask::bisect::step::{Step, step};

fn run(graph: &Graph, goods: &[usize], bads: &[usize], policy: &Policy, oracle: &dyn Fn(usize) -> Seen) -> Step {
    let mut seen = Vec::new();
    for _ in 0..10_000 {
        match step(graph, goods, bads, &seen, policy) {
            Step::Test { item, .. } => seen.push(Observation::fresh(item, oracle(item))),
            end => return end,
        }
    }
    panic!("does not end: {seen:?}");
}

#[test]
fn every_culprit_of_a_line_is_found() {
    for len in 2..40 {
        let graph = Graph::linear(len);
        for culprit in 1..len {
            for endpoints in [Endpoints::Trust, Endpoints::First, Endpoints::Both] {
                let policy = Policy { endpoints, ..Policy::honest() };
                let oracle = |item: usize| if item >= culprit { Seen::Bad } else { Seen::Good };
                let end = run(&graph, &[0], &[len - 1], &policy, &oracle);
                assert!(matches!(end, Step::Found { item, .. } if item == culprit), "{len} {culprit} {end:?}");
            }
        }
    }
}
