// SPDX-License-Identifier: GPL-2.0-only
//! Git's bisection and ours, of the same history, with the same oracle.

use std::path::PathBuf;

use xtask::bisect::evidence::{Observation, Seen};
use xtask::bisect::history::History;
use xtask::bisect::policy::{Endpoints, Policy};
use xtask::bisect::step::Step;

use crate::support::{GitEnd, Random, Repo, found, history, honest, search};

/// Ours, in the numbers of the repository's commits.
fn ours(repo: &Repo, goods: &[usize], bad: usize, oracle: &dyn Fn(usize) -> Seen) -> (Step, History, Vec<usize>) {
    let ids: Vec<git2::Oid> = goods.iter().map(|&good| repo.ids[good]).collect();
    let history = History::read(&repo.git, &ids, repo.ids[bad], &[]).unwrap();
    let number = |item: usize| repo.item(&history.commits[item].id.to_string());
    let policy = Policy { endpoints: Endpoints::Trust, ..Policy::honest() };
    let mut asked = |item| oracle(number(item));
    let (end, seen) = search(&history.graph, (&history.goods, &history.bads), &policy, &mut asked);
    let tested = seen.iter().map(|seen: &Observation| number(seen.item)).collect();
    (end, history, tested)
}

/// The same culprit after the same tests, in the same order.
fn agree(repo: &Repo, goods: &[usize], bad: usize, culprit: usize, oracle: &dyn Fn(usize) -> Seen) -> GitEnd {
    let git = repo.bisect(goods, bad, &[], oracle);
    let (end, history, tested) = ours(repo, goods, bad, oracle);
    let number = |item: usize| repo.item(&history.commits[item].id.to_string());
    assert_eq!(git.first, Some(culprit), "{}", git.text);
    assert_eq!(found(&end).map(number), Ok(culprit));
    assert_eq!(tested, git.tested, "{}", git.text);
    git
}

fn oracle(parents: &[Vec<usize>], culprit: usize) -> impl Fn(usize) -> Seen + use<> {
    honest(&xtask::bisect::graph::Graph::new(parents.to_vec()).unwrap(), culprit)
}

#[test]
fn a_line_takes_the_same_tests() {
    let parents: Vec<Vec<usize>> = (0..13_usize).map(|item| item.checked_sub(1).into_iter().collect()).collect();
    let repo = Repo::new(&parents);
    for culprit in 1..13 {
        agree(&repo, &[0], 12, culprit, &oracle(&parents, culprit));
    }
}

#[test]
fn random_histories_with_merges_take_the_same_tests() {
    let mut random = Random::new(1);
    for _ in 0..24 {
        let len = 5 + random.below(40);
        let parents = history(len, &mut random);
        let repo = Repo::new(&parents);
        let culprit = 1 + random.below(len - 1);
        agree(&repo, &[0], len - 1, culprit, &oracle(&parents, culprit));
    }
}

/// Git walks anew from each bad commit, and meets commits of one second in another order then.
#[test]
fn commits_of_one_second_take_as_many_tests_but_one() {
    let mut random = Random::new(2);
    for _ in 0..12 {
        let len = 5 + random.below(30);
        let parents = history(len, &mut random);
        let repo = Repo::dated(&parents, &|_| 0);
        let culprit = 1 + random.below(len - 1);
        let oracle = oracle(&parents, culprit);
        let git = repo.bisect(&[0], len - 1, &[], &oracle);
        let (end, history, tested) = ours(&repo, &[0], len - 1, &oracle);
        assert_eq!(git.first, Some(culprit), "{}", git.text);
        assert_eq!(found(&end).map(|item| repo.item(&history.commits[item].id.to_string())), Ok(culprit));
        assert!(tested.len().abs_diff(git.tested.len()) <= 1, "{tested:?} {:?}", git.tested);
    }
}

#[test]
fn a_criss_cross_and_an_octopus_take_the_same_tests() {
    // 1 and 2 are merged both ways by 3 and 4; 5..8 fork from there, and 9 joins them all.
    let parents = vec![
        vec![],
        vec![0],
        vec![0],
        vec![1, 2],
        vec![2, 1],
        vec![3],
        vec![4],
        vec![3, 4],
        vec![6],
        vec![5, 6, 7, 8],
        vec![9],
    ];
    let repo = Repo::new(&parents);
    for culprit in 1..11 {
        agree(&repo, &[0], 10, culprit, &oracle(&parents, culprit));
    }
}

