// SPDX-License-Identifier: GPL-2.0-only
//! What a tree's own `scripts/checkpatch.pl` says about a patch.
//!
//! Owns: its arguments, what must not be shown to it, and the reading of its lines.
//! Pure. Must not: run it, or decide what is an exception (`target.toml` declares
//! those).

use crate::patch::is_inert;

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

/// The first line, from 1, that checkpatch takes for the name of a file and puts into
/// a shell's command as it is (it asks `get_maintainer.pl` about each), and in which
/// there is more than a name. It looks for such lines everywhere: before the first
/// file and between two, too, where nobody else reads a name.
#[must_use]
pub fn acted_on(patch: &[u8]) -> Option<usize> {
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b || !byte.is_ascii();
    let name = |line: &[u8]| {
        let plain = line.strip_prefix(b"+++").filter(|rest| rest.first().is_some_and(is_gap));
        plain.or_else(|| line.strip_prefix(b"diff --git")).map(<[u8]>::to_vec)
    };
    let is_acted_on = |line: &[u8]| name(line).is_some_and(|name| !is_name(&name));
    patch.split(|&byte| byte == b'\n').position(is_acted_on).map(|at| at + 1)
}

/// One or two paths; behind a plain diff's there is a time.
fn is_name(rest: &[u8]) -> bool {
    let Ok(rest) = std::str::from_utf8(rest) else { return false };
    let is_zone = |word: &str| word.strip_prefix('-').is_some_and(|zone| zone.bytes().all(|b| b.is_ascii_digit()));
    let is_option = |word: &str| word.split('/').any(|part| part.starts_with('-')) && !is_zone(word);
    is_inert(&rest.replace(['\t', '\r', ':'], " ")) && !rest.split_whitespace().any(is_option)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_would_give_to_a_shell_is_found() {
        let plain = "Why: $(x); `y`\n---\n+++i;\ndiff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n\
                     +++ b/mm/x.c\t2014-09-18 10:00:00.0 -0200\n@@ -1 +1 @@\n-a\n+$(b)\n+++ /dev/null\r\n";
        assert_eq!(acted_on(plain.as_bytes()), None);
        for bad in [
            "+++ b/x;touch y",
            "+++\tb/$(touch${IFS}y)",
            "+++ b/`x`",
            "diff --git a/x b/x|y",
            "diff --gitx&y",
            "+++ b/--help",
            "+++ -x",
            "+++\u{b}b/x;y",
            "+++\u{a0}b/x;y",
        ] {
            assert_eq!(acted_on(format!("a\n{bad}\n").as_bytes()), Some(2), "{bad}");
        }
        assert_eq!(acted_on(b"+++ b/\xff;y"), Some(1));
    }
}
