// SPDX-License-Identifier: GPL-2.0-only
//! The prefixes of a series, and what tools say about each: the one way in which
//! `series check` and `review` ask.
//!
//! Owns: the tree of a prefix put into place, the warnings of its files before and
//! after, and what of a boot becomes a row. Must not: choose prefixes, or print.

mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::Repository;

use crate::cache::{Cache, Work};
use crate::error::Error;
use crate::kbuild::{self, Place};
use crate::measure::{self, Lab};
use crate::patch::{Fitted, Patch, PatchFit};
use crate::progress::Progress;
use crate::report::prefixes::Row;
use crate::series::{self, warnings};
use crate::side::Side;
use crate::source::{self, Base, Request};
use crate::target::Target;
use crate::variant::Variant;
use crate::verdict::Verdict;
use crate::worktree;

/// The log of the objects that are made only for their warnings.
const OBJECTS: &str = "objects";

/// What the work needs that no boot does.
#[derive(Clone, Copy)]
pub struct Shop<'a> {
    /// The checkout of this project.
    pub checkout: &'a Path,
    /// Sources, builds, kernels.
    pub cache: &'a Cache,
    /// Where progress goes.
    pub progress: &'a Progress,
    /// What the kernels are built for.
    pub variant: Variant,
}

impl<'a> From<&'a Lab> for Shop<'a> {
    fn from(lab: &'a Lab) -> Self {
        Self { checkout: &lab.checkout, cache: &lab.cache, progress: &lab.progress, variant: lab.variant }
    }
}

/// The work area of a tree, ours as long as the first value lives.
///
/// # Errors
/// The source cannot be had.
pub fn open(shop: &Shop<'_>, request: &Request) -> Result<(Work, Repository, Base), Error> {
    let work = shop.cache.work(&measure::key(request), shop.progress)?;
    let base = source::obtain(&work, shop.cache, request, shop.progress)?;
    let git = work.git();
    let repository = Repository::open_bare(&git).with_context(|| format!("cannot open {}", git.display()))?;
    Ok((work, repository, base))
}

/// The tree's version, and how each patch fits on it behind the ones before.
///
/// # Errors
/// The source cannot be had, or the toolchain's fixes do not apply.
pub fn fits(
    shop: &Shop<'_>,
    target: &Target,
    request: &Request,
    patches: &[Patch],
) -> Result<(String, Vec<Fitted>), Error> {
    let (_work, repository, base) = open(shop, request)?;
    let compat = series::commit_side(&repository, base.commit, &series::load(&target.compat()?)?)?;
    Ok((base.version, series::fits(&repository, compat, patches)?))
}

/// A fit in a few words.
#[must_use]
pub fn applies(fit: &PatchFit) -> String {
    match fit {
        PatchFit::Applies { offsets: 0, .. } => "exact".to_owned(),
        PatchFit::Applies { offsets, .. } => format!("{offsets} hunks moved"),
        PatchFit::Reverses(_) | PatchFit::AlreadyIn(_) => "already in".to_owned(),
        PatchFit::PartlyIn(_) => "partly in".to_owned(),
        PatchFit::Fuzz { by, .. } => format!("no: fuzz {by}"),
        PatchFit::Conflict { .. } | PatchFit::WrongFile { .. } => "no".to_owned(),
    }
}

/// The prefixes of the series of a target.
pub struct Prefixes<'a> {
    target: &'a Target,
    request: &'a Request,
    patches: &'a [Patch],
    sparse: Option<PathBuf>,
    /// What was said of each file as the patch before left it.
    known: BTreeMap<String, tools::Said>,
    /// Files that were given to make by themselves.
    tried: BTreeSet<String>,
}

impl<'a> Prefixes<'a> {
    /// Of the patches of the target's series, parsed.
    #[must_use]
    pub fn new(target: &'a Target, request: &'a Request, patches: &'a [Patch]) -> Self {
        let (known, tried) = (BTreeMap::new(), BTreeSet::new());
        Self { target, request, patches, sparse: tools::sparse(), known, tried }
    }

    /// The work area with the tree of a prefix put into place.
    fn tree(&self, shop: &Shop<'_>, number: usize) -> Result<Tree, Error> {
        let (work, repository, base) = open(shop, self.request)?;
        let files = Side::Patched.patches(self.target, Some(number))?;
        let commit = series::commit_side(&repository, base.commit, &series::load(&files)?)?;
        worktree::switch(&repository, &work.src(), commit)?;
        let (src, build) = (work.src(), work.build(shop.variant));
        Ok(Tree { place: Place { src, build, kernels: work.kernels(), logs: work.logs() }, _work: work })
    }

