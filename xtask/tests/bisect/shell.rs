// SPDX-License-Identifier: GPL-2.0-only
//! The loop, the journal and the confirmation, with an oracle made of a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use xtask::bisect::confirm::Standing;
use xtask::bisect::driver::{Driver, End, Limits};
use xtask::bisect::evidence::{Direction, Seen};
use xtask::bisect::items::{Item, Items, Kind};
use xtask::bisect::journal::{self, Event, Header, Journal, Phase};
use xtask::bisect::oracle::{Answer, Ask, Inherited, Made, Oracle, Unjudged, What};
use xtask::bisect::policy::Policy;
use xtask::bisect::report::Report;
use xtask::error::Error;
use xtask::progress::Progress;

/// A row of commits; the effect is there from `culprit` on.
struct Table {
    culprit: usize,
    skips: BTreeMap<usize, Unjudged>,
    /// Item to the item whose answer holds for it.
    alike: BTreeMap<usize, usize>,
    /// Compiled code of an item, where it is not its own.
    sections: BTreeMap<usize, usize>,
    /// What the tip shows without the culprit.
    reverted: Result<Seen, Unjudged>,
    /// The effect from a clean build.
    clean: Seen,
    /// Attempts, counted from 0, at which the host fails.
    fails: Vec<usize>,
    /// Attempts, counted from 0, at which an item's answer is the wrong one.
    lies: Vec<usize>,
    asked: Vec<Ask>,
    fix: bool,
}

impl Table {
    fn new(culprit: usize) -> Self {
        Self {
            culprit,
            skips: BTreeMap::new(),
            alike: BTreeMap::new(),
            sections: BTreeMap::new(),
            reverted: Ok(Seen::Good),
            clean: Seen::Bad,
            fails: Vec::new(),
            lies: Vec::new(),
            asked: Vec::new(),
            fix: false,
        }
    }

    fn effect(&self, new: bool) -> Seen {
        if new == self.fix { Seen::Good } else { Seen::Bad }
    }
}

impl Oracle for Table {
    fn ask(&mut self, ask: Ask) -> Result<Answer, Error> {
        self.asked.push(ask);
        if self.fails.contains(&(self.asked.len() - 1)) {
            return Err(Error::Infra(anyhow!("no space left on device")));
        }
        let fold = |seen| if self.fix { Direction::Fix.fold(seen) } else { seen };
        match ask.what {
            What::Reverted { .. } => Ok(match self.reverted {
                Ok(seen) => Answer::new(fold(seen), "reverted"),
                Err(kind) => Answer::unjudged(kind, "reverted"),
            }),
            What::Clean { .. } => Ok(Answer::new(fold(self.clean), "clean")),
            What::Item { item } => {
                if let Some(kind) = self.skips.get(&item) {
                    return Ok(Answer::unjudged(*kind, "no"));
                }
                let lie = self.lies.contains(&(self.asked.len() - 1));
                let mut answer = Answer::new(self.effect((item >= self.culprit) != lie), "seen");
                let code = self.sections.get(&item).unwrap_or(&item);
                answer.kernel = Some(Made {
                    image: item.to_string(),
                    sections: Some(code.to_string()),
                    release: "6.1.192".to_owned(),
                    rebuilt: true,
                    whole: false,
                });
                if let (false, Some(&from)) = (ask.fresh, self.alike.get(&item)) {
                    answer.inherited = Some(Inherited { from, because: "no compiled file differs".to_owned() });
                }
                Ok(answer)
            }
        }
    }
}

fn row(length: usize) -> Items {
    let list = (0..length).map(|at| Item { id: format!("{at:040}"), name: format!("change {at}") }).collect();
    Items::row(Kind::Commits, list)
}

fn limits() -> Limits {
    Limits { pause: Duration::ZERO, ..Limits::default() }
}

fn begin(dir: &Path, items: &Items, direction: Direction) -> Journal {
    let policy = Policy { direction, ..Policy::honest() };
    Journal::create(dir, Header::new(vec!["xtask".to_owned()], None, "i".to_owned(), policy, items.stored())).unwrap()
}

fn go(items: &Items, journal: &mut Journal, oracle: &mut Table, limits: Limits) -> End {
    let progress = Progress::silent();
    let log = |_: &Items, _: &Journal, _: Option<usize>| "log\n".to_owned();
    Driver { items, journal, oracle, progress: &progress, limits, log: &log }.run().unwrap()
}

fn found(end: &End) -> (usize, Standing) {
    match end {
        End::Found { item, confirmation, .. } => (*item, confirmation.standing),
        other => panic!("{other:?}"),
    }
}

fn tests(journal: &Journal) -> Vec<(Phase, What, Seen)> {
    journal.tests().map(|test| (test.phase, test.what, test.seen)).collect()
}

#[test]
fn a_culprit_is_found_and_confirmed() {
    for culprit in 1..12 {
        let dir = tempfile::tempdir().unwrap();
        let items = row(12);
        let mut journal = begin(dir.path(), &items, Direction::Break);
        let end = go(&items, &mut journal, &mut Table::new(culprit), limits());
        assert_eq!(found(&end), (culprit, Standing::Confirmed));
    }
}

