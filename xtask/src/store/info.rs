// SPDX-License-Identifier: GPL-2.0-only
//! What a run's record says about how it was made.
//!
//! Owns: the format of `run.json`, schema 2: extend it, never rename. Schema 1 does not
//! know what ran in the guest, nor that a run may repeat another. Must not:
//! find any of it out, except the host's own words about itself.

use std::path::Path;

use selftests::plan::Plan;
use serde::{Deserialize, Serialize};

use super::schema::Lift;
use crate::variant::Variant;
use crate::verdict::Verdict;

/// Version of `run.json`; a reader refuses a larger one.
pub(super) const SCHEMA: u32 = 2;

/// From each earlier version to the next. What version 1 lacks is optional in ours.
pub(super) const LIFTS: [Lift; SCHEMA as usize - 1] = [|_run| {}];

/// One invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of this format.
    pub schema: u32,
    /// The command line that made it, as words.
    pub argv: Vec<String>,
    /// The same, to be typed again.
    pub replay: String,
    /// Start, RFC 3339.
    pub started: String,
    /// The id of the run that it repeats.
    pub repeats: Option<String>,
    /// This tool's git revision, if it is known; `-dirty` if files differ from it.
    pub tool: Option<String>,
    /// SHA-256 of what ran in the guest, if that is known.
    pub selftests: Option<String>,
    /// The machine that it ran on.
    pub host: Host,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// What booted the kernels, e.g. `virtme-ng 1.42`; `None` for ourselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// What the kernels were built for.
    #[serde(default, skip_serializing_if = "Variant::is_default")]
    pub variant: Variant,
    /// What each boot was asked to measure.
    pub plan: Plan,
    /// In the order in which they were asked for.
    pub targets: Vec<TargetInfo>,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    /// The CPU's model name.
    pub cpu: String,
    /// CPUs that we may use.
    pub cpus: usize,
    /// The distribution's own name.
    pub os: String,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// The target's name, or a tree's.
    pub target: String,
    /// Judged by a `target.toml`; false for a tree without target.
    pub has_target: bool,
    /// The exact version obtained.
    pub version: String,
    /// Where it came from: package and version, or path@commit.
    pub origin: String,
    /// In the order in which they boot.
    pub sides: Vec<SideInfo>,
    /// How long it took, from nothing to its outcome; `None` if that is not known.
    pub seconds: Option<f64>,
    /// The error that ended it early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// One side's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideInfo {
    /// `baseline`, `patched`, `tree`, or the name of a further side of the target.
    pub side: String,
    /// Its commit in our repository.
    pub commit: String,
    /// `uname -r`.
    pub release: String,
    /// The compiler's version line.
    pub compiler: String,
    /// The kernel's configuration, a path.
    pub config: String,
    /// Of the bootable image.
    pub kernel_hash: String,
    /// Of its patches: SHA-256 of the lines that are the SHA-256 of each, in order;
    /// empty without patches. A record of an earlier xtask does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patchset: Option<String>,
}

/// An error that ended a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The verdict that it stands for.
    pub verdict: Verdict,
    /// The message.
    pub message: String,
}

impl RunInfo {
    /// Was it made by `review`?
    #[must_use]
    pub fn is_review(&self) -> bool {
        self.argv.get(1).is_some_and(|verb| verb == "review")
    }

    /// A record of now, with no target yet.
    #[must_use]
    pub fn new(argv: &[String], accel: &str, variant: Variant, plan: &Plan, tool: Option<String>) -> Self {
        let words = argv.iter().skip(1).map(String::as_str);
        Self {
            schema: SCHEMA,
            argv: argv.to_vec(),
            replay: shell_words::join(["cargo", "xtask"].into_iter().chain(words)),
            started: jiff::Timestamp::now().to_string(),
            repeats: None,
            tool,
            selftests: None,
            host: Host::this(),
            accel: accel.to_owned(),
            runner: None,
            variant,
            plan: plan.clone(),
            targets: Vec::new(),
        }
    }
}

/// The checkout's commit, `-dirty` if files differ from it; `None` without git.
#[must_use]
pub fn revision(checkout: &Path) -> Option<String> {
    let repository = git2::Repository::open(checkout).ok()?;
    let head = repository.head().ok()?.peel_to_commit().ok()?.id();
    let files = repository.statuses(None).ok()?;
    let dirty = files.iter().any(|file| !file.status().is_ignored());
    Some(format!("{head}{}", if dirty { "-dirty" } else { "" }))
}

impl Host {
    /// This machine, as far as it says; what it does not say is empty.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, key: &str, sep: char| {
            let line = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(sep));
            line.map(|(_, value)| value.trim().trim_matches('"').to_owned()).unwrap_or_default()
        };
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: value(&read("/proc/cpuinfo"), "model name", ':'),
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            os: value(&read("/etc/os-release"), "PRETTY_NAME", '='),
        }
    }
}
