// SPDX-License-Identifier: GPL-2.0-only
//! What a tree's own `scripts/checkpatch.pl` says about a patch.
//!
//! Owns: its arguments and the reading of its lines. Pure. Must not: run it, or
//! decide what is an exception (`target.toml` declares those).

/// Arguments before the patch file. One line a complaint, with its type, and no
/// summary.
pub const ARGS: [&str; 4] = ["--strict", "--terse", "--show-types", "--no-summary"];

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// E.g. `MISSING_SIGN_OFF`.
    pub class: String,
    /// The line as printed, without the file's name.
    pub text: String,
}

/// The complaints in its standard output:
/// `FILE:12: WARNING:LONG_LINE: line length of 110 exceeds 100 columns`.
#[must_use]
pub fn complaints(output: &str) -> Vec<Complaint> {
    let levels = ["ERROR:", "WARNING:", "CHECK:"];
    let complaint = |line: &str| {
        let at = levels.iter().filter_map(|level| line.find(level)).min()?;
        let (level, rest) = line[at..].split_once(':')?;
        // Before --show-types had a type for everything there may be none.
        let class = rest.split(':').next().filter(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        let number = line[..at].trim_end_matches([' ', ':']).rsplit(':').next().unwrap_or_default();
        let text = format!("line {number}: {level}:{rest}");
        Some(Complaint { class: class.unwrap_or(level).to_owned(), text })
    };
    output.lines().filter_map(complaint).collect()
}
