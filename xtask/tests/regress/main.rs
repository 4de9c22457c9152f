// SPDX-License-Identifier: GPL-2.0-only
//! Nights against the nights before them: every word of the table, and what noise does.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod behaviours;
mod nights;
mod noise;
mod storms;
mod words;