    /// What checkpatch says about a patch, in the tree of a prefix. A complaint that
    /// nobody has declared is this bad.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn checkpatch(&self, shop: &Shop<'_>, patch: &Patch, at: (usize, Verdict), row: &mut Row) -> Result<(), Error> {
        let (prefix, severity) = at;
        let tree = self.tree(shop, prefix)?;
        if !tree.place.src.join("scripts/checkpatch.pl").exists() {
            row.checkpatch = "the tree has none".to_owned();
            return Ok(());
        }
        let name = patch.path.file_name().unwrap_or_default().to_string_lossy();
        let complaints = match tools::complain(&tree.place.src, patch)? {
            Ok(complaints) => complaints,
            Err(line) => {
                row.checkpatch = "not run".to_owned();
                let why = "checkpatch.pl would give to a shell, as the name of a file, what this line has";
                row.worst(severity, [format!("{name} line {line}: {why}")]);
                return Ok(());
            }
        };
        let (declared, open): (Vec<_>, Vec<_>) =
            complaints.into_iter().partition(|complaint| self.target.excused(&complaint.class, &name));
        row.checkpatch = match (open.len(), declared.len()) {
            (0, 0) => "clean".to_owned(),
            (0, declared) => format!("clean, {declared} declared"),
            (open, _) => format!("{open} complaints"),
        };
        if !open.is_empty() {
            let told = open.into_iter().map(|complaint| format!("checkpatch {name} {}", complaint.text));
            row.worst(severity, told);
        }
        Ok(())
    }

    /// Compares the warnings of the files that the last patch of a prefix touches with
    /// those that they had in the prefix `before`.
    ///
    /// # Errors
    /// One of them does not compile, or a tool cannot be run.
    pub fn warnings(&mut self, shop: &Shop<'_>, number: usize, before: usize, row: &mut Row) -> Result<(), Error> {
        let touched: BTreeSet<String> =
            self.patches[number - 1].files.iter().filter_map(|file| file.new.clone()).collect();
        self.make_objects(shop, number, &touched)?;
        let unknown: Vec<&String> = touched.iter().filter(|file| !self.known.contains_key(*file)).collect();
        if !unknown.is_empty() {
            let tree = self.tree(shop, before)?;
            for file in unknown {
                // A file that the patch makes has no warnings before it.
                let there = tree.place.src.join(file).exists();
                let said = if there { tools::ask(&tree.place.build, file, self.sparse.as_deref())? } else { None };
                self.known.insert(file.clone(), said.unwrap_or_default());
            }
        }
        let tree = self.tree(shop, number)?;
        let (mut fresh, mut sparse, mut compiled, mut declared) = (Vec::new(), Vec::new(), 0, 0);
        for file in touched {
            let Some(after) = tools::ask(&tree.place.build, &file, self.sparse.as_deref())? else {
                if self.target.leaves_out(&file) {
                    declared += 1;
                } else if warnings::command_file(&file).is_some() {
                    row.worst(
                        Verdict::Inconclusive,
                        [format!("{file} is not compiled in this configuration: nothing is known of its warnings")],
                    );
                }
                continue;
            };
            compiled += 1;
            let before = self.known.insert(file, after.clone()).unwrap_or_default();
            fresh.extend(warnings::new(&before.compiler, &after.compiler));
            sparse.extend(warnings::new(&before.sparse, &after.sparse));
        }
        row.warnings = format!("{} new in {compiled} files", fresh.len());
        row.sparse = match &self.sparse {
            Some(_) => format!("{} new in {compiled} files", sparse.len()),
            None => "not installed".to_owned(),
        };
        if declared > 0 {
            row.warnings += &format!(", {declared} declared");
        }
        let all = fresh.iter().map(|warning| format!("new warning: {warning}"));
        let all: Vec<String> = all.chain(sparse.iter().map(|warning| format!("sparse: {warning}"))).collect();
        if !all.is_empty() {
            row.worst(Verdict::BuildFailed, all);
        }
        Ok(())
    }

    /// A kept kernel says nothing about its build folder, which may have been
    /// emptied since. Whatever of the touched files has never been compiled there is
    /// compiled now, if it can be.
    fn make_objects(&mut self, shop: &Shop<'_>, number: usize, touched: &BTreeSet<String>) -> Result<(), Error> {
        let tree = self.tree(shop, number)?;
        let lacks = |file: &&String| {
            warnings::command_file(file).is_some_and(|name| !tree.place.build.join(name).exists())
                && !self.tried.contains(*file)
        };
        let missing: Vec<String> = touched.iter().filter(lacks).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let spec = measure::spec(shop.checkout, self.target, shop.variant);
        let objects: Vec<String> =
            missing.iter().filter_map(|file| Some(format!("{}.o", file.strip_suffix(".c")?))).collect();
        // The tree is put into place before `put`: it is that of a kernel which has been built.
        kbuild::objects(&tree.place, &spec, OBJECTS, &objects, || Ok(()), shop.progress)?;
        self.tried.extend(missing);
        Ok(())
    }
}

/// A prefix's tree in a work area that is ours as long as this lives.
struct Tree {
    place: Place,
    _work: Work,
}
