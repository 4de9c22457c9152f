// SPDX-License-Identifier: GPL-2.0-only
//! A target: one kernel series with its patches, and what it is expected to show.
//!
//! Owns: the value that `patches/<name>/target.toml` becomes, the choice of a
//! target by name, and where its patches lie. Must not: fetch, apply or build
//! (`source`, `series`, `kbuild`), or compare with a measurement (`judge`).
//! Adding a target needs a folder and no Rust.

mod check;
mod file;
mod pattern;
mod rows;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use check::Cells;

use crate::error::Error;
use crate::variant::Variant;

pub use pattern::{CellGlob, LinePattern};
pub use rows::{Behaves, BehavesRow, Death, Excuse, Expect, Expected, ExtraSide, Rfc, Skip, Tolerate, Uncompiled};

/// The sides that every target has, in the order in which they are measured.
pub const SIDES: [&str; 2] = ["baseline", "patched"];

/// The file that makes a folder below `patches/` a target.
pub const FILE: &str = "target.toml";

/// A kernel series that we keep patches for.
#[derive(Debug, Clone)]
pub struct Target {
    /// The folder's name, e.g. `v6.1`.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
    /// The file's text, kept so that a run's record can be judged again by the
    /// expectations that it was made with.
    pub text: String,
    /// Where the kernel comes from.
    pub source: Source,
    /// How it is configured.
    pub config: Config,
    /// What it lacks of the variants of its configuration.
    pub variant: BTreeMap<Variant, VariantConfig>,
    /// How `make` is called.
    pub make: Make,
    /// Patches at the end of the series that are there to be discussed.
    pub rfc: Vec<Rfc>,
    /// What of the series is not compiled.
    pub uncompiled: Vec<Uncompiled>,
    /// What checkpatch may complain of.
    pub excuses: Vec<Excuse>,
    /// Sides beside [`SIDES`].
    pub extra: Vec<ExtraSide>,
    /// What each side shows; the first row that matches counts.
    pub expect: Vec<Expect>,
    /// Behaviours that are not right on every side.
    pub behaviour: Vec<BehavesRow>,
    /// Cells that this kernel may leave out.
    pub skip: Vec<Skip>,
    /// Console findings that this kernel is known for.
    pub tolerate: Vec<Tolerate>,
}

/// Where the kernel's source comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Which of the ways.
    pub kind: SourceKind,
    /// The upstream series that the obtained version must belong to, e.g. `6.1`.
    pub series: String,
    /// Debian's package, e.g. `linux-source-6.1`; empty for `user`.
    #[serde(default)]
    pub package: String,
    /// Debian's suites that carry it, the newest version of all wins; empty for `user`.
    #[serde(default)]
    pub suites: Vec<String>,
}

/// The ways to get a kernel's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A binary package that contains a tarball, `linux-source-X.Y`.
    Binary,
    /// A source package, of which the `.orig.tar.xz` is taken.
    Source,
    /// No registry has it: the user names a tree with `--linux`.
    User,
}

/// How the kernel is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the fragments are merged on.
    pub base: BaseConfig,
    /// Names of fragments: `boot` is `kconfigs/boot.config`. Merged in this order.
    pub fragments: Vec<String>,
    /// Symbols of the fragments that this version does not have, each with the
    /// reason: `CONFIG_FOO = "came with 6.4"`.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
}

/// What a target says about one variant of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantConfig {
    /// As [`Config::absent`], for the variant's own fragment.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
}

/// The smallest configuration that a version can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseConfig {
    /// `make tinyconfig`, from 3.18 on.
    Tinyconfig,
    /// `make allnoconfig`.
    Allnoconfig,
}

impl BaseConfig {
    /// The make target.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tinyconfig => "tinyconfig",
            Self::Allnoconfig => "allnoconfig",
        }
    }
}

/// How `make` is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Make {
    /// Further arguments of every `make`, e.g. `KCFLAGS=-std=gnu89`.
    #[serde(default)]
    pub args: Vec<String>,
}

