// SPDX-License-Identifier: GPL-2.0-only
//! A stress of guest memory for people at a terminal: a paragraph a side.
//!
//! Owns: its words. What is wrong is among the reasons, which come last.

use crate::outcome::{SideOutcome, StressOutcome, TargetOutcome};

/// All stresses of a target; empty if there was none.
pub(super) fn render(target: &TargetOutcome) -> String {
    target.sides.iter().filter_map(|side| Some(paragraph(&target.target, side, side.stress.as_ref()?))).collect()
}

fn paragraph(target: &str, side: &SideOutcome, stress: &StressOutcome) -> String {
    let StressOutcome { seconds, seed, state, tally, .. } = stress;
    let head = format!("\nstress of guest memory on {target} {}: {state} ({seconds} s, seed {seed})\n", side.side);
    let Some(tally) = tally else { return head };
    let async_pf = tally.async_pf.map_or_else(|| "uncounted".to_owned(), |count| count.to_string());
    let operations: Vec<String> = tally.operations.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "{head}    guest: {} pages read, {} written, {} accesses denied, {async_pf} async page faults, longest access {:.0} ms\n    \
         swap: {} reads, {} writes, {} replies delayed\n    host: {}\n",
        tally.guest_reads,
        tally.guest_writes,
        tally.denied,
        tally.longest_ms,
        tally.swap_reads,
        tally.swap_writes,
        tally.delayed,
        operations.join(", ")
    )
}
