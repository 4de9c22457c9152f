// SPDX-License-Identifier: GPL-2.0-only
//! The words of a report: at a terminal, and as Markdown for a mail.

use super::{Report, Shown};
use crate::bisect::confirm::Standing;
use crate::bisect::driver::minutes;
use crate::bisect::evidence::Direction;
use crate::bisect::items::Kind;
use crate::bisect::journal::BISECTIONS;

impl Report {
    /// For people at a terminal, with a line end.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.headline());
        for candidate in &self.candidates {
            text += &format!("  {} {}\n", short(&candidate.id), candidate.name);
        }
        text += &self.disagreement("  ");
        text += &self.confirmed("  ");
        for (word, all) in [("before", &self.before), ("after", &self.after)] {
            text += &states(word, all, "  ");
        }
        for skipped in &self.skipped {
            text += &format!("  skipped: {} {}: {}\n", short(&skipped.item.id), skipped.item.name, skipped.why);
        }
        text += &format!("  evidence: {}\n", self.counts());
        if self.verdict == "paused" {
            text += &format!("go on with: cargo xtask bisect --resume={}\n", self.id);
        } else {
            text += &format!("record: {BISECTIONS}/{} (report.md, bisect.log, journal.jsonl)\n", self.id);
        }
        text
    }

    /// One line: what was found.
    fn headline(&self) -> String {
        let did = match self.find {
            Direction::Break => "the first with the effect",
            Direction::Fix => "the first without the effect",
        };
        let noun = self.kind.noun();
        match (&self.culprit, self.verdict) {
            (Some(culprit), verdict) => {
                let id = if self.kind == Kind::Commits { format!("{} ", culprit.id) } else { String::new() };
                let doubt = match verdict {
                    "found" => "",
                    "refused" => ", which is REFUSED: it changes no compiled code",
                    _ => ", which is NOT CONFIRMED",
                };
                // A patch is named with its number, which says already what it is.
                let noun = if self.kind == Kind::Patches { String::new() } else { format!("the {noun} ") };
                format!("{did} is {noun}{id}{}{doubt}", culprit.name)
            }
            (None, verdict) => format!("{verdict}: {}", self.why.as_deref().unwrap_or("for no stated reason")),
        }
    }

    fn confirmed(&self, indent: &str) -> String {
        let checks = self.confirmation.checks.iter().map(|check| {
            let word = match check.agrees {
                Some(true) => "as it must be",
                Some(false) => "NOT as it must be",
                None => "cannot be told",
            };
            format!("{indent}{}: {word} ({})\n", check.what, check.why)
        });
        match self.confirmation.standing {
            Standing::Unasked if self.culprit.is_some() => format!("{indent}not confirmed, as asked\n"),
            _ => checks.collect(),
        }
    }

    /// How noisy it was, and what that means.
    fn disagreement(&self, indent: &str) -> String {
        let why = self.culprit.as_ref().and(self.why.as_ref()).map(ToString::to_string);
        let noise = self.noise.map(|noise| noise.to_string());
        why.into_iter().chain(noise).map(|line| format!("{indent}{line}\n")).collect()
    }

    fn counts(&self) -> String {
        let seen = self.evidence;
        let error = self.error_bound * 100.0;
        format!(
            "{} good, {} bad, {} skipped, {} of these inherited; accumulated error at most {error:.2} %; {} of tests",
            seen.good,
            seen.bad,
            seen.skip,
            seen.inherited,
            minutes(self.wall)
        )
    }

    /// For a mail.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.headline());
        for candidate in &self.candidates {
            text += &format!("* `{}` {}\n", short(&candidate.id), candidate.name);
        }
        text += &format!("Evidence of the search: {}.\n\n", self.counts());
        if self.noise.is_some() {
            text += &format!("{}\n", self.disagreement("* "));
        }
        if !self.confirmation.checks.is_empty() {
            text += &format!("## Confirmation\n\n{}\n", self.confirmed("* "));
        }
        for (word, all) in [("Before", &self.before), ("After", &self.after)] {
            if !all.is_empty() {
                text += &format!("## {word}\n\n{}\n", states("", all, "* "));
            }
        }
        if !self.skipped.is_empty() {
            text += "## Skipped\n\n";
            for skipped in &self.skipped {
                text += &format!("* `{}` {}: {}\n", short(&skipped.item.id), skipped.item.name, skipped.why);
            }
            text.push('\n');
        }
        text += &self.steps_table();
        let lines: String = self.log.lines().map(|line| format!("    {line}\n")).collect();
        text += &format!("## Log\n\n{lines}\n## To repeat it\n\n    {}\n", self.reproduce);
        text
    }

    fn steps_table(&self) -> String {
        let mut text = String::from(
            "## Steps\n\n| what | why | seen | build s | boot s | test s | all s | left before, s |\n|---|---|---|---|---|---|---|---|\n",
        );
        for step in &self.steps {
            let seconds = step.seconds;
            let seen = match &step.inherited {
                Some(from) => format!("{}, inherited from {from}", step.effect),
                None => format!("{}: {}", step.effect, step.why),
            };
            let eta = step.eta.map_or_else(String::new, |eta| format!("{eta:.0}"));
            let cell = |text: &str| text.replace('|', "\\|");
            text += &format!(
                "| {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {eta} |\n",
                cell(&step.what),
                step.reason,
                cell(&seen),
                seconds.build,
                seconds.boot,
                seconds.test,
                step.wall
            );
        }
        text + "\n"
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn states(word: &str, all: &[Shown], indent: &str) -> String {
    let word = if word.is_empty() { String::new() } else { format!("{word}: ") };
    let line = |shown: &Shown| {
        let stack =
            if shown.stack.is_empty() { String::new() } else { format!(", waiting in {}", shown.stack.join(" < ")) };
        let (first, count) = (shown.cells.first().map_or("", String::as_str), shown.cells.len());
        let cells = if count > 1 { format!("{first} and {} more", count - 1) } else { first.to_owned() };
        format!("{indent}{word}{}{stack}: {cells}\n", shown.state)
    };
    all.iter().map(line).collect()
}