#[test]
fn a_noisy_search_counts_who_disagrees_and_believes_no_more_than_it_was_told() {
    for (lies, told) in [(vec![], ("found", 0)), (vec![0, 3], ("unconfirmed", 125))] {
        let lied = !lies.is_empty();
        let dir = tempfile::tempdir().unwrap();
        let items = row(12);
        let header = Header::new(Vec::new(), None, "i".to_owned(), Policy::flaky(0.01, 0.01), items.stored());
        let mut journal = Journal::create(dir.path(), header).unwrap();
        let end = go(&items, &mut journal, &mut Table { lies, ..Table::new(7) }, limits());
        let report = Report::new(&items, &journal, &end);
        let noise = report.noise.unwrap_or_else(|| panic!("{}", report.text()));
        assert_eq!((report.verdict, report.exit), told, "{}", report.text());
        assert_eq!(noise.against > 0, lied);
        assert!(report.text().contains(&format!("{} of {} boots disagree", noise.against, noise.of)));
        assert_eq!(report.markdown().contains("more often than --noise says"), lied);
    }
}

#[test]
fn a_fix_is_found_by_the_same_search() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(12);
    let mut journal = begin(dir.path(), &items, Direction::Fix);
    let mut oracle = Table { fix: true, ..Table::new(5) };
    let end = go(&items, &mut journal, &mut oracle, limits());
    assert_eq!(found(&end), (5, Standing::Confirmed));
    // What was measured is kept as it was: the old end had the effect.
    let old = journal.tests().find(|test| test.what == What::Item { item: 0 }).unwrap();
    assert_eq!((old.answer.effect, old.seen), (Seen::Bad, Seen::Good));
}

#[test]
fn a_kill_at_any_byte_costs_at_most_one_test() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(14);
    let table = || Table { skips: BTreeMap::from([(6, Unjudged::Build), (7, Unjudged::Crash)]), ..Table::new(9) };
    let mut whole = begin(dir.path(), &items, Direction::Break);
    let end = go(&items, &mut whole, &mut table(), limits());
    let (expected, folder) = (tests(&whole), whole.dir().to_owned());
    drop(whole);
    let text = std::fs::read(folder.join("journal.jsonl")).unwrap();
    // Around every line end, and here and there between: each goes to the disk many times.
    let ends: Vec<usize> = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    let mut lengths: Vec<usize> = ends.iter().flat_map(|&at| [at - 1, at, at + 1, at + 2]).collect();
    lengths.extend((0..text.len()).step_by(997));
    for length in lengths.into_iter().filter(|&length| length <= text.len()) {
        let lines = text[..length].iter().filter(|&&byte| byte == b'\n').count();
        std::fs::write(folder.join("journal.jsonl"), &text[..length]).unwrap();
        let mut journal = Journal::reopen(&folder).unwrap();
        let mut oracle = table();
        assert_eq!(go(&items, &mut journal, &mut oracle, limits()), end, "cut at {length}");
        assert_eq!(oracle.asked.len(), expected.len() - lines, "cut at {length}");
        assert_eq!(tests(&journal), expected, "cut at {length}");
    }
}

#[test]
fn a_damaged_line_before_the_last_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(8);
    let mut journal = begin(dir.path(), &items, Direction::Break);
    go(&items, &mut journal, &mut Table::new(3), limits());
    let folder = journal.dir().to_owned();
    drop(journal);
    let path = folder.join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"event\":\"test\"", "\"event\":\"tset\"", 1)).unwrap();
    let error = Journal::reopen(&folder).unwrap_err();
    assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("line 1"), "{error}");
}

#[test]
fn only_one_process_works_on_a_bisection() {
    let dir = tempfile::tempdir().unwrap();
    let journal = begin(dir.path(), &row(3), Direction::Break);
    let error = Journal::reopen(journal.dir()).unwrap_err().to_string();
    assert!(error.contains("has held"), "{error}");
}

#[test]
fn a_failing_host_is_no_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(12);
    let mut sound = begin(dir.path(), &items, Direction::Break);
    go(&items, &mut sound, &mut Table::new(8), limits());
    for at in 0..8 {
        // Twice is borne, three times in a row ends it for now.
        let mut journal = begin(dir.path(), &items, Direction::Break);
        let mut oracle = Table { fails: vec![at, at + 1], ..Table::new(8) };
        assert_eq!(found(&go(&items, &mut journal, &mut oracle, limits())), (8, Standing::Confirmed));
        assert_eq!(tests(&journal), tests(&sound));

        let mut journal = begin(dir.path(), &items, Direction::Break);
        let mut oracle = Table { fails: vec![at, at + 1, at + 2], ..Table::new(8) };
        let end = go(&items, &mut journal, &mut oracle, limits());
        assert!(matches!(&end, End::Paused { why } if why.contains("no space left")), "{end:?}");
        assert_eq!(journal.tests().count(), at);
        let folder = journal.dir().to_owned();
        drop(journal);
        let mut journal = Journal::reopen(&folder).unwrap();
        assert_eq!(journal.events.iter().filter(|event| matches!(event, Event::Infra { .. })).count(), 3);
        assert_eq!(found(&go(&items, &mut journal, &mut Table::new(8), limits())), (8, Standing::Confirmed));
        assert_eq!(tests(&journal), tests(&sound));
    }
}

