// SPDX-License-Identifier: GPL-2.0-only
//! Which item of a partly ordered set brought an effect: the pure core of `cargo xtask bisect`.
//!
//! ```text
//! history ─→ Graph ┐
//! a list  ─→ Graph ┼─ step ─→ Test(item) ─ the caller asks its oracle ─→ Observation ─┐
//! evidence ────────┘   └────→ Found · Undecided · Contradiction                       │
//!    ↑────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Owns: the order (`graph`, `history`), what was seen (`evidence`, `noise`), what to
//! do next (`step`), how long that takes (`estimate`), and git's own way of writing it
//! down (`log`). [`step::step`] looks at values only and answers the same for the same
//! values, therefore a bisection goes on after a kill from its evidence alone. These must
//! not build, boot, write, or wait: that is the shell's part, which is `driver` (the
//! loop), `journal` (the record), `items` (of what), `oracle` and `kernels` (who
//! answers), `effect`, `inherit` and `confirm` (what an answer is worth) and `report`.

pub mod confirm;
pub mod driver;
pub mod effect;
pub mod estimate;
pub mod evidence;
mod flaky;
pub mod graph;
pub mod halve;
pub mod history;
mod honest;
pub mod inherit;
pub mod items;
pub mod journal;
pub mod kernels;
pub mod log;
pub mod noise;
pub mod oracle;
pub mod policy;
pub mod posterior;
pub mod report;
mod sides;
pub mod step;
pub mod weigh;
