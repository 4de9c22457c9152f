// SPDX-License-Identifier: GPL-2.0-only
//! A side of a kernel: which patches it has.
//!
//! Owns: the sides' names, and which of a target's patches make each of them.
//! Must not: apply them (`series`), or say what a side shows (`target`, `judge`).

use std::path::PathBuf;

use anyhow::{Context, anyhow};

use crate::error::Error;
use crate::target::Target;
use crate::variant::Variant;

/// Which patches a kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// Base and toolchain fixes.
    Baseline,
    /// And the series.
    Patched,
    /// A tree by itself, with the toolchain fixes of the target that lends its
    /// configuration.
    Tree,
    /// Base, toolchain fixes, and the patches of a `[[side]]` row of the target.
    Extra(String),
}

impl Side {
    /// The name in results, records and `target.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Baseline => "baseline",
            Self::Patched => "patched",
            Self::Tree => "tree",
            Self::Extra(name) => name,
        }
    }

    /// The side of `target` that a user calls `name`.
    ///
    /// # Errors
    /// [`Error::NothingSelected`] with all names if it has none of that name.
    pub fn of(target: &Target, name: &str) -> Result<Self, Error> {
        match name {
            "baseline" => Ok(Self::Baseline),
            "patched" => Ok(Self::Patched),
            _ if target.extra(name).is_some() => Ok(Self::Extra(name.to_owned())),
            _ => {
                let names = target.side_names().join(", ");
                Err(Error::NothingSelected(anyhow!("{} has no side {name:?}; it has: {names}", target.name)))
            }
        }
    }

    /// The sides that are booted unless the user says which: those that the variant
    /// requires, and those that are there to die in it.
    #[must_use]
    pub fn usual(target: &Target, variant: Variant) -> Vec<Self> {
        let dying = target.extra.iter().filter(|row| target.death(&row.name, variant).is_some());
        variant.required().iter().cloned().chain(dying.map(|row| Self::Extra(row.name.clone()))).collect()
    }

    /// The files of its patches, in order. Of the series only the first `upto`; all
    /// if left out.
    ///
    /// # Errors
    /// [`Error::NothingSelected`] if the series is shorter than `upto`; a folder
    /// cannot be read.
    pub fn patches(&self, target: &Target, upto: Option<usize>) -> Result<Vec<PathBuf>, Error> {
        let mut files = target.compat()?;
        match self {
            Self::Baseline | Self::Tree => {}
            Self::Patched => {
                let mut series = target.series()?;
                if let Some(upto) = upto.filter(|upto| *upto > series.len()) {
                    let (name, length) = (&target.name, series.len());
                    return Err(Error::NothingSelected(anyhow!(
                        "the series of {name} has {length} patches, not {upto}"
                    )));
                }
                series.truncate(upto.unwrap_or(series.len()));
                files.extend(series);
            }
            Self::Extra(name) => {
                let row = target.extra(name).with_context(|| format!("{} has no side {name}", target.name))?;
                files.extend(target.folder(&row.patches)?);
            }
        }
        Ok(files)
    }
}
