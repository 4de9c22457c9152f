// SPDX-License-Identifier: GPL-2.0-only
//! What both ends of a boot compile: names of the cells, the plan, the frames.
//!
//! The measurement itself is the binary of this package; the host needs none of
//! it, and this library must need neither Linux nor KVM.

pub mod behaviour;
pub mod cell;
pub mod latency;
pub mod lockwait;
pub mod lost;
pub mod plan;
pub mod protocol;
pub mod storms;
pub mod tally;
