// SPDX-License-Identifier: GPL-2.0-only
//! Nights of one target with one cell, made of a few words.

use xtask::outcome::{CellOutcome, CellState, SideOutcome, TargetOutcome, WaitMs};
use xtask::regress::{Asked, Line, Night, Told, compare};
use xtask::verdict::Verdict;

pub(crate) const TARGET: &str = "v6.1";
pub(crate) const SIDE: &str = "patched";
pub(crate) const CELL: &str = "anon.sync.read";

pub(crate) fn cell(state: CellState, median: f64) -> CellOutcome {
    CellOutcome {
        cell: CELL.to_owned(),
        window: 1,
        probe: "writer".to_owned(),
        state,
        n: 20,
        hold_ms: 100.0,
        wait_ms: WaitMs { median, p99: median * 3.0, max: median * 3.0 },
        holder: Vec::new(),
        guest_progress: None,
        reason: None,
    }
}

/// The night `number`, with a kernel of its own, which showed this; the target passed.
pub(crate) fn night(number: usize, cells: Vec<CellOutcome>) -> Night {
    let side = SideOutcome {
        side: SIDE.to_owned(),
        boot_ms: 900,
        controls_ok: true,
        cells,
        behaviours: Vec::new(),
        stress: None,
        storm: None,
        verdict: Verdict::Pass,
        reasons: Vec::new(),
    };
    let target = TargetOutcome {
        target: TARGET.to_owned(),
        version: "6.1.1".to_owned(),
        verdict: Verdict::Pass,
        sides: vec![side],
        reasons: Vec::new(),
    };
    Night {
        run: format!("night-{number:03}"),
        accel: "tcg".to_owned(),
        hold_ms: 100,
        targets: vec![target],
        kernels: [((TARGET.to_owned(), SIDE.to_owned()), format!("kernel-{number}"))].into(),
    }
}

/// Nights that showed these states, one after the other.
pub(crate) fn states(states: &[CellState]) -> Vec<Night> {
    states.iter().enumerate().map(|(number, state)| night(number, vec![cell(*state, 0.3)])).collect()
}

pub(crate) fn same_kernel(nights: &mut [Night], which: &[usize]) {
    for number in which {
        nights[*number].kernels = [((TARGET.to_owned(), SIDE.to_owned()), "the same".to_owned())].into();
    }
}

pub(crate) fn asked() -> Asked {
    Asked { targets: [TARGET.to_owned()].into(), cells: [(CELL.to_owned(), 1)].into(), ..Asked::default() }
}

/// The last of them against the others.
pub(crate) fn told(nights: &[Night]) -> Told {
    let (last, past) = nights.split_last().unwrap();
    compare(past, last, &asked())
}

/// What is said of the cell.
pub(crate) fn line(told: &Told) -> Option<&Line> {
    told.lines.iter().find(|line| line.subject == format!("{CELL}@1.writer"))
}
