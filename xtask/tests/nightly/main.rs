// SPDX-License-Identifier: GPL-2.0-only
//! Nights with an engine that measures nothing: who goes first, what fits, what is gone on
//! with, what goes off the disk, and what two nights say of each other.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod disk;
mod resume;
mod scene;
mod tell;
mod time;
