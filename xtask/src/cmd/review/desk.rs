// SPDX-License-Identifier: GPL-2.0-only
//! The folder of one review: what was sent, and the target that it makes.
//!
//! ```text
//! results/reviews/<UTC>-<random>/
//!   sent/0001-x.patch          every patch, as it was sent
//!   patches/<target>/          the target with the series in place of its own: those that apply
//!   review.json  review.md     what was found
//! ```
//!
//! Of a review that builds nothing it is gone afterwards. A series that lies there like one of ours is built, booted and judged like one of
//! ours. Owns: this layout. Must not: write elsewhere, or take a name from a mail that
//! `series::mbox` has not made.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::error::Error;
use crate::file;
use crate::review::plan::Plan;
use crate::review::submission::Submission;
use crate::store;
use crate::target::Target;

/// The folder.
pub(super) struct Desk {
    dir: PathBuf,
    /// Where it is only for as long as this lives.
    _passing: Option<tempfile::TempDir>,
}

impl Desk {
    /// Claims a new folder: below the checkout, or, of a review that builds nothing and
    /// is made again in a second, in the cache and not for long.
    pub(super) fn create(checkout: &Path, cache: &Path, lasts: bool) -> anyhow::Result<Self> {
        let reviews = if lasts { checkout.join(store::REVIEWS) } else { cache.join("reviews") };
        let made = store::claim(&reviews)?;
        if lasts {
            return Ok(Self { dir: made.keep(), _passing: None });
        }
        Ok(Self { dir: made.path().to_owned(), _passing: Some(made) })
    }

    /// Writes down what was sent; the files in the order of the entries.
    pub(super) fn keep(&self, submission: &Submission) -> anyhow::Result<Vec<PathBuf>> {
        let sent = self.dir.join("sent");
        file::make_dir(&sent)?;
        submission.entries.iter().map(|entry| put(&sent, &entry.name, &entry.bytes)).collect()
    }

    /// The target with the patches that apply as its series.
    pub(super) fn lay_out(&self, target: &Target, submission: &Submission, plan: &Plan) -> Result<Target, Error> {
        let dir = self.dir.join("patches").join(&target.name);
        for folder in ["series", "compat"] {
            file::make_dir(&dir.join(folder))?;
        }
        file::write(&dir.join("target.toml"), target.text.as_bytes())?;
        for path in target.compat()? {
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            put(&dir.join("compat"), &name, &bytes)?;
        }
        let applied = submission.entries.iter().zip(&plan.steps).filter(|(_, step)| step.prefix.is_some());
        for (entry, _) in applied {
            put(&dir.join("series"), &entry.name, &entry.bytes)?;
        }
        Ok(Target { dir, rfc: Vec::new(), extra: Vec::new(), ..target.clone() })
    }

    /// Writes a file of this review.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        put(&self.dir, name, bytes).map(drop)
    }
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    if name.contains('/') || name.starts_with('.') || name.is_empty() {
        bail!("{name:?} cannot name a file");
    }
    let path = dir.join(name);
    file::write(&path, bytes)?;
    Ok(path)
}
