// SPDX-License-Identifier: GPL-2.0-only
//! Every target, one after the other: which, from where, and which are done.
//!
//! Owns: the choice of targets and trees, the order, and what makes a finished
//! target worth keeping when a run is resumed. One target's failure does not stop
//! the others. Must not: measure (`measure` does) or render.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::jobs;
use crate::measure::{self, Lab, Subject};
use crate::outcome::TargetOutcome;
use crate::side::Side;
use crate::source::LinuxArg;
use crate::store::Finished;
use crate::target::{SourceKind, Target};
use crate::times::about;
use crate::verdict::Verdict;

/// What a matrix is made of.
#[derive(Debug)]
pub struct Choice {
    /// Oldest kernel first, each with the tree that the user gives for it.
    pub chosen: Vec<(Target, Option<LinuxArg>)>,
    /// Targets that are not measured, each with what it would take.
    pub left_out: Vec<String>,
}

/// The targets below `patches` that are asked for by name; without names all that
/// can be had. `linux` are `TARGET=PATH[@REV]`.
///
/// # Errors
/// A name that is no target, a tree for a target that is not chosen or of which
/// nothing exists, or nothing left to do.
pub fn choose(patches: &Path, names: &[String], linux: &[String]) -> Result<Choice, Error> {
    let mut trees = trees(linux)?;
    let all = Target::names(patches)?;
    let unknown = names.iter().chain(trees.keys()).find(|name| !all.contains(name));
    if let Some(name) = unknown {
        Target::load(patches, name)?;
    }
    let mut choice = Choice { chosen: Vec::new(), left_out: Vec::new() };
    for name in all.iter().filter(|name| names.is_empty() || names.contains(name)) {
        let target = Target::load(patches, name)?;
        let tree = trees.remove(name);
        match measure::request(Some(&target), tree.as_ref()) {
            Ok(_) => choice.chosen.push((target, tree)),
            Err(_) if names.is_empty() && tree.is_none() && target.source.kind == SourceKind::User => {
                let series = &target.source.series;
                choice.left_out.push(format!(
                    "{name}: not measured: Linux {series} is in no package archive; give --linux {name}=PATH[@REV]"
                ));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(name) = trees.keys().next() {
        return Err(Error::Usage(anyhow!("--linux {name}=…: {name} is not among the targets that are asked for")));
    }
    if choice.chosen.is_empty() {
        return Err(Error::NothingSelected(anyhow!("there is no target to measure below {}", patches.display())));
    }
    Ok(choice)
}

fn trees(linux: &[String]) -> Result<BTreeMap<String, LinuxArg>, Error> {
    let mut trees = BTreeMap::new();
    for text in linux {
        let Some((name, tree)) = text.split_once('=').filter(|(name, tree)| !name.is_empty() && !tree.is_empty())
        else {
            return Err(Error::Usage(anyhow!("--linux {text:?}: needed is TARGET=PATH[@REV], e.g. v3.17=/src/linux")));
        };
        let tree: LinuxArg = tree.parse().unwrap_or_else(|never: Infallible| match never {});
        if trees.insert(name.to_owned(), tree).is_some() {
            return Err(Error::Usage(anyhow!("--linux names a tree for {name} twice")));
        }
    }
    Ok(trees)
}

/// Measures each; the record keeps what is finished as soon as it is. What the
/// record already has, made of the same, is not measured again.
///
/// # Errors
/// [`Error::Interrupted`]; the record cannot be written.
pub fn run(lab: &mut Lab, choice: &Choice) -> Result<Vec<TargetOutcome>, Error> {
    run_with(lab, choice, &mut |lab, target, tree| one(lab, target, tree).map(Some))
}

/// Measures one target; `None` if it is not to be.
pub type Measure<'a> = dyn FnMut(&mut Lab, &Target, Option<&LinuxArg>) -> Result<Option<TargetOutcome>, Error> + 'a;

/// As [`run`], with what measures one target.
///
/// # Errors
/// As [`run`], and those of `measure`.
pub fn run_with(lab: &mut Lab, choice: &Choice, measure: &mut Measure<'_>) -> Result<Vec<TargetOutcome>, Error> {
    let mut outcomes = Vec::new();
    for (at, (target, tree)) in choice.chosen.iter().enumerate() {
        let inputs = inputs(lab, target)?;
        if let Some(finished) = lab.run.finished(&target.name)? {
            if finished.inputs == inputs {
                lab.progress.say(format!("{}: {}, as finished before", target.name, finished.outcome.verdict));
                outcomes.push(finished.outcome);
                continue;
            }
            lab.progress.say(format!("{}: has changed since it was finished, and is done again", target.name));
        }
        lab.forget(target)?;
        lab.progress.say(ahead(lab, &choice.chosen, at));
        let started = Instant::now();
        let Some(outcome) = measure(lab, target, tree.as_ref())? else { continue };
        lab.took(started.elapsed())?;
        lab.progress.times().took(&kind(lab, target), started.elapsed());
        if outcome.verdict != Verdict::Infra {
            lab.run.keep_finished(&Finished::new(inputs, outcome.clone()))?;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// What takes about as long as this target does here.
fn kind(lab: &Lab, target: &Target) -> String {
    let (cells, trials) = (lab.plan.cells.len(), lab.plan.trials);
    format!("target {} {} {cells} cells, {trials} trials", target.name, lab.variant.name())
}

/// Which target is next, and when the last one will be done, as earlier runs tell it;
/// of those that never ran, as if nothing had been built.
fn ahead(lab: &Lab, chosen: &[(Target, Option<LinuxArg>)], at: usize) -> String {
    let cold = |target: &Target| Duration::from_secs(u64::from(jobs::minutes(target, lab.variant)) * 60);
    let one = |target: &Target| lab.progress.times().usual(&kind(lab, target)).unwrap_or_else(|| cold(target));
    let rest: Duration = chosen[at..].iter().map(|(target, _)| one(target)).sum();
    format!("{}: target {} of {}; all is done in {}", chosen[at].0.name, at + 1, chosen.len(), about(rest))
}

/// Measures one target. An error that is about this target alone becomes its outcome.
///
/// # Errors
/// [`Error::Interrupted`]; the record cannot be written.
pub fn one(lab: &mut Lab, target: &Target, tree: Option<&LinuxArg>) -> Result<TargetOutcome, Error> {
    let sides = Side::usual(target, lab.variant);
    let measured = measure::request(Some(target), tree)
        .and_then(|request| measure::kernel(lab, &Subject { target: Some(target), request, sides, upto: None }));
    match measured {
        Err(error @ (Error::Usage(_) | Error::NothingSelected(_))) => {
            lab.progress.say(format!("{}: {error}", target.name));
            Ok(measure::left_out(lab, target, &error)?)
        }
        measured => measured,
    }
}

/// Digest of everything of ours that decides what a target shows. Not of its source:
/// a target that was finished with one point release is finished.
fn inputs(lab: &Lab, target: &Target) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(target.text.as_bytes());
    part(&lab.init);
    part(&serde_json::to_vec(&lab.plan).context("cannot encode the plan")?);
    part(lab.append.join("\n").as_bytes());
    let spec = measure::spec(&lab.checkout, target, lab.variant);
    let mut files = spec.fragments;
    for side in Side::usual(target, lab.variant) {
        files.extend(side.patches(target, None)?);
    }
    for file in files {
        part(file.as_os_str().as_encoded_bytes());
        part(&std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hex::encode(hash.finalize()))
}
