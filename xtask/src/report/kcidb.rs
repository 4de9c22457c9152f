// SPDX-License-Identifier: GPL-2.0-only
//! An outcome as KCIDB I/O JSON, version 5: what the kernel's CI systems exchange.
//! Written, never sent.
//!
//! ```text
//! checkout   one a side: `valid` says whether its patches applied
//! build      one a side that has a kernel, or failed to get one
//! test       one a case; and one a figure, DONE, with its number
//! ```
//!
//! The defect where it is expected is DONE too: it says nothing new about the code.
//! A wrong answer is FAIL if the kernel is to blame, ERROR if the test is, and MISS
//! if the harness or its host is.
//!
//! Owns: the mapping. What the format demands as a URL is left out: a record has
//! only files. Must not: decide what is a case, or its answer (`cases`).

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use super::cases::{self, Answer, Case, Group, Suite, blames_kernel};
use crate::outcome::TargetOutcome;
use crate::store::{Evidence, SideInfo};
use crate::verdict::Verdict;

/// The name under which this tool's results go.
const ORIGIN: &str = "kvm_gup_io";

/// Of an excerpt, as the schema has it.
const EXCERPT_BYTES: usize = 16_384;

/// The schema's version that this is.
const VERSION: (u32, u32) = (5, 3);

/// The three lists, as they grow.
#[derive(Debug, Default, Serialize)]
struct Lists {
    checkouts: Vec<Value>,
    builds: Vec<Value>,
    tests: Vec<Value>,
}

/// The whole text.
///
/// # Errors
/// It cannot be encoded.
pub fn render(evidence: &Evidence) -> anyhow::Result<String> {
    let mut lists = Lists::default();
    for group in cases::groups(evidence) {
        Report { evidence, group: &group }.into_lists(&mut lists);
    }
    let Lists { checkouts, builds, tests } = lists;
    let (major, minor) = VERSION;
    let all = json!({
        "version": { "major": major, "minor": minor },
        "checkouts": checkouts,
        "builds": builds,
        "tests": tests,
    });
    let text = serde_json::to_string_pretty(&all).context("cannot encode the KCIDB report")?;
    Ok(text + "\n")
}

/// One target of a run.
struct Report<'a> {
    evidence: &'a Evidence,
    group: &'a Group<'a>,
}

