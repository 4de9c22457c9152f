// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask report`: a run, or the committed evidence, in another format.

use std::path::Path;

use crate::cli::{Format, ReportArgs};
use crate::error::Error;
use crate::file;
use crate::report::{junit, kcidb, ktap, markdown, page};
use crate::store::{self, Evidence, Stored};

/// Writes it; the exit code is 0 whatever the verdict.
///
/// # Errors
/// There is no such run, its record cannot be read, or the file cannot be written.
pub fn run(args: &ReportArgs, checkout: &Path) -> Result<u8, Error> {
    let evidence = store::evidence(checkout, args.run.as_deref())?;
    let history = if args.format == Format::Html { store::history(checkout)? } else { Vec::new() };
    let text = rendered(&evidence, args.format, &history)?;
    match &args.output {
        Some(path) => file::write(path, text.as_bytes())?,
        None => print!("{text}"),
    }
    Ok(0)
}

/// The text in a format; `history` are all runs, oldest first, which only a page tells of.
pub(super) fn rendered(evidence: &Evidence, format: Format, history: &[Stored]) -> Result<String, Error> {
    Ok(match format {
        Format::Ktap => ktap::render(evidence),
        Format::Junit => junit::render(evidence)?,
        Format::Kcidb => kcidb::render(evidence)?,
        Format::Markdown => markdown::render(evidence),
        Format::Html => page::render(evidence, history),
    })
}
