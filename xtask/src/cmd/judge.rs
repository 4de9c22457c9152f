// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask judge`: the verdict of a stored run, from its record alone.

use std::path::Path;

use super::print;
use crate::cli::JudgeArgs;
use crate::error::Error;
use crate::store;

/// Judges and prints; the exit code is the outcome's.
///
/// # Errors
/// There is no such run, or its record cannot be read.
pub fn run(args: &JudgeArgs, checkout: &Path) -> Result<u8, Error> {
    let dir = store::find(checkout, args.run.as_deref())?;
    let outcome = store::judge_again(&dir)?;
    print(&outcome, args.json)?;
    Ok(outcome.exit)
}
