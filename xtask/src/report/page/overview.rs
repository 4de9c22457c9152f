// SPDX-License-Identifier: GPL-2.0-only
//! The table of kernels and cells: before → after.
//!
//! Owns: that table. A row's cells show the same on every kernel.

use maud::{Markup, html};

use super::{anchor, state};
use crate::outcome::{CellState, Outcome, TargetOutcome};
use crate::report::longest;
use crate::report::rows::{Row, merged, rows};

/// Empty if no kernel got as far as a cell.
pub(super) fn render(outcome: &Outcome) -> Markup {
    let rows = merged(rows(&outcome.targets));
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "All kernels" }
                p.hint { "Before, and → after the series, with the longest wait in milliseconds." }
                div.scroll tabindex="0" role="region" aria-label="All kernels" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "cells" }
                                @for target in &outcome.targets {
                                    th scope="col" {
                                        a href={ "#" (anchor(&target.target)) } { (target.target) }
                                        small { (target.version) }
                                    }
                                }
                            }
                        }
                        tbody { @for row in &rows { (line(outcome, &rows, row)) } }
                    }
                }
            }
        }
    }
}

fn line(outcome: &Outcome, rows: &[Row], row: &Row) -> Markup {
    html! {
        tr {
            th scope="row" { (title(rows, row)) }
            @for (target, states) in outcome.targets.iter().zip(&row.shown) { td { (change(target, row, states)) } }
        }
    }
}

/// Which cells, and of which the answer is.
pub(super) fn title(rows: &[Row], row: &Row) -> Markup {
    html! {
        @for name in row.names(rows) { code { (name) } " " }
        small {
            @if row.windows.len() == 1 { "window " } @else { "windows " }
            (row.windows()) " · " (row.probes(rows))
        }
    }
}

fn change(target: &TargetOutcome, row: &Row, states: &[Option<CellState>]) -> Markup {
    html! {
        @for (side, shown) in target.sides.iter().zip(states).filter(|(_, shown)| shown.is_some()) {
            div {
                @match side.side.as_str() {
                    "baseline" | "tree" => {}
                    "patched" => span.arrow { "→ " },
                    other => small { (other) " " },
                }
                (state(*shown))
                @if let Some(wait) = longest(&row.of(side)) { " " small { (short(wait)) } }
            }
        }
        @if states.iter().all(Option::is_none) { (state(None)) }
    }
}

/// As many digits as mean something.
pub(super) fn short(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}
