// SPDX-License-Identifier: GPL-2.0-only
//! Two runs of one command: what is not the same any more.
//!
//! Owns: which differences there are, and their words. What a record of an earlier xtask
//! does not say is not compared. Pure. Must not: compare results; `diff` does.

use crate::store::{Evidence, RunInfo, SideInfo, TargetInfo};

/// A line each, in the order of what decides most. `then` and `now` are the two runs.
#[must_use]
pub fn differences(then: &Evidence, now: &Evidence) -> Vec<String> {
    let (Some(old), Some(new)) = (&then.info, &now.info) else { return Vec::new() };
    let mut lines = Vec::new();
    for target in &old.targets {
        match new.targets.iter().find(|other| other.target == target.target) {
            Some(other) => lines.extend(of_target(target, other, expectations(then, now, &target.target))),
            None => lines.push(format!("{}: is not there any more", target.target)),
        }
    }
    for target in new.targets.iter().filter(|target| old.targets.iter().all(|old| old.target != target.target)) {
        lines.push(format!("{}: was not there", target.target));
    }
    lines.extend(of_run(old, new));
    lines
}

fn of_run(old: &RunInfo, new: &RunInfo) -> Vec<String> {
    let mut lines = Vec::new();
    let mut differs = |what: &str, old: Option<&str>, new: Option<&str>| {
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            lines.push(format!("{what}: {old} → {new}"));
        }
    };
    differs("the selftests", short(old.selftests.as_deref()), short(new.selftests.as_deref()));
    differs("xtask", old.tool.as_deref(), new.tool.as_deref());
    differs("the accelerator", Some(&old.accel), Some(&new.accel));
    differs("the host's kernel", Some(&old.host.kernel), Some(&new.host.kernel));
    differs("the host's processor", Some(&old.host.cpu), Some(&new.host.cpu));
    differs("the host's processors", Some(&old.host.cpus.to_string()), Some(&new.host.cpus.to_string()));
    differs("the host's system", Some(&old.host.os), Some(&new.host.os));
    lines
}

/// Are they the same text in both? `None` if one has none.
fn expectations(then: &Evidence, now: &Evidence, target: &str) -> Option<bool> {
    let text = |of: &'_ Evidence| of.expected.iter().find(|kept| kept.target == target).map(|kept| kept.text.clone());
    Some(text(then)? == text(now)?)
}

fn of_target(old: &TargetInfo, new: &TargetInfo, expectations: Option<bool>) -> Vec<String> {
    let name = &old.target;
    let mut lines = Vec::new();
    let source = old.origin == new.origin;
    if !source {
        lines.push(format!("{name}: the kernel's source: {} → {}", told(&old.origin), told(&new.origin)));
    }
    if expectations == Some(false) {
        lines.push(format!("{name}: target.toml has changed"));
    }
    for side in &old.sides {
        match new.sides.iter().find(|other| other.side == side.side) {
            Some(other) => {
                lines.extend(of_side(side, other, source).map(|line| format!("{name} {}: {line}", side.side)))
            }
            None => lines.push(format!("{name} {}: is not there any more", side.side)),
        }
    }
    lines
}

/// The first of what explains that the kernels differ.
fn of_side(old: &SideInfo, new: &SideInfo, same_source: bool) -> Option<String> {
    if let (Some(old), Some(new)) = (&old.patchset, &new.patchset)
        && old != new
    {
        return Some(format!("the patches: {} → {}", word(old), word(new)));
    }
    if old.compiler != new.compiler {
        return Some(format!("the compiler: {} → {}", old.compiler, new.compiler));
    }
    let unexplained = same_source && old.kernel_hash != new.kernel_hash;
    unexplained.then(|| "another kernel of the same source and patches: its configuration has changed".to_owned())
}

/// The start of a digest.
fn short(digest: Option<&str>) -> Option<&str> {
    digest.map(|digest| digest.get(..12).unwrap_or(digest))
}

fn word(digest: &str) -> &str {
    if digest.is_empty() { "none" } else { digest.get(..12).unwrap_or(digest) }
}

fn told(origin: &str) -> &str {
    if origin.is_empty() { "unknown" } else { origin }
}
