// SPDX-License-Identifier: GPL-2.0-only
//! Which patches are put onto the tree, and which prefixes are built.
//!
//! Owns: what a patch that does not apply, or that must not be built here, means for
//! those behind it. Pure. Must not: find out whether one applies.

use super::host;
use super::submission::Entry;
use crate::patch::{FilePatch, Fitted, PatchFit};

/// Why a patch is left out without harm to those behind it.
const ALREADY_IN: &str = "it is in the tree already";

/// What becomes of one patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The length of the prefix that ends with it, counted in patches that apply;
    /// `None` if it is left out.
    pub prefix: Option<usize>,
    /// Why nothing is built of it.
    pub not_built: Option<String>,
}

/// What is done with the series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each patch.
    pub steps: Vec<Step>,
    /// The longest prefix whose tree may be put into place and built.
    pub longest: usize,
    /// Why nothing needs to be built: no patch changes anything that is compiled, or
    /// the tree has all of it.
    pub nothing: Option<String>,
}

/// Makes the plan; `fits` has one for each patch that could be parsed, in order.
/// `trust`: what the build runs on this machine may come from the series.
#[must_use]
pub fn plan(entries: &[Entry], fits: &[Fitted], trust: bool) -> Plan {
    let mut fits = fits.iter();
    let (mut applied, mut longest) = (0, 0);
    let mut halt: Option<String> = None;
    let mut steps = Vec::new();
    for (entry, number) in entries.iter().zip(1..) {
        let fit = entry.parsed.as_ref().ok().and_then(|_| fits.next());
        match fit.map(|fitted| &fitted.fit) {
            Some(PatchFit::Reverses(_) | PatchFit::AlreadyIn(_)) => {
                steps.push(Step { prefix: None, not_built: Some(ALREADY_IN.to_owned()) });
                continue;
            }
            Some(PatchFit::Applies { .. }) => applied += 1,
            _ => {
                let what = if fit.is_some() { "does not apply" } else { "is no patch that can be read" };
                halt.get_or_insert_with(|| format!("patch {number} {what}"));
                steps.push(Step { prefix: None, not_built: halt.clone() });
                continue;
            }
        }
        if !trust && halt.is_none() {
            halt = paths(entry).find(|path| host::runs_here(path)).map(|path| {
                format!(
                    "patch {number} changes {path}, which a build may run on this machine: read it, then say --trust"
                )
            });
        }
        if halt.is_none() {
            longest = applied;
        }
        steps.push(Step { prefix: Some(applied), not_built: halt.clone() });
    }
    let nothing = if entries.iter().all(|entry| paths(entry).all(host::is_text) && entry.parsed.is_ok()) {
        Some("it changes documentation only, which no build compiles".to_owned())
    } else if steps.iter().all(|step| step.not_built.as_deref() == Some(ALREADY_IN)) {
        Some("all of it is in the tree already".to_owned())
    } else {
        None
    };
    Plan { steps, longest, nothing }
}

/// Every path that a patch names.
fn paths(entry: &Entry) -> impl Iterator<Item = &str> {
    let files: &[FilePatch] = entry.parsed.as_ref().map_or(&[], |patch| &patch.files);
    files.iter().flat_map(|file| [file.old.as_deref(), file.new.as_deref()]).flatten()
}
