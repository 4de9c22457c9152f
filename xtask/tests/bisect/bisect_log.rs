// SPDX-License-Identifier: GPL-2.0-only
//! Our log, replayed by git; git's log, read by us.

use xtask::bisect::evidence::{Direction, Observation, Seen};
use xtask::bisect::history::History;
use xtask::bisect::log::{Log, Mark};
use xtask::bisect::policy::{Endpoints, Policy};
use xtask::bisect::step::Step;

use crate::support::{Random, Repo, found, history, honest, search};

fn read(repo: &Repo, last: usize) -> History {
    History::read(&repo.git, &[repo.ids[0]], repo.ids[last], &[]).unwrap()
}

/// What git says after a replay.
fn replay(repo: &Repo, text: &str) -> String {
    let path = repo.dir.path().join(".git/our.log");
    std::fs::write(&path, text).unwrap();
    let said = repo.git(&["bisect", "replay", ".git/our.log"]);
    repo.git(&["bisect", "reset"]);
    said
}

#[test]
fn git_replays_our_log_to_the_same_culprit() {
    let mut random = Random::new(11);
    for round in 0..16 {
        let len = 6 + random.below(24);
        let repo = Repo::new(&history(len, &mut random));
        let history = read(&repo, len - 1);
        let culprit = 1 + random.below(len - 1);
        let truth = honest(&history.graph, culprit);
        let flaky = round % 2 == 1;
        let policy = if flaky { Policy::flaky(0.1, 0.3) } else { Policy::honest() };
        let mut oracle = |item| match truth(item) {
            Seen::Good if flaky && random.chance(0.1) => Seen::Bad,
            Seen::Bad if flaky && random.chance(0.3) => Seen::Good,
            seen => seen,
        };
        let (end, seen) = search(&history.graph, (&history.goods, &history.bads), &policy, &mut oracle);
        let Ok(item) = found(&end) else { panic!("{end:?}") };
        for direction in [Direction::Break, Direction::Fix] {
            let text = Log::of(&history, direction, &[], &seen, Some(item)).text();
            let term = if direction == Direction::Fix { "fixed" } else { "bad" };
            let said = replay(&repo, &text);
            let wanted = format!("{} is the first {term} commit", history.commits[item].id);
            assert!(said.contains(&wanted), "{wanted}\n{text}\n{said}");
        }
    }
}

#[test]
fn git_replays_an_open_case_to_the_same_candidates() {
    let parents: Vec<Vec<usize>> = (0..10_usize).map(|item| item.checked_sub(1).into_iter().collect()).collect();
    let repo = Repo::new(&parents);
    let history = read(&repo, 9);
    let truth = honest(&history.graph, 5);
    let mut oracle = |item| if (4..7).contains(&item) { Seen::Skip } else { truth(item) };
    let (end, seen) = search(&history.graph, (&history.goods, &history.bads), &Policy::honest(), &mut oracle);
    let Step::Undecided { candidates, .. } = end else { panic!("{end:?}") };
    let said = replay(&repo, &Log::of(&history, Direction::Break, &[], &seen, None).text());
    assert!(said.contains("only 'skip'ped commits left"), "{said}");
    for item in candidates {
        assert!(said.contains(&history.commits[item].id.to_string()), "{item} {said}");
    }
}

#[test]
fn a_log_of_git_is_read() {
    let parents: Vec<Vec<usize>> = (0..8_usize).map(|item| item.checked_sub(1).into_iter().collect()).collect();
    let repo = Repo::new(&parents);
    let id = |item: usize| repo.ids[item].to_string();
    repo.git(&["bisect", "start", &id(7), &id(0), "--", "file1", "file2"]);
    repo.git(&["bisect", "skip", &id(3)]);
    repo.git(&["bisect", "good", &id(2)]);
    let log = Log::parse(&repo.git(&["bisect", "log"])).unwrap();
    let mark = |item: usize, seen| Mark { id: id(item), subject: format!("commit {item}"), seen, note: String::new() };
    assert_eq!(log.marks, [mark(7, Seen::Bad), mark(0, Seen::Good), mark(3, Seen::Skip), mark(2, Seen::Good)]);
    assert_eq!((log.direction, log.paths), (Direction::Break, vec!["file1".to_owned(), "file2".to_owned()]));
}

#[test]
fn a_log_is_read_back_as_it_was_written() {
    let mark = |byte: char, seen, note: &str| Mark {
        id: byte.to_string().repeat(40),
        subject: format!("mm: {byte} [v2] # no"),
        seen,
        note: note.to_owned(),
    };
    for direction in [Direction::Break, Direction::Fix] {
        let log = Log {
            direction,
            paths: vec!["mm/it's here".to_owned(), "virt".to_owned()],
            marks: vec![mark('a', Seen::Bad, "3 of 4"), mark('b', Seen::Good, ""), mark('c', Seen::Skip, "")],
            found: Some(("a".repeat(40), "mm: a [v2] # no".to_owned())),
        };
        assert_eq!(Log::parse(&log.text()), Ok(log));
    }
}

#[test]
fn what_is_no_log_is_refused_with_its_line() {
    let refused = |text: &str| Log::parse(text).unwrap_err();
    assert_eq!(refused("").line, 1);
    assert_eq!(refused("git bisect good abc\n").line, 1);
    assert_eq!(refused("git bisect start\nrm -rf /\n").line, 2);
    assert_eq!(refused("git bisect start\n# x\ngit bisect good v6.1\n").line, 3);
    assert_eq!(refused("git bisect start\ngit bisect wrong 0123456789012345678901234567890123456789\n").line, 2);
    assert!(refused("git bisect start 'open").why.contains("quotes"));
}

#[test]
fn a_culprit_that_was_never_tested_is_said_to_be_inferred() {
    // 1 cannot be tested, but both branches on top of it are bad.
    let parents = vec![vec![], vec![0], vec![1], vec![1], vec![2, 3]];
    let repo = Repo::new(&parents);
    let history = read(&repo, 4);
    let item = |of: usize| history.item(repo.ids[of]).unwrap();
    let seen = [
        Observation::fresh(item(1), Seen::Skip),
        Observation::fresh(item(2), Seen::Bad),
        Observation::fresh(item(3), Seen::Bad),
    ];
    let policy = Policy { endpoints: Endpoints::Trust, ..Policy::honest() };
    let end = xtask::bisect::step::step(&history.graph, &history.goods, &history.bads, &seen, &policy);
    assert_eq!(found(&end), Ok(item(1)));
    let log = Log::of(&history, Direction::Break, &[], &seen, Some(item(1)));
    assert!(log.text().contains("inferred"));
    assert!(replay(&repo, &log.text()).contains(&format!("{} is the first bad commit", repo.ids[1])));
}
