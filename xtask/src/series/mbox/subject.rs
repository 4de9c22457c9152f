// SPDX-License-Identifier: GPL-2.0-only
//! What a subject says: which patch of which revision, or a reply to it.
//!
//! Pure. Must not: take a number for more than what a stranger wrote.

use super::MAX_MESSAGES;

/// Which patch of which revision a subject says it is; number 0 is the cover letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) revision: u32,
    pub(super) number: usize,
    pub(super) of: usize,
}

/// The subject without its `Re:`, and whether there was one.
pub(super) fn unreplied(subject: &str) -> (&str, bool) {
    let (mut rest, mut is_reply) = (subject.trim(), false);
    while let Some((word, behind)) = rest.split_once(':') {
        if !["re", "aw", "sv", "vs", "fwd", "fw", "antw"].contains(&word.trim().to_ascii_lowercase().as_str()) {
            break;
        }
        (rest, is_reply) = (behind.trim_start(), true);
    }
    (rest, is_reply)
}

/// `[PATCH v2 3/8] mm: …`, `[list] [RFC 1/2] …`; a single patch has no number.
pub(super) fn tag(subject: &str) -> Option<Tag> {
    let mut rest = subject.trim_start();
    while let Some((inner, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        if let Some(tag) = of_brackets(inner) {
            return Some(tag);
        }
        rest = behind.trim_start();
    }
    None
}

fn of_brackets(inner: &str) -> Option<Tag> {
    let words = || inner.split([' ', ',']).filter(|word| !word.is_empty());
    let is_patch = |word: &str| {
        let word = word.to_ascii_uppercase();
        word == "PATCH" || word == "RFC" || word.strip_prefix("PATCHV").is_some_and(|rest| rest.parse::<u32>().is_ok())
    };
    if !words().any(is_patch) {
        return None;
    }
    let numbers = words().find_map(|word| {
        let (number, of) = word.split_once('/')?;
        Some((number.parse().ok()?, of.parse().ok()?))
    });
    let revision = words().find_map(|word| {
        let word = word.to_ascii_lowercase();
        word.strip_prefix("patch").unwrap_or(&word).strip_prefix('v')?.parse().ok()
    });
    let (number, of) = numbers.unwrap_or((1, 1));
    (of > 0 && of <= MAX_MESSAGES && number <= of).then_some(Tag { revision: revision.unwrap_or(1), number, of })
}

/// As `git format-patch` names the file: letters, digits, `.` and `_` stay, all else
/// is a dash, 52 characters at most.
pub(super) fn file_name(number: usize, subject: &str) -> String {
    let title = subject.split_once("] ").map_or(subject, |(_, title)| title);
    let mut name = String::new();
    for char in title.chars() {
        let keep = char.is_ascii_alphanumeric() || char == '_' || (char == '.' && !name.ends_with('.'));
        if keep {
            name.push(char);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let mut name = name.trim_end_matches(['-', '.']).to_owned();
    name.truncate(52);
    format!("{number:04}-{name}.patch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_people_write_them() {
        let of = |subject: &str| tag(subject).map(|tag| (tag.revision, tag.number, tag.of));
        assert_eq!(of("[PATCH] mm: x"), Some((1, 1, 1)));
        assert_eq!(of("[PATCH v2 03/12] mm: x"), Some((2, 3, 12)));
        assert_eq!(of("[RFC PATCHv3 0/2] mm: x"), Some((3, 0, 2)));
        assert_eq!(of("[patch V4 1/2] mm: x"), Some((4, 1, 2)));
        assert_eq!(of("[linux-mm] [RFC,1/2] mm: x"), Some((1, 1, 2)));
        for none in
            ["mm: [PATCH] x", "[ANNOUNCE] x", "[PATCH 3/2] x", "[PATCH 1/0] x", "Re: [PATCH] x", "[PATCH 1/99999] x"]
        {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(unreplied("Re: AW: [PATCH] x"), ("[PATCH] x", true));
        assert_eq!(unreplied("mm: x"), ("mm: x", false));
    }
}
