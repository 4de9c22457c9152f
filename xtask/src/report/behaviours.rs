// SPDX-License-Identifier: GPL-2.0-only
//! Behaviours for people: how many are right on every side, and what each side showed of
//! the others.
//!
//! Owns: which are told, and in what words. What is wrong with a verdict is among the
//! reasons.

use super::markdown::{escaped, line};
use crate::outcome::{BehaviourOutcome, BehaviourState, SideOutcome, TargetOutcome};

/// What one side showed in a behaviour.
type Seen<'a> = (&'a str, &'a BehaviourOutcome);

/// For a terminal; empty if none was tried.
pub(super) fn render(target: &TargetOutcome) -> String {
    let Some(count) = count(target) else { return String::new() };
    let mut text = format!("\n{count}\n");
    let told = told(target);
    let width = told.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, seen) in told {
        let mut first = name;
        for (side, BehaviourOutcome { state, saw, .. }) in seen {
            text += &format!("    {first:width$}  {side} {state}: {}\n", saw.replace('\n', " "));
            first = "";
        }
    }
    text
}

/// As Markdown; empty if none was tried.
pub(super) fn markdown(target: &TargetOutcome) -> String {
    let Some(count) = count(target) else { return String::new() };
    let mut text = format!("\n{count}\n");
    let told = told(target);
    text += if told.is_empty() { "" } else { "\n" };
    for (name, seen) in told {
        let side = |(side, seen): &Seen<'_>| format!("{} {}: {}", line(side), seen.state, escaped(&line(&seen.saw)));
        text += &format!("* {}: {}\n", line(name), seen.iter().map(side).collect::<Vec<_>>().join("; "));
    }
    text
}

/// `6 of 12 behaviours are right on every side`; `None` if none was tried.
pub(super) fn count(target: &TargetOutcome) -> Option<String> {
    let all = names(target).len();
    let right = all - told(target).len();
    (all > 0).then(|| format!("{right} of {all} behaviours are right on every side"))
}

/// Those that are not right on every side.
fn told(target: &TargetOutcome) -> Vec<(&str, Vec<Seen<'_>>)> {
    let each = names(target).into_iter().map(|name| (name, seen(target, name)));
    each.filter(|(_, seen)| seen.iter().any(|(_, seen)| seen.state != BehaviourState::Right)).collect()
}

/// Each that some side has, once.
pub(super) fn names(target: &TargetOutcome) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for seen in target.sides.iter().flat_map(|side| &side.behaviours) {
        if !names.contains(&seen.behaviour.as_str()) {
            names.push(&seen.behaviour);
        }
    }
    names
}

/// What each side showed in it.
pub(super) fn seen<'a>(target: &'a TargetOutcome, name: &str) -> Vec<Seen<'a>> {
    let of = |side: &'a SideOutcome| Some((side.side.as_str(), side.behaviour(name)?));
    target.sides.iter().filter_map(of).collect()
}
