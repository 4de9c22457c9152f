// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench`: this tool's own budgets, as ratios in one run.

use std::path::Path;

use crate::cli::BenchArgs;
use crate::error::Error;

/// Measures and prints.
///
/// # Errors
/// A build or a boot fails.
pub fn run(_args: &BenchArgs, _checkout: &Path) -> Result<u8, Error> {
    Err(Error::Usage(anyhow::anyhow!("not built yet")))
}
