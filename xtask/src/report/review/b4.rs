// SPDX-License-Identifier: GPL-2.0-only
//! A review as `b4 review` takes it from a check command.
//!
//! b4's own documentation says what that is (docs/maintainer/review.rst, "Writing an
//! external check script"): one mail on standard input; on standard output a JSON array
//! of objects with `tool`, `status` (one of pass, warn, fail), and, if there is
//! something to say, `summary`, `url` and `details`.
//!
//! Owns: that format. Must not: print.

use serde_json::{Value, json};

use super::effects;
use crate::report::prefixes::Row;
use crate::review::Review;
use crate::verdict::Verdict;

/// What a tool said of a patch.
type Column = fn(&Row) -> &str;

/// One result for each tool; of a series each speaks for all its patches.
#[must_use]
pub fn render(review: &Review) -> Value {
    let rows = &review.patches;
    let tools: [(&str, Column); 5] = [
        ("applies", |row| &row.applies),
        ("checkpatch", |row| &row.checkpatch),
        ("warnings", |row| &row.warnings),
        ("sparse", |row| &row.sparse),
        ("boot", |row| &row.boot),
    ];
    let mut results: Vec<Value> = Vec::new();
    for (tool, column) in tools {
        // What was not done has no result.
        let done: Vec<&Row> = rows.iter().filter(|row| !["-", "not installed"].contains(&column(row))).collect();
        if done.is_empty() {
            continue;
        }
        let summary = match &done[..] {
            [row] => column(row).to_owned(),
            rows => rows.iter().map(|row| format!("{}: {}", row.number, column(row))).collect::<Vec<_>>().join("; "),
        };
        let status = if done.iter().all(|row| is_good(tool, column(row))) { "pass" } else { bad(tool) };
        results.push(json!({ "tool": format!("kvm-gup-io {tool}"), "status": status, "summary": summary }));
    }
    let problems =
        rows.iter().flat_map(|row| row.problems.iter().map(move |problem| format!("patch {}: {problem}", row.number)));
    let details: Vec<String> = problems.chain(effects(review)).chain(review.reasons.clone()).collect();
    let summary = format!("{} on {} ({})", review.verdict, review.target, review.version);
    let mut whole = json!({ "tool": "kvm-gup-io", "status": status(review.verdict), "summary": summary });
    if !details.is_empty() {
        whole["details"] = details.join("\n").into();
    }
    results.push(whole);
    Value::Array(results)
}

/// What there is to say if there is no review.
#[must_use]
pub fn error(reason: &str) -> Value {
    json!([{ "tool": "kvm-gup-io", "status": "fail", "summary": reason.lines().next().unwrap_or_default(), "details": reason }])
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive | Verdict::Invalid | Verdict::Infra => "warn",
        Verdict::Fail | Verdict::ApplyFailed | Verdict::BuildFailed | Verdict::Crashed => "fail",
    }
}

fn is_good(tool: &str, cell: &str) -> bool {
    match tool {
        "applies" => cell == "exact" || cell.ends_with(" moved"),
        "checkpatch" => cell.starts_with("clean") || cell == "the tree has none",
        "warnings" | "sparse" => cell.starts_with("0 new"),
        _ => cell == "pass" || cell.starts_with("same kernel"),
    }
}

fn bad(tool: &str) -> &'static str {
    if tool == "checkpatch" || tool == "sparse" { "warn" } else { "fail" }
}