#[test]
fn a_side_branch_older_than_the_good_end_is_searched_too() {
    // Good is 4 on the main line; 5-6-7 left at 1, long before, and are merged by 9.
    let parents =
        vec![vec![], vec![0], vec![1], vec![2], vec![3], vec![1], vec![5], vec![6], vec![4], vec![8, 7], vec![9]];
    let repo = Repo::new(&parents);
    for culprit in 5..11 {
        agree(&repo, &[4], 10, culprit, &oracle(&parents, culprit));
    }
}

#[test]
fn a_good_end_on_another_branch_asks_the_merge_base_as_git_does() {
    // 0-1-2-3-4(good), 2-5-6-7-8(bad)
    let parents = vec![vec![], vec![0], vec![1], vec![2], vec![3], vec![2], vec![5], vec![6], vec![7]];
    let repo = Repo::new(&parents);
    for culprit in 5..9 {
        let git = agree(&repo, &[4], 8, culprit, &oracle(&parents, culprit));
        assert_eq!(git.tested[0], 2);
    }
    let mended = |item: usize| if item == 4 { Seen::Good } else { Seen::Bad };
    let git = repo.bisect(&[4], 8, &[], &mended);
    assert!(git.text.contains("The merge base"), "{}", git.text);
    let (end, ..) = ours(&repo, &[4], 8, &mended);
    assert!(end_is_contradiction(&end), "{end:?}");
}

fn end_is_contradiction(end: &Step) -> bool {
    matches!(end, Step::Contradiction(_))
}

#[test]
fn several_good_ends_take_the_same_tests() {
    let parents = vec![vec![], vec![0], vec![1], vec![0], vec![3], vec![2, 4], vec![5], vec![6], vec![7], vec![8]];
    let repo = Repo::new(&parents);
    for culprit in 5..10 {
        agree(&repo, &[2, 4], 9, culprit, &oracle(&parents, culprit));
    }
}

#[test]
fn skipped_commits_cost_no_more_than_one_test_more_than_with_git() {
    let mut random = Random::new(3);
    let (mut same, mut all) = (0, 0);
    for _ in 0..20 {
        let len = 8 + random.below(30);
        let parents = history(len, &mut random);
        let repo = Repo::new(&parents);
        let culprit = 1 + random.below(len - 1);
        let skips: Vec<bool> = (0..len).map(|item| item != culprit && random.chance(0.25)).collect();
        let truth = oracle(&parents, culprit);
        let oracle = |item: usize| if skips[item] && item + 1 < len { Seen::Skip } else { truth(item) };
        let git = repo.bisect(&[0], len - 1, &[], &oracle);
        let (end, history, tested) = ours(&repo, &[0], len - 1, &oracle);
        let number = |item: usize| repo.item(&history.commits[item].id.to_string());
        if let Some(first) = git.first {
            assert_eq!(first, culprit);
            assert_eq!(found(&end).map(number), Ok(culprit));
            assert!(tested.len() <= git.tested.len() + 1, "{tested:?} {git:?}");
        } else {
            assert!(git.text.contains("only 'skip'ped commits left"), "{}", git.text);
            match end {
                Step::Found { item, .. } => assert_eq!(number(item), culprit),
                Step::Undecided { candidates, .. } => {
                    assert!(candidates.into_iter().map(number).any(|of| of == culprit))
                }
                other => panic!("{other:?}"),
            }
        }
        all += 1;
        same += usize::from(tested == git.tested);
    }
    assert!(same * 10 >= all * 9, "{same} of {all} take git's way");
}

#[test]
fn paths_leave_only_the_commits_that_touch_them() {
    let parents: Vec<Vec<usize>> = (0..23_usize).map(|item| item.checked_sub(1).into_iter().collect()).collect();
    let repo = Repo::new(&parents);
    let paths = [PathBuf::from("file3")];
    let history = History::read(&repo.git, &[repo.ids[0]], repo.ids[22], &paths).unwrap();
    assert_eq!(history.range, 5); // 3, 8, 13, 18, and the bad end
    let culprit = repo.bisect(&[0], 22, &["--", "file3"], &oracle(&parents, 13));
    assert_eq!(culprit.first, Some(13), "{}", culprit.text);
    let item = history.item(repo.ids[13]).unwrap();
    let policy = Policy { endpoints: Endpoints::Trust, ..Policy::honest() };
    let ends = (&history.goods[..], &history.bads[..]);
    let (end, _) = search(&history.graph, ends, &policy, &mut honest(&history.graph, item));
    assert_eq!(found(&end), Ok(item));
}
