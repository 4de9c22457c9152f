// SPDX-License-Identifier: GPL-2.0-only
//! Globs and regular expressions as values of `target.toml`.
//!
//! Owns: compiling them while the file is read, so that a malformed one is
//! reported with its line. Must not: know what they select.

use serde::Deserialize;

/// A glob over cell names, e.g. `anon.*`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct CellGlob {
    text: String,
    matcher: globset::GlobMatcher,
}

impl CellGlob {
    /// Does it match the name without the window?
    #[must_use]
    pub fn is_match(&self, cell: &str) -> bool {
        self.matcher.is_match(cell)
    }
}

impl TryFrom<String> for CellGlob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // `shmem{,-writeback}.*` means both, as a shell would have it.
        let matcher = globset::GlobBuilder::new(&text)
            .empty_alternates(true)
            .build()
            .map_err(|error| format!("{text:?} is no glob: {error}"))?
            .compile_matcher();
        Ok(Self { text, matcher })
    }
}

impl std::fmt::Display for CellGlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A regular expression over console lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct LinePattern(regex::Regex);

impl LinePattern {
    /// Is it found in the line?
    #[must_use]
    pub fn is_match(&self, line: &str) -> bool {
        self.0.is_match(line)
    }
}

impl TryFrom<String> for LinePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        regex::Regex::new(&text).map(Self).map_err(|error| format!("{text:?} is no regular expression: {error}"))
    }
}

impl std::fmt::Display for LinePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_alternate_matches_nothing_more() {
        let glob = CellGlob::try_from("shmem{,-writeback}.user.*".to_owned()).unwrap();
        assert!(glob.is_match("shmem.user.read"));
        assert!(glob.is_match("shmem-writeback.user.read"));
        assert!(!glob.is_match("shmem-other.user.read"));
    }
}
