// SPDX-License-Identifier: GPL-2.0-only
//! Renderings of an outcome.

pub mod readme;
pub mod table;