impl Report<'_> {
    fn into_lists(self, lists: &mut Lists) {
        for suite in &self.group.suites {
            let side = &suite.side.side;
            lists.checkouts.push(self.checkout(side, true));
            lists.builds.push(self.build(side, "PASS"));
            for case in &suite.cases {
                lists.tests.push(self.test(suite, case));
                lists.tests.extend(self.figures(suite, case));
            }
        }
        match self.group.target.verdict {
            // Which side it was is in the message.
            Verdict::ApplyFailed => lists.checkouts.push(self.checkout(STOPPED, false)),
            Verdict::BuildFailed => {
                lists.checkouts.push(self.checkout(STOPPED, true));
                lists.builds.push(self.build(STOPPED, "FAIL"));
            }
            _ => {}
        }
    }

    /// Of a checkout, and of its build: a side has one of each.
    fn id(&self, side: &str) -> String {
        let run = self.evidence.outcome.run.as_deref().unwrap_or("reference");
        let run = run.rsplit('/').next().unwrap_or(run);
        format!("{ORIGIN}:{run}/{}/{side}", self.group.target.target)
    }

    fn side(&self, side: &str) -> Option<&SideInfo> {
        let info = self.evidence.info.as_ref()?;
        let target = info.targets.iter().find(|target| target.target == self.group.target.target)?;
        target.sides.iter().find(|info| info.side == side)
    }

    fn checkout(&self, side: &str, valid: bool) -> Value {
        let TargetOutcome { target, version, .. } = self.group.target;
        let mut checkout = json!({
            "id": self.id(side),
            "origin": ORIGIN,
            "tree_name": "kvm-gup-io",
            "git_commit_name": format!("v{version}"),
            "comment": format!("Linux {version}, {side} of {target}"),
            "valid": valid,
        });
        let info = self.evidence.info.as_ref();
        set(&mut checkout, "start_time", info.map(|info| json!(info.started)));
        let of = info.and_then(|info| info.targets.iter().find(|info| info.target == *target));
        set(&mut checkout, "misc", of.map(|of| json!({ "source": of.origin })));
        let patchset = self.side(side).and_then(|side| side.patchset.as_ref());
        set(&mut checkout, "patchset_hash", patchset.map(|hash| json!(hash)));
        if !valid {
            set(&mut checkout, "log_excerpt", Some(json!(excerpt(&self.group.target.reasons.join("\n")))));
        }
        checkout
    }

    fn build(&self, side: &str, status: &str) -> Value {
        let variant = self.evidence.info.as_ref().map(|info| info.variant).unwrap_or_default();
        let mut build = json!({
            "id": self.id(side),
            "checkout_id": self.id(side),
            "origin": ORIGIN,
            "architecture": "x86_64",
            "config_name": variant.name(),
            "status": status,
        });
        if let Some(info) = self.side(side) {
            set(&mut build, "compiler", Some(json!(info.compiler)));
            set(&mut build, "misc", Some(json!({ "release": info.release, "kernel_hash": info.kernel_hash })));
        }
        if status != "PASS" {
            set(&mut build, "log_excerpt", Some(json!(excerpt(&self.group.target.reasons.join("\n")))));
        }
        build
    }

    fn test(&self, suite: &Suite<'_>, case: &Case<'_>) -> Value {
        let side = &suite.side.side;
        let (status, comment) = status(&case.answer);
        let mut test = json!({
            "id": format!("{}/{}", self.id(side), case.name),
            "build_id": self.id(side),
            "origin": ORIGIN,
            "path": path(&case.name),
            "status": status,
            "comment": clean(comment),
            "environment": { "comment": format!("QEMU, {}", self.evidence.outcome.accel) },
        });
        let info = self.evidence.info.as_ref();
        set(&mut test, "start_time", info.map(|info| json!(info.started)));
        if let Some(boot) = suite.boot.filter(|_| case.cell.is_none() && case.answer.is_wrong()) {
            set(&mut test, "log_excerpt", Some(json!(excerpt(&boot.console.join("\n")))));
        }
        test
    }

    fn figures(&self, suite: &Suite<'_>, case: &Case<'_>) -> Vec<Value> {
        let side = &suite.side.side;
        let in_seconds = |metric: &cases::Metric| match metric.unit {
            "ms" => json!({ "value": metric.value / 1000.0, "unit": "s", "prefix": "metric" }),
            _ => json!({ "value": metric.value }),
        };
        let figure = |metric: cases::Metric| {
            json!({
                "id": format!("{}/{}/{}", self.id(side), case.name, metric.name),
                "build_id": self.id(side),
                "origin": ORIGIN,
                "path": format!("{}.{}", path(&case.name), metric.name),
                "status": "DONE",
                "number": in_seconds(&metric),
            })
        };
        case.metrics().into_iter().map(figure).collect()
    }
}

/// In the place of a side, of a target that did not get as far as one.
const STOPPED: &str = "stopped";

/// A status, and what is said of it.
fn status(answer: &Answer) -> (&'static str, &str) {
    match answer {
        Answer::Fine(what) => ("PASS", what),
        Answer::Expected(what) => ("DONE", what),
        Answer::Skipped(why) => ("SKIP", why),
        Answer::Wrong(verdict, why) if blames_kernel(*verdict) => ("FAIL", why),
        Answer::Wrong(Verdict::Infra, why) => ("MISS", why),
        Answer::Wrong(_, why) => ("ERROR", why),
    }
}

/// A place in the tree of all tests: letters, digits and `-_` between dots.
fn path(case: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let parts = case.split(['.', '@']).filter(|part| !part.is_empty());
    let parts = parts.map(|part| part.replace(|letter| !allowed(letter), "_"));
    std::iter::once(ORIGIN.to_owned()).chain(parts).collect::<Vec<_>>().join(".")
}

fn clean(text: &str) -> String {
    text.replace('\0', "")
}

/// The end of a text, as much as the schema allows.
fn excerpt(text: &str) -> String {
    let text = clean(text);
    let mut start = text.len().saturating_sub(EXCERPT_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}
