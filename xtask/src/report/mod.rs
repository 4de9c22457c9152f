// SPDX-License-Identifier: GPL-2.0-only
//! Renderings of an outcome.

pub mod table;
pub mod readme;