impl Target {
    /// Reads and checks the target `name` below the folder `patches`.
    ///
    /// # Errors
    /// [`Error::NothingSelected`] with all names if there is none of that name;
    /// [`Error::Usage`] with file and line if its file says something that makes no
    /// sense, or leaves a cell of the catalogue without expectation.
    pub fn load(patches: &Path, name: &str) -> Result<Self, Error> {
        let names = Self::names(patches)?;
        if !names.iter().any(|known| known == name) {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let patches = patches.display();
            return Err(Error::NothingSelected(anyhow!(
                "no target is named {name:?}; below {patches} there are: {known}"
            )));
        }
        let dir = patches.join(name);
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))
            .map_err(Error::Usage)?;
        let target = Self::parse(name, &dir, &text)?;
        target.rfc_is_last().map_err(Error::Usage)?;
        Ok(target)
    }

    /// An RFC before others could not be left out: they are made for the tree that
    /// has it.
    fn rfc_is_last(&self) -> anyhow::Result<()> {
        let series = self.series()?;
        let from = series.len().saturating_sub(self.rfc.len());
        let last = series[from..].iter().filter_map(|path| path.file_name());
        if last.eq(self.rfc.iter().map(|row| OsStr::new(&row.patch))) {
            return Ok(());
        }
        let named: Vec<_> = self.rfc.iter().map(|row| row.patch.as_str()).collect();
        Err(anyhow!(
            "{}: the rfc rows name {}, which are not the last patches of {}, in order",
            self.dir.join(FILE).display(),
            named.join(", "),
            self.dir.join("series").display()
        ))
    }

    /// Makes a target of a file's text; `dir` is the folder that the file is in.
    ///
    /// # Errors
    /// As [`Target::load`].
    pub fn parse(name: &str, dir: &Path, text: &str) -> Result<Self, Error> {
        file::parse(name, dir, text, Cells::All).map_err(Error::Usage)
    }

    /// The same of a file that a record keeps, which knows nothing of cells that came
    /// after it; `dir` is the record's.
    ///
    /// # Errors
    /// As [`Target::load`].
    pub fn recorded(name: &str, dir: &Path, text: &str) -> Result<Self, Error> {
        file::parse(name, dir, text, Cells::OfItsTime).map_err(Error::Usage)
    }

    /// The targets below `patches`, oldest kernel first; empty if there is no such
    /// folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(patches: &Path) -> anyhow::Result<Vec<String>> {
        if !patches.exists() {
            return Ok(Vec::new());
        }
        let list = || format!("cannot list {}", patches.display());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(patches).with_context(list)? {
            let entry = entry.with_context(list)?;
            if entry.path().join(FILE).is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_by_key(|name| version_key(name));
        Ok(names)
    }

    /// The target whose series is nearest to `version`: the newest that is not newer,
    /// else the oldest. A tree without target borrows its configuration.
    ///
    /// # Errors
    /// There is no target, or one cannot be read.
    pub fn nearest(patches: &Path, version: &str) -> Result<Self, Error> {
        let names = Self::names(patches)?;
        let older = |name: &&String| version_key(name).0 <= version_key(version).0;
        let name = names.iter().rfind(older).or(names.first());
        let name =
            name.ok_or_else(|| Error::NothingSelected(anyhow!("there is no target below {}", patches.display())))?;
        Self::load(patches, name)
    }

    /// The patches that `patched` has more than `baseline`, in the order of their
    /// names.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn series(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.folder("series")
    }

    /// The patches that both sides have: what a current toolchain needs.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn compat(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.folder("compat")
    }

    /// The patches in a folder of the target, in the order of their names; empty if
    /// there is no such folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn folder(&self, name: &str) -> anyhow::Result<Vec<PathBuf>> {
        patches_in(&self.dir.join(name))
    }

    /// The row of a side beside [`SIDES`].
    #[must_use]
    pub fn extra(&self, side: &str) -> Option<&ExtraSide> {
        self.extra.iter().find(|row| row.name == side)
    }

    /// May checkpatch complain in this way of the patch file `name`?
    #[must_use]
    pub fn excused(&self, class: &str, name: &str) -> bool {
        let covers = |row: &Excuse| row.patches.as_ref().is_none_or(|patches| patches.is_match(name));
        self.excuses.iter().any(|row| row.class == class && covers(row))
    }

    /// Is it declared that this file is not compiled?
    #[must_use]
    pub fn leaves_out(&self, path: &str) -> bool {
        self.uncompiled.iter().any(|row| row.files.is_match(path))
    }

    /// All sides that can be asked for.
    #[must_use]
    pub fn side_names(&self) -> Vec<&str> {
        SIDES.into_iter().chain(self.extra.iter().map(|row| row.name.as_str())).collect()
    }

    /// How `side` dies in this variant, if it is there to show that.
    #[must_use]
    pub fn death(&self, side: &str, variant: Variant) -> Option<&Death> {
        self.extra(side)?.dies.as_ref().filter(|death| death.config == variant)
    }

    /// The row that says what `side` shows in this cell; `None` if the cell is only
    /// a declared skip, or the row does not speak about this side.
    #[must_use]
    pub fn expected(&self, side: &str, cell: &str, window: u32, probe: &str) -> Option<&Expect> {
        self.expect.iter().find(|row| row.covers(cell, window, probe)).filter(|row| row.sides.contains_key(side))
    }

    /// What `side` shows in this behaviour, and why; `None` if no row says it.
    #[must_use]
    pub fn behaves(&self, side: &str, behaviour: &str) -> Option<(Behaves, &str)> {
        let row = self.behaviour.iter().find(|row| row.names.is_match(behaviour))?;
        Some((*row.sides.get(side)?, &row.reason))
    }

    /// The row that allows this cell to be left out.
    #[must_use]
    pub fn declared_skip(&self, cell: &str, window: u32) -> Option<&Skip> {
        self.skip.iter().find(|row| row.covers(cell, window))
    }
}

fn patches_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let list = || format!("cannot list {}", dir.display());
    let mut patches = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(list)? {
        let path = entry.with_context(list)?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            patches.push(path);
        }
    }
    patches.sort();
    Ok(patches)
}

/// `v6.12` sorts behind `v6.1` and before `v7.3`: by its numbers, then as text.
pub(crate) fn version_key(name: &str) -> (Vec<u32>, String) {
    let numbers = name.split(|char: char| !char.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    (numbers.collect(), name.to_owned())
}
