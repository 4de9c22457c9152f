// SPDX-License-Identifier: GPL-2.0-only
//! Reading a history.

use std::path::PathBuf;

use xtask::bisect::history::{History, HistoryError};

use crate::support::Repo;

fn line(len: usize) -> Vec<Vec<usize>> {
    (0..len).map(|item| item.checked_sub(1).into_iter().collect()).collect()
}

#[test]
fn the_range_is_read_oldest_first_with_its_subjects() {
    let repo = Repo::new(&line(5));
    let history = History::read(&repo.git, &[repo.ids[1]], repo.ids[4], &[]).unwrap();
    let subjects: Vec<&str> = history.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects, ["commit 1", "commit 2", "commit 3", "commit 4"]);
    assert_eq!((history.goods, history.bads, history.range), (vec![0], vec![3], 3));
}

#[test]
fn ends_that_make_no_range_are_refused() {
    let mut parents = line(4);
    parents.extend([vec![], vec![4]]);
    let repo = Repo::new(&parents);
    let read = |good: usize, bad: usize| History::read(&repo.git, &[repo.ids[good]], repo.ids[bad], &[]).unwrap_err();
    assert!(matches!(read(3, 1), HistoryError::Backwards { .. }));
    assert!(matches!(read(3, 3), HistoryError::Backwards { .. }));
    assert!(read(3, 1).to_string().contains("--find fix"));
    assert!(matches!(read(3, 5), HistoryError::Unrelated { .. }));
    let nowhere = History::read(&repo.git, &[repo.ids[0]], repo.ids[3], &[PathBuf::from("no/such")]);
    assert!(matches!(nowhere.unwrap_err(), HistoryError::NothingTouched { .. }));
}

#[test]
fn reading_writes_nothing_to_the_repository() {
    let repo = Repo::new(&line(6));
    repo.git(&["bisect", "start"]);
    let before = repo.state();
    History::read(&repo.git, &[repo.ids[0]], repo.ids[5], &[]).unwrap();
    assert_eq!(repo.state(), before);
}

#[test]
fn a_deep_history_is_read_without_recursion() {
    let parents = line(3000);
    let repo = Repo::new(&parents);
    let history = History::read(&repo.git, &[repo.ids[0]], repo.ids[2999], &[]).unwrap();
    assert_eq!(history.range, 2999);
}
