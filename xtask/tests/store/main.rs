// SPDX-License-Identifier: GPL-2.0-only
//! The store over the years: records of other xtasks, and the index.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod index;
mod schema;
