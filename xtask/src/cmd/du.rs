// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask du`: what lies on the disk.

use std::fmt::Write as _;
use std::path::Path;

use bytesize::ByteSize;
use serde_json::json;

use super::write_out;
use crate::cache::Cache;
use crate::cli::DuArgs;
use crate::error::Error;
use crate::house;

/// Counts and prints.
///
/// # Errors
/// A folder cannot be read.
pub fn run(args: &DuArgs, checkout: &Path) -> Result<u8, Error> {
    let cache = Cache::open()?;
    let places = house::places(&cache, checkout)?;
    let total: u64 = places.iter().map(|place| place.bytes).sum();
    if args.json {
        let all = json!({ "schema": 1, "cache": cache.root, "places": places, "bytes": total });
        write_out(format!("{all}\n").as_bytes())?;
        return Ok(0);
    }
    let mut text = String::new();
    for place in &places {
        writeln!(text, "{:>10}  {}", ByteSize(place.bytes).to_string(), place.what).map_err(anyhow::Error::from)?;
    }
    writeln!(text, "{:>10}  in {} and results/", ByteSize(total).to_string(), cache.root.display())
        .map_err(anyhow::Error::from)?;
    write_out(text.as_bytes())?;
    Ok(0)
}
