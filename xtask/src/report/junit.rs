// SPDX-License-Identifier: GPL-2.0-only
//! An outcome as JUnit XML: a suite for each side, a test case for each case.
//!
//! ```text
//! failure   the kernel's fault
//! error     the harness's or its host's, or nobody can tell
//! skipped   with its reason
//! ```
//!
//! The defect where it is expected is a success. Each suite's system-out is the
//! end of that boot's console.
//!
//! Owns: the mapping. Must not: decide what is a case, or its answer (`cases`).

use std::time::Duration;

use anyhow::Context;
use chrono::DateTime;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::cases::{self, Answer, Case, Suite, blames_kernel};
use crate::store::Evidence;

/// The whole text.
///
/// # Errors
/// It cannot be encoded.
pub fn render(evidence: &Evidence) -> anyhow::Result<String> {
    let mut report = Report::new("kvm-gup-io");
    let started = evidence.info.as_ref().and_then(|info| DateTime::parse_from_rfc3339(&info.started).ok());
    if let Some(started) = started {
        report.set_timestamp(started);
    }
    for group in cases::groups(evidence) {
        let name = &group.target.target;
        for suite in &group.suites {
            report.add_test_suite(side(evidence, name, &group.target.version, suite));
        }
        if let Some(verdict) = &group.verdict {
            let mut suite = TestSuite::new(name.as_str());
            suite.add_test_case(case(name, verdict));
            report.add_test_suite(suite);
        }
    }
    if let Some(verdict) = cases::without_target(evidence) {
        let mut suite = TestSuite::new("run");
        suite.add_test_case(case("run", &verdict));
        report.add_test_suite(suite);
    }
    report.to_string().context("cannot encode the JUnit report")
}

fn side(evidence: &Evidence, target: &str, version: &str, of: &Suite<'_>) -> TestSuite {
    let name = format!("{target}.{}", of.side.side);
    let mut suite = TestSuite::new(name.as_str());
    let properties = [("version", version), ("accel", evidence.outcome.accel.as_str())];
    suite.add_properties(properties.map(|(name, value)| Property::new(name, value)));
    suite.add_test_cases(of.cases.iter().map(|it| case(&name, it)));
    if let Some(boot) = of.boot {
        if let Some(total) = boot.total_ms {
            suite.set_time(Duration::from_millis(total));
        }
        suite.set_system_out(words(&boot.console.join("\n")));
        // Some viewers show only what belongs to a case.
        if let Some(first) = suite.test_cases.first_mut().filter(|_| of.cases[0].answer.is_wrong()) {
            first.set_system_out(words(&boot.console.join("\n")));
        }
    }
    suite
}

fn case(class: &str, of: &Case<'_>) -> TestCase {
    let mut case = TestCase::new(of.name.as_str(), status(&of.answer));
    case.set_classname(class);
    for metric in of.metrics() {
        case.add_property(Property::new(metric.name, format!("{} {}", metric.value, metric.unit).trim_end()));
    }
    if let Answer::Fine(what) | Answer::Expected(what) = &of.answer {
        case.add_property(Property::new("shows", what.as_str()));
    }
    case
}

/// Without the two characters that XML has not, and that the encoder lets through.
fn words(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "")
}

fn status(answer: &Answer) -> TestCaseStatus {
    match answer {
        Answer::Fine(_) | Answer::Expected(_) => TestCaseStatus::success(),
        Answer::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(words(why));
            status
        }
        Answer::Wrong(verdict, why) => {
            let kind = if blames_kernel(*verdict) { NonSuccessKind::Failure } else { NonSuccessKind::Error };
            let mut status = TestCaseStatus::non_success(kind);
            let why = words(why);
            let first = why.lines().next().unwrap_or_default();
            status.set_type(verdict.to_string()).set_message(first).set_description(why.as_str());
            status
        }
    }
}
