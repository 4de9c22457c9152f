// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask man`: the manual pages, made of the same words as `--help`.

use anyhow::Context;
use clap::CommandFactory;

use super::write_out;
use crate::cli::{Cli, ManArgs};
use crate::error::Error;
use crate::file;

/// The name under which `man` finds the first page, as cargo's own subcommands have.
const NAME: &str = "cargo-xtask";

/// Writes them.
///
/// # Errors
/// A file cannot be written.
pub fn run(args: &ManArgs) -> Result<u8, Error> {
    let command = || Cli::command().name(NAME);
    let Some(dir) = &args.into else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command()).render(&mut page).context("cannot write the manual page")?;
        write_out(&page)?;
        return Ok(0);
    };
    file::make_dir(dir)?;
    clap_mangen::generate_to(command(), dir)
        .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
    Ok(0)
}
