// SPDX-License-Identifier: GPL-2.0-only
//! Formats that have a number: of this xtask, of earlier ones, and of later ones.
//!
//! Owns: the order: the number is looked at before anything else, so that a file of a
//! later xtask is refused as such, whatever is in it; one of an earlier xtask is lifted
//! from number to number, and then read as ours. Must not: know the formats.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Error;

/// From one number to the next.
pub(super) type Lift = fn(&mut Map<String, Value>);

/// Reads a file of which the newest number is that of `lifts` plus one: the first of them
/// lifts from 1 to 2.
///
/// # Errors
/// It cannot be read, or is not what it should be; [`Error::Usage`] if a later xtask wrote it.
pub(super) fn read<T: DeserializeOwned>(path: &Path, lifts: &[Lift]) -> Result<T, Error> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let strange = || format!("{} is not what this xtask writes", path.display());
    let mut value: Map<String, Value> = serde_json::from_slice(&text).with_context(strange)?;
    let newest = lifts.len() + 1;
    let number = value.get("schema").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    let number =
        number.filter(|number| *number > 0).with_context(|| format!("{}: there is no schema in it", strange()))?;
    if number > newest {
        let path = path.display();
        return Err(Error::Usage(anyhow!(
            "{path} has schema {number}, this xtask reads up to {newest}: use a newer one"
        )));
    }
    for lift in &lifts[number - 1..] {
        lift(&mut value);
    }
    value.insert("schema".to_owned(), newest.into());
    Ok(serde_json::from_value(Value::Object(value)).with_context(strange)?)
}
