// SPDX-License-Identifier: GPL-2.0-only
//! What `series check` found out about each prefix of a series.
//!
//! Owns: the value, its table and its JSON. Must not: check anything, or print.

use serde::Serialize;

use super::table::{self, Look};
use crate::error::Error;
use crate::text::shown;
use crate::verdict::Verdict;

/// Not done, because it was not asked for or nothing was there to do it with.
const NONE: &str = "-";

/// One prefix: the series up to and with patch `number`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// From 1.
    pub number: usize,
    /// Of the prefix's last patch.
    pub subject: String,
    /// The worst of what was found.
    pub verdict: Verdict,
    /// `exact`, or at how many other lines than its headers say.
    pub applies: String,
    /// How many complaints, and how many of them `target.toml` declares.
    pub checkpatch: String,
    /// New warnings in the files that the patch touches.
    pub warnings: String,
    /// New complaints of sparse in them.
    pub sparse: String,
    /// The boot's own verdict.
    pub boot: String,
    /// All of it, without waiting for locks.
    pub seconds: f64,
    /// Why the verdict is no better, one entry each.
    pub problems: Vec<String>,
}

impl Row {
    /// Nothing has been found yet.
    #[must_use]
    pub fn new(number: usize, subject: &str) -> Self {
        let none = || NONE.to_owned();
        Self {
            number,
            subject: subject.to_owned(),
            verdict: Verdict::Pass,
            applies: none(),
            checkpatch: none(),
            warnings: none(),
            sparse: none(),
            boot: none(),
            seconds: 0.0,
            problems: Vec::new(),
        }
    }

    /// The prefix is this bad at least.
    pub fn worst(&mut self, verdict: Verdict, problems: impl IntoIterator<Item = String>) {
        self.verdict = self.verdict.max(verdict);
        // A stranger's code is in what compilers say of it.
        self.problems.extend(problems.into_iter().map(|problem| shown(&problem)));
    }

    /// Takes in a failure of this prefix alone, so that the next one can be tried.
    ///
    /// # Errors
    /// A failure that stands for no verdict, or an interruption: those end the check.
    pub fn fail(&mut self, error: Error) -> Result<(), Error> {
        match error.verdict() {
            Some(verdict) if !matches!(error, Error::Interrupted) => {
                self.worst(verdict, [error.to_string()]);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// The worst verdict; of no rows nothing is known.
#[must_use]
pub fn verdict(rows: &[Row]) -> Verdict {
    rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Inconclusive)
}

/// The whole text, with a line end. `series` names target and version.
#[must_use]
pub fn render(series: &str, rows: &[Row], look: Look) -> String {
    format!("{series}: {}\n{}", verdict(rows), body(rows, look))
}

/// The table, and what is wrong with each.
#[must_use]
pub fn body(rows: &[Row], look: Look) -> String {
    let mut grid = table::grid(look);
    grid.set_header(["", "patch", "applies", "checkpatch", "warnings", "sparse", "boot", "verdict", "seconds"]);
    for row in rows {
        let (number, seconds) = (row.number.to_string(), format!("{:.0}", row.seconds));
        let verdict = row.verdict.to_string();
        grid.add_row([
            &number,
            &row.subject,
            &row.applies,
            &row.checkpatch,
            &row.warnings,
            &row.sparse,
            &row.boot,
            &verdict,
            &seconds,
        ]);
    }
    let mut text = table::trimmed(&grid);
    for (row, problem) in rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem))) {
        text += &format!("  {}: {}\n", row.number, problem.replace('\n', "\n    "));
    }
    text
}

/// One JSON object, schema 1.
#[must_use]
pub fn json(series: &str, version: &str, rows: &[Row]) -> serde_json::Value {
    let verdict = verdict(rows);
    serde_json::json!({
        "schema": 1,
        "target": series,
        "version": version,
        "verdict": verdict,
        "exit": verdict.exit_code(),
        "prefixes": rows,
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_bad_prefix_is_told_and_decides() {
        let mut bad = Row::new(2, "mm: two");
        bad.fail(Error::Build(anyhow!("mm/x.c:1: error: no\nmore of it"))).unwrap();
        bad.worst(Verdict::ApplyFailed, ["checkpatch is unhappy".to_owned()]);
        let rows = [Row::new(1, "mm: one"), bad];
        assert_eq!(verdict(&rows), Verdict::BuildFailed);
        let text = render("v6.1 (6.1.192)", &rows, Look::PLAIN);
        assert!(text.starts_with("v6.1 (6.1.192): build-failed\n"), "{text}");
        assert!(text.ends_with("  2: mm/x.c:1: error: no\n    more of it\n  2: checkpatch is unhappy\n"), "{text}");
        let json = json("v6.1", "6.1.192", &rows);
        assert_eq!((&json["exit"], &json["prefixes"][0]["verdict"]), (&101.into(), &"pass".into()));
    }

    #[test]
    fn an_interruption_is_no_prefix_of_its_own() {
        assert!(Row::new(1, "x").fail(Error::Interrupted).is_err());
        assert!(Row::new(1, "x").fail(Error::Usage(anyhow!("x"))).is_err());
        assert_eq!(verdict(&[]), Verdict::Inconclusive);
    }
}
