// SPDX-License-Identifier: GPL-2.0-only
//! What a series does to the lock: the states of its prefixes, compared.
//!
//! Owns: what counts as a change of a cell, which patch carries it, and how bad it is.
//! Pure. Must not: know what a target expects: a stranger's series need not mend
//! anything, but it must not break.

use serde::Serialize;

use crate::outcome::{CellOutcome, CellState, SideOutcome};
use crate::verdict::Verdict;

/// A kernel that was booted.
#[derive(Debug, Clone)]
pub struct Booted<'a> {
    /// The number of the last patch that it has; 0 for the tree without the series.
    pub patch: usize,
    /// What its boot showed.
    pub side: &'a SideOutcome,
}

/// A change of a cell's state on the way through the series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The patch that brought it, by its number.
    pub patch: usize,
    /// The first that can have brought it, where kernels between were not booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub or_since: Option<usize>,
    /// Before.
    pub from: CellState,
    /// After.
    pub to: CellState,
}

/// What became of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was held, and is released now.
    Cured,
    /// Its trials disagree, without the series or with it, so that no change can be told.
    Unclear,
    /// It is held after one patch and released again after a later one: a bisection
    /// that ends between them meets it.
    Passing,
    /// It was released, without the series or after an earlier patch, and is held now.
    Broken,
}

/// A cell that the series changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// E.g. `anon.sync.read`.
    pub cell: String,
    /// Readahead window, pages.
    pub window: u32,
    /// `writer` or `reader`.
    pub probe: String,
    /// On the tree without the series.
    pub before: CellState,
    /// With all of it.
    pub after: CellState,
    /// What became of it.
    pub kind: Kind,
    /// The patch to name: of the change that decided.
    pub patch: Option<usize>,
    /// Every change, in order.
    pub steps: Vec<Step>,
    /// Stack of the task that waited, innermost first, where it is held now.
    pub holder: Vec<String>,
}

impl Effect {
    /// The cell without the probe: `anon.sync.read@1`.
    #[must_use]
    pub fn cell(&self) -> String {
        format!("{}@{}", self.cell, self.window)
    }

    /// How bad it is. Whatever was the case before: where nothing waits with the series,
    /// it does no harm.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.kind {
            Kind::Unclear if self.after != CellState::Released => Verdict::Inconclusive,
            Kind::Cured | Kind::Unclear => Verdict::Pass,
            Kind::Passing | Kind::Broken => Verdict::Fail,
        }
    }
}

/// How many cells are what they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Unchanged {
    /// Held before and after.
    pub held: usize,
    /// Released before and after.
    pub released: usize,
}

/// Compares the boots, which are in the order of their patches; the first is the tree
/// without the series. A boot that proves nothing must not be among them.
#[must_use]
pub fn effects(booted: &[Booted<'_>]) -> (Vec<Effect>, Unchanged) {
    let mut unchanged = Unchanged::default();
    let mut effects = Vec::new();
    let Some(first) = booted.first().filter(|first| first.patch == 0) else { return (effects, unchanged) };
    for cell in first.side.cells.iter().filter(|cell| !cell.is_control()) {
        match of_cell(cell, booted) {
            Some(effect) => effects.push(effect),
            None if cell.state == CellState::Held => unchanged.held += 1,
            None if cell.state == CellState::Released => unchanged.released += 1,
            None => {}
        }
    }
    effects.sort_by_key(|effect| (std::cmp::Reverse(effect.kind), effect.patch));
    (effects, unchanged)
}

fn of_cell(cell: &CellOutcome, booted: &[Booted<'_>]) -> Option<Effect> {
    let states: Vec<(usize, &CellOutcome)> =
        booted.iter().filter_map(|it| Some((it.patch, it.side.cell_at(cell)?))).collect();
    let last = states.last().filter(|_| states.len() > 1)?.1;
    let known = |state: CellState| matches!(state, CellState::Held | CellState::Released);
    let certain: Vec<_> = states.iter().filter(|(_, cell)| known(cell.state)).collect();
    let steps: Vec<Step> = certain
        .windows(2)
        .filter(|pair| pair[0].1.state != pair[1].1.state)
        .map(|pair| {
            let (since, patch) = (pair[0].0 + 1, pair[1].0);
            Step { patch, or_since: (since < patch).then_some(since), from: pair[0].1.state, to: pair[1].1.state }
        })
        .collect();
    let to_held = steps.iter().rfind(|step| step.to == CellState::Held);
    let to_released = steps.iter().rfind(|step| step.to == CellState::Released);
    let (kind, decided) = match (cell.state, last.state) {
        (_, CellState::Mixed) => (Kind::Unclear, None),
        (_, CellState::Held) if to_held.is_some() => (Kind::Broken, to_held),
        (_, CellState::Released) if to_held.is_some() => (Kind::Passing, to_held),
        (CellState::Held, CellState::Released) => (Kind::Cured, to_released),
        (CellState::Mixed, _) => (Kind::Unclear, None),
        _ => return None,
    };
    Some(Effect {
        cell: cell.cell.clone(),
        window: cell.window,
        probe: cell.probe.clone(),
        before: cell.state,
        after: last.state,
        kind,
        patch: decided.map(|step| step.patch),
        holder: if last.state == CellState::Held { last.holder.clone() } else { Vec::new() },
        steps,
    })
}
