// SPDX-License-Identifier: GPL-2.0-only
//! Folders for records: `<UTC>-<random>`, so that their names sort by age.
//!
//! Owns: that name. Must not: know what is recorded.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use crate::file;

/// As `strftime` and `strptime` take it.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// Claims a new folder in `place`, which is made where it is missing. Keep it, or it goes
/// with the value.
///
/// # Errors
/// It cannot be created, e.g. because the disk is full.
pub fn claim(place: &Path) -> anyhow::Result<TempDir> {
    file::make_dir(place)?;
    tempfile::Builder::new()
        .prefix(&format!("{}-", Timestamp::now().strftime(STAMP)))
        .rand_bytes(6)
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(place)
        .with_context(|| format!("cannot create a folder in {}", place.display()))
}

/// When the folder of this name was claimed; `None` if it was not.
#[must_use]
pub fn claimed(name: &str) -> Option<Timestamp> {
    let (stamp, random) = name.rsplit_once('-')?;
    let at = DateTime::strptime(STAMP, stamp).ok().filter(|_| !random.is_empty())?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_it_was_claimed() {
        let place = tempfile::tempdir().unwrap();
        let dir = claim(&place.path().join("results/runs")).unwrap();
        let at = claimed(&dir.path().file_name().unwrap().to_string_lossy()).unwrap();
        assert!(Timestamp::now().duration_since(at).unsigned_abs().as_secs() < 60);
        let at = claimed("20261123T202623Z-lG9WXg").unwrap();
        assert_eq!(at.to_string(), "2026-11-23T20:26:23Z");
        for strange in ["", "mine", "20261123T202623Z", "20261123T202623Z-", "20261399T202623Z-lG9WXg"] {
            assert_eq!(claimed(strange), None, "{strange}");
        }
    }
}
