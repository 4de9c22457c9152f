// SPDX-License-Identifier: GPL-2.0-only
//! The kernels that we keep targets for, as items.
//!
//! Owns: what a range of them is. Each is the newest point release that the archive
//! has when it is tested, without our series. Must not: fetch.

use std::path::Path;

use anyhow::anyhow;

use crate::bisect::items::{Item, Items, Kind};
use crate::error::Error;
use crate::target::{SourceKind, Target};

/// The targets from A to B, both included, for `A..B`; and those in between that no
/// archive has.
///
/// # Errors
/// [`Error::Usage`] for a text that is no range, [`Error::NothingSelected`] for a
/// name that is no target.
pub fn read(patches: &Path, range: &str) -> Result<(Items, Vec<Target>, Vec<String>), Error> {
    let ends = range.split_once("..").filter(|(from, to)| !from.is_empty() && !to.is_empty());
    let (from, to) =
        ends.ok_or_else(|| Error::Usage(anyhow!("--releases {range:?}: needed is FROM..TO, e.g. v5.10..v7.3")))?;
    for end in [from, to] {
        if Target::load(patches, end)?.source.kind == SourceKind::User {
            return Err(Error::Usage(anyhow!("--releases {range}: {end} is in no package archive")));
        }
    }
    let names = Target::names(patches)?;
    let place = |name: &str| names.iter().position(|known| known == name).unwrap_or_default();
    if place(from) >= place(to) {
        return Err(Error::Usage(anyhow!("--releases {range}: {to} is not newer than {from}")));
    }
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    for name in &names[place(from)..=place(to)] {
        let target = Target::load(patches, name)?;
        if target.source.kind == SourceKind::User { left_out.push(name.clone()) } else { targets.push(target) }
    }
    let item = |target: &Target| Item { id: target.name.clone(), name: target.name.clone() };
    Ok((Items::row(Kind::Releases, targets.iter().map(item).collect()), targets, left_out))
}
