// SPDX-License-Identifier: GPL-2.0-only
//! How far a build is, from the lines that make prints.
//!
//! Owns: which lines count. Pure. Must not: draw; `progress` does.

/// Steps of a clean build of the lean configuration (7.3, the largest), for the
/// first build of a work area; the second knows its own number.
pub(super) const USUAL_STEPS: u64 = 1_800;

/// An incremental build that does more than this is taken for a full one: a
/// changed header or symbol rebuilds most of the tree.
const INCREMENTAL_STEPS: u64 = 80;

/// Counts the steps of one build.
#[derive(Debug, Clone)]
pub struct Meter {
    full: u64,
    clean: bool,
    done: u64,
}

impl Meter {
    /// A build that takes `full` steps if it begins with nothing, which `clean` says.
    #[must_use]
    pub fn new(full: u64, clean: bool) -> Self {
        Self { full, clean, done: 0 }
    }

    /// Takes a line of make's output: the step's text (`CC mm/shmem.o`) if it is one.
    pub fn line(&mut self, line: &str) -> Option<String> {
        let (tag, rest) = line.strip_prefix("  ")?.split_once(' ')?;
        // gcc quotes source in lines that begin with two blanks and a number.
        let is_tag = tag.len() >= 2
            && tag.starts_with(|first: char| first.is_ascii_uppercase())
            && tag.bytes().all(|byte| byte.is_ascii_uppercase() || b"0123456789_-".contains(&byte));
        let rest = rest.trim_start().trim_start_matches("[M]").trim_start();
        if !is_tag || rest.is_empty() {
            return None;
        }
        self.done += 1;
        Some(format!("{tag} {rest}"))
    }

    /// Steps done so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Steps in all, as far as can be known: `None` for a small incremental build.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        (self.clean || self.done > INCREMENTAL_STEPS).then(|| self.full.max(self.done))
    }
}
