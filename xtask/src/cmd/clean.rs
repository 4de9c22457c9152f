// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask clean`: room on the disk.
//!
//! Owns: asking, and what is said. What may go is `house`'s to know.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::{Context, anyhow};
use bytesize::ByteSize;

use crate::cache::Cache;
use crate::cli::CleanArgs;
use crate::error::Error;
use crate::house::{self, Wish};
use crate::interrupt;
use crate::nightly::disk::{self, Item};

/// Says what would go, asks, removes, and says what went.
///
/// # Errors
/// [`Error::Usage`] if nobody agrees; a folder cannot be removed.
pub fn run(args: &CleanArgs, checkout: &Path) -> Result<u8, Error> {
    let wish = Wish { builds: args.builds || args.all, sources: args.sources || args.all, runs: args.runs || args.all };
    let cache = Cache::open()?;
    disk::sweep(&cache, &checkout.join("results"))?;
    let items = house::items(&cache, checkout, wish)?;
    if items.is_empty() {
        println!("there is nothing to remove");
        return Ok(0);
    }
    for item in &items {
        println!("{:>10}  {}", ByteSize(item.bytes).to_string(), item.what);
    }
    println!("{:>10}  in {}", total(&items).to_string(), things(items.len()));
    if args.dry_run {
        return Ok(0);
    }
    if !args.yes {
        agree()?;
    }
    let cleaned = house::remove(items)?;
    for item in &cleaned.busy {
        println!("kept, another xtask works with it: {}", item.what);
    }
    println!("freed {} in {}", total(&cleaned.gone), things(cleaned.gone.len()));
    Ok(0)
}

fn total(items: &[Item]) -> ByteSize {
    ByteSize(items.iter().map(|item| item.bytes).sum())
}

fn things(count: usize) -> String {
    if count == 1 { "1 place".to_owned() } else { format!("{count} places") }
}

/// An error unless a person says yes.
fn agree() -> Result<(), Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage(anyhow!(
            "nothing was removed: nobody can be asked here; --yes removes, --dry-run only tells"
        )));
    }
    eprint!("remove all this? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    interrupt::check()?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::Usage(anyhow!("nothing was removed")))
}
