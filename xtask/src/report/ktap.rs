// SPDX-License-Identifier: GPL-2.0-only
//! An outcome as KTAP, version 1, as Documentation/dev-tools/ktap.rst of the kernel
//! describes it: nested tests target > side > cell.
//!
//! ```text
//! ok N boot
//! # wait_max 116.7 ms                       a figure of the result that follows
//! ok N anon.sync.read@1.writer # XFAIL held the defect, where it is expected
//! not ok N … # held, expected is released   a kernel's fault
//! not ok N … # ERROR …                      the harness's, or its host's
//! ok N … # SKIP …                           proves nothing
//! ```
//!
//! A parent is `not ok` if one of its children is. XFAIL is `ok`, as kselftest has
//! it: a reader that does not know the directive sees no failure where the outcome
//! has none.
//!
//! Owns: the format. Must not: decide what is a case, or its answer (`cases`).

use super::cases::{self, Answer, Case, Group, Suite, blames_kernel};
use crate::store::Evidence;
use crate::verdict::Verdict;

/// The whole text.
#[must_use]
pub fn render(evidence: &Evidence) -> String {
    let outcome = &evidence.outcome;
    let mut top = Test::default();
    top.note(&format!("kvm-gup-io: {} (exit {}), {}", outcome.verdict, outcome.exit, outcome.accel));
    for line in outcome.run.iter().chain(&outcome.reasons) {
        top.note(line);
    }
    for group in cases::groups(evidence) {
        let (name, wrong) = (group.target.target.clone(), group.target.verdict != Verdict::Pass);
        top.child(&name, target(&group), wrong);
    }
    if let Some(case) = cases::without_target(evidence) {
        top.case(&case);
    }
    top.text()
}

fn target(group: &Group<'_>) -> Test {
    let mut test = Test::named(&group.target.target);
    test.note(&format!("Linux {}: {}", group.target.version, group.target.verdict));
    for suite in &group.suites {
        let wrong = suite.cases.iter().any(|case| case.answer.is_wrong());
        test.child(&suite.side.side, side(suite), wrong);
    }
    if let Some(case) = &group.verdict {
        test.case(case);
    }
    test
}

fn side(suite: &Suite<'_>) -> Test {
    let mut test = Test::named(&suite.side.side);
    let findings = suite.boot.map_or(&[][..], |boot| &boot.findings);
    for finding in findings.iter().filter(|finding| finding.fatal) {
        finding.excerpt.iter().for_each(|line| test.note(line));
    }
    suite.cases.iter().for_each(|case| test.case(case));
    test
}

/// A test with subtests, as it grows.
#[derive(Debug, Default)]
struct Test {
    header: String,
    notes: String,
    results: String,
    count: usize,
}

impl Test {
    fn named(name: &str) -> Self {
        // Where KUnit has it, before the plan.
        Self { header: format!("# Subtest: {}\n", word(name)), ..Self::default() }
    }

    /// A diagnostic line for each line of `text`.
    fn note(&mut self, text: &str) {
        for line in text.lines() {
            self.notes += &format!("# {}\n", line_of(line));
        }
    }

    fn case(&mut self, case: &Case<'_>) {
        for metric in case.metrics() {
            self.results += format!("# {} {} {}", metric.name, metric.value, metric.unit).trim_end();
            self.results.push('\n');
        }
        let (ok, directive, why) = match &case.answer {
            Answer::Fine(what) => (true, "", what),
            Answer::Expected(what) => (true, "XFAIL ", what),
            Answer::Skipped(why) => (true, "SKIP ", why),
            Answer::Wrong(verdict, why) if blames_kernel(*verdict) => (false, "", why),
            Answer::Wrong(_, why) => (false, "ERROR ", why),
        };
        self.result(ok, &case.name, &format!("{directive}{}", line_of(&why.replace('\n', "; "))));
    }

    fn child(&mut self, name: &str, child: Self, wrong: bool) {
        // A plan of none would be an error to a reader: such a test is a plain one.
        if child.count > 0 {
            for line in child.text().lines() {
                self.results += &format!("  {line}\n");
            }
        }
        self.result(!wrong, name, "");
    }

    fn result(&mut self, ok: bool, name: &str, more: &str) {
        self.count += 1;
        let (status, number) = (if ok { "ok" } else { "not ok" }, self.count);
        let more = if more.is_empty() { String::new() } else { format!(" # {more}") };
        self.results += &format!("{status} {number} {}{more}\n", word(name));
    }

    fn text(&self) -> String {
        let Self { header, notes, results, count } = self;
        format!("KTAP version 1\n{header}1..{count}\n{notes}{results}")
    }
}

/// One line without control characters.
fn line_of(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>().trim_end().to_owned()
}

/// A name: `#` would begin a directive.
fn word(text: &str) -> String {
    line_of(text).replace('#', "_")
}
