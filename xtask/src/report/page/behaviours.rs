// SPDX-License-Identifier: GPL-2.0-only
//! What became of a vCPU whose memory or process something happened to while it waited.
//!
//! Owns: that table; it is open where a side has one that is not right. Must not: say what
//! a side has to show.

use maud::{Markup, html};

use crate::outcome::{BehaviourOutcome, BehaviourState, TargetOutcome};
use crate::report::behaviours::{count, names, seen};

/// Empty if none was tried.
pub(super) fn render(target: &TargetOutcome) -> Markup {
    let all_right = target.sides.iter().flat_map(|side| &side.behaviours).all(|of| of.state == BehaviourState::Right);
    html! {
        @if let Some(count) = count(target) {
            h3 { "Behaviours" }
            details.behaviours open[!all_right] {
                summary { (count) }
                dl {
                    @for name in names(target) {
                        dt { code { (name) } }
                        @for (side, seen) in seen(target, name) { dd { (told(side, seen)) } }
                    }
                }
            }
        }
    }
}

fn told(side: &str, seen: &BehaviourOutcome) -> Markup {
    let class = match seen.state {
        BehaviourState::Right => "good",
        BehaviourState::Wrong => "bad",
        BehaviourState::Broken => "unsure",
        BehaviourState::Skipped => "none",
    };
    html! { (side) " " span.state.(class) { (seen.state) } " " small { (seen.saw) } }
}
