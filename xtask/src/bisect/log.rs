// SPDX-License-Identifier: GPL-2.0-only
//! Git's own way of writing a bisection down.
//!
//! Owns: the text of `git bisect log`, written so that `git bisect replay`
//! comes to the same answer, and read back. Must not touch a repository.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::bisect::evidence::{Direction, Observation, Seen, Tally, tallies};
use crate::bisect::history::History;

/// One line of such a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The commit's full id, in hex.
    pub id: String,
    /// Its subject, for the comment; empty if the log has none.
    pub subject: String,
    /// Its side.
    pub seen: Seen,
    /// What the comment adds, such as the counts; empty for nothing.
    pub note: String,
}

/// A bisection in git's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// With [`Direction::Fix`] the terms are `broken` and `fixed`.
    pub direction: Direction,
    /// Only these paths count; none for all.
    pub paths: Vec<String>,
    /// In the order of the search, the ends first.
    pub marks: Vec<Mark>,
    /// The culprit's id and subject.
    pub found: Option<(String, String)>,
}

/// A log that is not git's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the bisect log says '{text}', but {why}")]
pub struct LogError {
    /// From 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong, and what is expected.
    pub why: &'static str,
}

/// Git's words for the old and the new side.
fn terms(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Break => ("good", "bad"),
        Direction::Fix => ("broken", "fixed"),
    }
}

impl Log {
    /// The log of a search through a history. With a culprit, each commit is on
    /// the side where that puts it, the counts are noted, and a culprit that was
    /// never tested itself is marked at the end, and said to be inferred.
    pub fn of(
        history: &History,
        direction: Direction,
        paths: &[String],
        seen: &[Observation],
        found: Option<usize>,
    ) -> Self {
        let graph = &history.graph;
        let tally = tallies(graph.len(), seen);
        let new = found.map(|item| graph.descendants(&[item]));
        let before = graph.ancestors(&history.goods);
        let mut order: Vec<usize> = history.bads.iter().chain(&history.goods).copied().collect();
        for item in seen.iter().map(|seen| seen.item).filter(|&item| item < graph.len()) {
            // Below the good ends, a test only says how old a branch is; git asks no such thing.
            let only_age = direction == Direction::Fix && before.contains(item);
            if !order.contains(&item) && !only_age {
                order.push(item);
            }
        }
        let mut log = Self { direction, paths: paths.to_vec(), ..Self::default() };
        let mut bad: Option<usize> = None;
        for item in order {
            if found == Some(item) && tally[item].is_skipped() {
                continue; // Git would not name a commit that it was told to skip.
            }
            let side = match &new {
                _ if history.bads.contains(&item) => Seen::Bad,
                _ if history.goods.contains(&item) => Seen::Good,
                _ if tally[item].is_skipped() => Seen::Skip,
                Some(new) if new.contains(item) => Seen::Bad,
                Some(_) => Seen::Good,
                None => tally[item].majority().unwrap_or(Seen::Skip),
            };
            // Git knows one bad commit, the last that it was told: never one beside the culprit.
            if side == Seen::Bad && bad.is_some_and(|bad| !graph.ancestors(&[bad]).contains(item)) {
                continue;
            }
            bad = if side == Seen::Bad { Some(item) } else { bad };
            log.mark(history, item, side, counts(&tally[item], direction));
        }
        if let Some(item) = found {
            if bad.replace(item) != Some(item) {
                log.mark(history, item, Seen::Bad, "inferred from the tests of the others".to_owned());
            }
            log.found = history.commits.get(item).map(|commit| (commit.id.to_string(), commit.subject.clone()));
        }
        if let Some(bad) = bad {
            log.merge_bases(history, bad);
        }
        log
    }

    /// Git asks again, at the end of a replay, for each place where the branches
    /// of good commits parted from the bad one's; they are good by the commits
    /// above them.
    fn merge_bases(&mut self, history: &History, bad: usize) {
        let good = |mark: &&Mark| mark.seen == Seen::Good;
        let marked: Vec<usize> = self
            .marks
            .iter()
            .filter(good)
            .filter_map(|mark| history.commits.iter().position(|commit| commit.id.to_string() == mark.id))
            .collect();
        let mut common = history.graph.ancestors(&marked);
        common.intersect_with(&history.graph.ancestors(&[bad]));
        for base in history.graph.newest(&common).into_iter().filter(|base| !marked.contains(base)) {
            self.marks.retain(|mark| history.commits[base].id.to_string() != mark.id);
            self.mark(history, base, Seen::Good, "contained in commits that are marked so".to_owned());
        }
    }

    fn mark(&mut self, history: &History, item: usize, seen: Seen, note: String) {
        if let Some(commit) = history.commits.get(item) {
            self.marks.push(Mark { id: commit.id.to_string(), subject: commit.subject.clone(), seen, note });
        }
    }

