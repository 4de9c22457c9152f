// SPDX-License-Identifier: GPL-2.0-only
//! A stranger's series, looked at: the pure core of `cargo xtask review`.
//!
//! ```text
//! mail ─submission→ entries ─fits→ plan ─ the shell builds and boots ─→ rows, states
//!                                              states ─effect→ which patch did what
//!                                   rows + effects + trailers ─Review→ one value for all renderers
//! ```
//!
//! Owns: what is tried and what is not (`plan`), what must not run on this machine
//! (`host`), and what the states of the prefixes say (`effect`). Must not: build, boot,
//! write, or believe what a mail says about itself.

pub mod effect;
pub mod host;
pub mod plan;
pub mod submission;

use serde::Serialize;

use crate::report::prefixes::Row;
use crate::series::mbox::Trailer;
use crate::verdict::Verdict;
use effect::Effect;

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// All that a review found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Review {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The worst of all.
    pub verdict: Verdict,
    /// The process's exit code.
    pub exit: u8,
    /// The subject of the cover letter, or of the only patch.
    pub title: String,
    /// Which revision was taken.
    pub revision: u32,
    /// What the input had beside it.
    pub passed_over: Vec<String>,
    /// Folder name below `patches/` whose configuration was used.
    pub target: String,
    /// The tree's version.
    pub version: String,
    /// `tcg` or `kvm`; `None` if nothing was booted.
    pub accel: Option<String>,
    /// Why nothing was booted, where that is no failure.
    pub not_booted: Option<String>,
    /// One for each patch.
    pub patches: Vec<Row>,
    /// Cells that are not what they were on the tree without the series.
    pub effects: Vec<Effect>,
    /// Cells that are held, and released, before and after the series.
    pub unchanged: effect::Unchanged,
    /// What people said in replies.
    pub trailers: Vec<Trailer>,
    /// What is wrong with the series as a whole.
    pub reasons: Vec<String>,
    /// Folder of the record of baseline against patched.
    pub run: Option<String>,
}

impl Review {
    /// Sums up: the worst of the rows, of the effects, and of what is known of the whole.
    #[must_use]
    pub fn concluded(mut self, whole: Verdict) -> Self {
        for row in &mut self.patches {
            let its = self.effects.iter().filter(|effect| effect.patch == Some(row.number));
            let bad: Vec<&Effect> = its.filter(|effect| effect.verdict() != Verdict::Pass).collect();
            if let Some(worst) = bad.iter().map(|effect| effect.verdict()).max() {
                let mut cells: Vec<String> = bad.iter().map(|effect| effect.cell()).collect();
                cells.dedup();
                let what = format!("with it others wait for the lock where they did not before: {}", cells.join(", "));
                row.worst(worst, [what]);
            }
        }
        let rows = self.patches.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Inconclusive);
        let effects = self.effects.iter().map(Effect::verdict).max().unwrap_or(Verdict::Pass);
        self.verdict = rows.max(effects).max(whole);
        self.exit = self.verdict.exit_code();
        self
    }
}
