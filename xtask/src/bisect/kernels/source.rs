// SPDX-License-Identifier: GPL-2.0-only
//! From a recipe to a commit in the repository of ours.
//!
//! Owns: which toolchain fixes an item gets, and the newest item without another
//! one. All of it happens in our own bare repository. Must not: write a source tree.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use git2::{MergeOptions, Oid, Repository, Signature};

use super::{Bench, Recipe, short};
use crate::error::Error;
use crate::measure;
use crate::patch::Patch;
use crate::series;
use crate::source;
use crate::target::Target;

/// A kernel tree with all that decides what it becomes.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The work area.
    pub(super) key: String,
    /// What the user means by the item: the commit of a history, or the last patch's.
    pub(super) own: Oid,
    /// That and what a current toolchain needs.
    pub(super) commit: Oid,
    /// For people.
    pub(super) name: String,
    /// Whose configuration it has.
    pub(super) target: Target,
    /// Fragments instead of the target's own.
    pub(super) fragments: Vec<PathBuf>,
}

impl Source {
    /// Are both configured and made in the same way?
    pub(super) fn same_config(&self, other: &Self) -> bool {
        self.target.name == other.target.name && self.fragments == other.fragments
    }
}

/// Makes the tree of a recipe.
pub(super) fn make(bench: &Bench, recipe: &Recipe) -> Result<Source, Error> {
    let key = measure::key(&recipe.request);
    let work = bench.cache.work(&key, &bench.progress)?;
    let base = source::obtain(&work, &bench.cache, &recipe.request, &bench.progress)?;
    let repo = Repository::open_bare(work.git()).context("cannot open the repository of ours")?;
    let target = match &recipe.target {
        Some(target) => target.clone(),
        None => Target::nearest(&bench.checkout.join("patches"), &base.version)?,
    };
    let compat = series::load(&target.compat()?)?;
    let (own, commit) = if recipe.target.is_some() {
        let under = series::commit_side(&repo, base.commit, &compat)?;
        let commit = series::commit_side(&repo, under, &recipe.patches)?;
        (commit, commit)
    } else {
        (base.commit, fixed(&repo, base.commit, &compat)?)
    };
    let name = format!("{} {}", base.version, short(own));
    Ok(Source { key, own, commit, name, target, fragments: recipe.fragments.clone() })
}

/// Those toolchain fixes that fit: a commit of a history may have one already, or be
/// older than what it mends.
fn fixed(repo: &Repository, base: Oid, compat: &[Patch]) -> Result<Oid, Error> {
    let mut commit = base;
    for patch in compat {
        match series::commit_side(repo, commit, std::slice::from_ref(patch)) {
            Ok(with) => commit = with,
            Err(Error::Apply(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(commit)
}

/// `tip` without what `culprit` changed; `None` if that does not revert.
pub(super) fn revert(bench: &Bench, tip: &Source, culprit: &Source) -> Result<Option<Source>, Error> {
    if tip.key != culprit.key {
        return Ok(None);
    }
    let work = bench.cache.work(&tip.key, &bench.progress)?;
    let repo = Repository::open_bare(work.git()).context("cannot open the repository of ours")?;
    let own = reverted(&repo, tip.own, culprit.own)?;
    let Some(own) = own else { return Ok(None) };
    let commit = if tip.own == tip.commit { own } else { fixed(&repo, own, &series::load(&tip.target.compat()?)?)? };
    let name = format!("{} without {}", tip.name, short(culprit.own));
    Ok(Some(Source { own, commit, name, ..tip.clone() }))
}

fn reverted(repo: &Repository, tip: Oid, culprit: Oid) -> Result<Option<Oid>, Error> {
    let find = |id: Oid| repo.find_commit(id).with_context(|| format!("cannot read the commit {id}"));
    let (tip, culprit) = (find(tip)?, find(culprit)?);
    // Of a merge, what it brought to its first parent is taken back.
    let mainline = u32::from(culprit.parent_count() > 1);
    let merge = MergeOptions::new();
    let index = repo.revert_commit(&culprit, &tip, mainline, Some(&merge));
    let mut index = index.map_err(|error| anyhow!("cannot revert {}: {error}", culprit.id()))?;
    if index.has_conflicts() {
        return Ok(None);
    }
    let tree = index.write_tree_to(repo).context("cannot write a reverted tree")?;
    if tree == tip.tree_id() {
        return Ok(None);
    }
    let tree = repo.find_tree(tree).context("cannot read a reverted tree")?;
    let who = Signature::new("kvm-gup-io", "kvm-gup-io@invalid", &tip.time()).context("cannot sign a commit")?;
    let message = format!("Revert {}\n", culprit.id());
    let commit = repo.commit(None, &who, &who, &message, &tree, &[&tip]).context("cannot commit a revert")?;
    Ok(Some(commit))
}