#[test]
fn an_inherited_verdict_is_marked_and_never_used_to_confirm() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(9);
    let mut journal = begin(dir.path(), &items, Direction::Break);
    let mut oracle = Table { alike: BTreeMap::from([(4, 0), (6, 0)]), ..Table::new(7) };
    assert_eq!(found(&go(&items, &mut journal, &mut oracle, limits())), (7, Standing::Confirmed));
    let of = |item, phase| {
        let mut tests = journal.tests().filter(move |test| test.what == What::Item { item } && test.phase == phase);
        tests.next().cloned()
    };
    assert!(of(4, Phase::Search).unwrap().answer.inherited.is_some());
    assert!(journal.observations().iter().any(|seen| seen.inherited && seen.item == 4 && seen.from == Some(0)));
    assert!(of(6, Phase::Confirm).unwrap().answer.inherited.is_none());
}

#[test]
fn what_compiles_to_the_same_as_its_parent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(9);
    let mut journal = begin(dir.path(), &items, Direction::Break);
    let mut oracle = Table { sections: BTreeMap::from([(5, 4)]), ..Table::new(5) };
    assert_eq!(found(&go(&items, &mut journal, &mut oracle, limits())), (5, Standing::Refused));
    assert!(!oracle.asked.iter().any(|ask| matches!(ask.what, What::Clean { .. } | What::Reverted { .. })));
}

#[test]
fn what_does_not_stand_alone_is_not_confirmed() {
    let cases = [
        (Seen::Good, Ok(Seen::Good), Standing::Unconfirmed),
        (Seen::Skip, Ok(Seen::Good), Standing::Unconfirmed),
        (Seen::Bad, Ok(Seen::Bad), Standing::Unconfirmed),
        (Seen::Bad, Ok(Seen::Good), Standing::Confirmed),
        // It cannot be taken back. A boot that tells nothing is something else.
        (Seen::Bad, Err(Unjudged::Source), Standing::Confirmed),
        (Seen::Bad, Err(Unjudged::Build), Standing::Confirmed),
        (Seen::Bad, Err(Unjudged::Crash), Standing::Unconfirmed),
        (Seen::Bad, Err(Unjudged::Invalid), Standing::Unconfirmed),
    ];
    for (clean, reverted, standing) in cases {
        let dir = tempfile::tempdir().unwrap();
        let items = row(9);
        let mut journal = begin(dir.path(), &items, Direction::Break);
        let mut oracle = Table { clean, reverted, ..Table::new(5) };
        assert_eq!(found(&go(&items, &mut journal, &mut oracle, limits())), (5, standing), "{clean:?} {reverted:?}");
    }
}

#[test]
fn skips_all_around_the_culprit_leave_candidates_and_no_guess() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(9);
    let mut journal = begin(dir.path(), &items, Direction::Break);
    let skips = BTreeMap::from([(3, Unjudged::Build), (4, Unjudged::Crash)]);
    let end = go(&items, &mut journal, &mut Table { skips, ..Table::new(4) }, limits());
    let End::Undecided { candidates, .. } = &end else { panic!("{end:?}") };
    let mut candidates = candidates.clone();
    candidates.sort_unstable();
    assert_eq!(candidates, [3, 4, 5]);
}

#[test]
fn a_used_up_budget_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let items = row(9);
    let mut journal = begin(dir.path(), &items, Direction::Break);
    let none = Limits { budget: Some(Duration::ZERO), ..limits() };
    let mut oracle = Table::new(4);
    let end = go(&items, &mut journal, &mut oracle, none);
    assert!(matches!(&end, End::Paused { why } if why.contains("budget")), "{end:?}");
    assert!(oracle.asked.is_empty());
    let folder = journal.dir().to_owned();
    assert_eq!(journal::find(dir.path(), "").unwrap(), folder);
    drop(journal);
    let mut journal = Journal::reopen(&folder).unwrap();
    assert_eq!(found(&go(&items, &mut journal, &mut oracle, limits())), (4, Standing::Confirmed));
    journal.finish(b"{}", "").unwrap();
    assert!(matches!(journal::find(dir.path(), ""), Err(Error::NothingSelected(_))));
}

#[test]
fn items_that_have_changed_are_told_apart() {
    let items = row(6);
    let stored = items.stored();
    assert_eq!(items.differs(&stored), None);
    let mut other = row(6);
    other.list[3].id = "rewritten".to_owned();
    let told = other.differs(&stored).unwrap();
    assert!(told.contains("change 3") && told.contains("rewritten"), "{told}");
    let told = row(7).differs(&stored).unwrap();
    assert!(told.contains("its new end was"), "{told}");
}
