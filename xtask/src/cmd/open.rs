// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask open`: a run as a page in the browser.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context;

use super::report::rendered;
use crate::cli::{Format, OpenArgs};
use crate::error::Error;
use crate::{file, proc, store};

/// The page's name in the record.
const PAGE: &str = "report.html";

/// Writes the page beside the record, shows it, and prints where it is.
///
/// # Errors
/// There is no such run, the page cannot be written, or the browser fails at once.
pub fn run(args: &OpenArgs, checkout: &Path) -> Result<u8, Error> {
    let evidence = store::evidence(checkout, args.run.as_deref())?;
    let html = rendered(&evidence, Format::Html, &store::history(checkout)?)?;
    // The committed evidence is no folder of a run, and stays as it is.
    let dir = match store::find(checkout, args.run.as_deref()) {
        Ok(dir) => dir,
        Err(_) => checkout.join(store::RUNS),
    };
    file::make_dir(&dir)?;
    let dir = std::path::absolute(&dir).with_context(|| format!("cannot resolve {}", dir.display()))?;
    let page = dir.join(PAGE);
    file::write(&page, html.as_bytes())?;
    println!("{}", page.display());
    if let Some(browser) = browser() {
        proc::leave(&browser, &page)?;
    }
    Ok(0)
}

/// What shows pages here: the user's word, else the desktop's.
fn browser() -> Option<OsString> {
    let named = std::env::var_os("BROWSER").filter(|name| !name.is_empty());
    named.or_else(|| proc::in_path("xdg-open").map(OsString::from))
}