    /// The text for `git bisect replay`.
    pub fn text(&self) -> String {
        let (old, new) = terms(self.direction);
        let mut text = String::from("git bisect start");
        if self.direction == Direction::Fix {
            text += &format!(" '--term-new={new}' '--term-old={old}'");
        }
        if !self.paths.is_empty() {
            text += " '--'";
            // Quoted each, as git does.
            self.paths.iter().for_each(|path| text += &format!(" '{}'", path.replace('\'', r"'\''")));
        }
        text.push('\n');
        for mark in &self.marks {
            let word = match mark.seen {
                Seen::Good => old,
                Seen::Bad => new,
                Seen::Skip => "skip",
            };
            text += &format!("# {word}: [{}] {}\n", mark.id, mark.subject);
            if !mark.note.is_empty() {
                text += &format!("# note: {}\n", mark.note);
            }
            text += &format!("git bisect {word} {}\n", mark.id);
        }
        if let Some((id, subject)) = &self.found {
            text += &format!("# first {new} commit: [{id}] {subject}\n");
        }
        text
    }

    /// A log of git's or of ours.
    ///
    /// # Errors
    /// [`LogError`] names the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let mut reader = Reader { log: Self::default(), old: "good".into(), new: "bad".into(), said: Vec::new() };
        let mut started = false;
        for (at, line) in text.lines().enumerate() {
            let fail = |why| LogError { line: at + 1, text: line.to_owned(), why };
            if let Some(comment) = line.strip_prefix('#') {
                reader.comment(comment.trim());
                continue;
            }
            let words = shell_words::split(line).map_err(|_| fail("its quotes do not match"))?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words[..] {
                [] => {}
                ["git", "bisect", "start", ref args @ ..] | ["git-bisect", "start", ref args @ ..] => {
                    reader.start(args);
                    started = true;
                }
                _ if !started => return Err(fail("a log begins with 'git bisect start'")),
                ["git", "bisect", word, ref ids @ ..] | ["git-bisect", word, ref ids @ ..] => {
                    reader.marks(word, ids).map_err(fail)?;
                }
                _ => return Err(fail("a line is a comment or 'git bisect' with a word and commit ids")),
            }
        }
        if !started {
            return Err(LogError { line: 1, text: String::new(), why: "a log begins with 'git bisect start'" });
        }
        Ok(reader.log)
    }
}

/// The counts for a comment; none for a single plain answer.
fn counts(tally: &Tally, direction: Direction) -> String {
    let (old, new) = terms(direction);
    let mut note = String::new();
    if tally.good + tally.bad + tally.skip > 1 {
        note = format!("{} {old}, {} {new}, {} skipped", tally.good, tally.bad, tally.skip);
    }
    if tally.inherited > 0 {
        let gap = if note.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _infallible = write!(note, "{gap}{} inherited from an item with the same code", tally.inherited);
    }
    note
}

/// A log half read.
struct Reader {
    log: Log,
    old: String,
    new: String,
    /// Comments that name a commit and its side: word, id, subject.
    said: Vec<(String, String, String)>,
}

impl Reader {
    fn comment(&mut self, comment: &str) {
        if let Some(note) = comment.strip_prefix("note: ") {
            self.said.push(("note".to_owned(), String::new(), note.to_owned()));
            return;
        }
        let Some((word, rest)) = comment.split_once(": [") else { return };
        let Some((id, subject)) = rest.split_once(']') else { return };
        let (id, subject) = (id.to_owned(), subject.trim_start().to_owned());
        if word == format!("first {} commit", self.new) {
            self.log.found = Some((id, subject));
        } else {
            self.said.push((word.to_owned(), id, subject));
        }
    }

    fn start(&mut self, args: &[&str]) {
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            if arg == "--" {
                self.log.paths.extend(args.by_ref().map(|&path| path.to_owned()));
                break;
            }
            let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
            let side = match name {
                "--term-new" | "--term-bad" => &mut self.new,
                "--term-old" | "--term-good" => &mut self.old,
                _ => continue,
            };
            let value = value.or_else(|| args.next().copied());
            value.unwrap_or_default().clone_into(side);
        }
        if (self.old.as_str(), self.new.as_str()) == terms(Direction::Fix) {
            self.log.direction = Direction::Fix;
        }
        // Ends given to `start` stand only in the comments before it.
        for (word, id, subject) in std::mem::take(&mut self.said) {
            if let Some(seen) = self.side(&word) {
                self.log.marks.push(Mark { id, subject, seen, note: String::new() });
            }
        }
    }

    fn side(&self, word: &str) -> Option<Seen> {
        match word {
            "skip" => Some(Seen::Skip),
            _ if word == self.new || word == "new" || word == "bad" => Some(Seen::Bad),
            _ if word == self.old || word == "old" || word == "good" => Some(Seen::Good),
            _ => None,
        }
    }

    fn marks(&mut self, word: &str, ids: &[&str]) -> Result<(), &'static str> {
        let Some(seen) = self.side(word) else {
            return Err("that is no word of this bisection; expected its two terms, or skip");
        };
        let said = std::mem::take(&mut self.said);
        let note = said.iter().find(|(word, _, _)| word == "note").map(|(_, _, note)| note.clone()).unwrap_or_default();
        let subjects: HashMap<String, String> = said.into_iter().map(|(_, id, subject)| (id, subject)).collect();
        for &id in ids {
            if id.len() < 40 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err("a commit must be named by its full id");
            }
            let subject = subjects.get(id).cloned().unwrap_or_default();
            self.log.marks.push(Mark { id: id.to_owned(), subject, seen, note: note.clone() });
        }
        Ok(())
    }
}
