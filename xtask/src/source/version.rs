// SPDX-License-Identifier: GPL-2.0-only
//! Versions of Debian packages: their order, and which series they are of. (Pure.)

use std::cmp::Ordering;

/// Is `6.1.192-2` of the series `6.1`? Not every version that begins so is (`6.12.3`).
pub(super) fn in_series(version: &str, series: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream.strip_prefix(series).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Debian's order of versions: epoch, upstream version, revision.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let ((epoch, upstream, revision), (other_epoch, other_upstream, other_revision)) = (parts(one), parts(other));
    epoch
        .cmp(&other_epoch)
        .then_with(|| compare_part(upstream, other_upstream))
        .then_with(|| compare_part(revision, other_revision))
}

fn parts(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) =
        version.split_once(':').map_or((0, version), |(epoch, rest)| (epoch.parse().unwrap_or(0), rest));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Texts and numbers by turns. In a text, `~` comes before its end, letters before the rest.
fn compare_part(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while !one.is_empty() || !other.is_empty() {
        let text = |bytes: &[u8]| bytes.iter().take_while(|byte| !byte.is_ascii_digit()).count();
        let ((head, tail), (other_head, other_tail)) = (one.split_at(text(one)), other.split_at(text(other)));
        let weights = |text: &[u8]| text.iter().map(|&byte| weight(byte)).chain([0]).collect::<Vec<_>>();
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ((number, rest), (other_number, other_rest)) =
            (tail.split_at(digits(tail)), other_tail.split_at(digits(other_tail)));
        let order = weights(head).cmp(&weights(other_head)).then_with(|| compare_numbers(number, other_number));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        byte if byte.is_ascii_alphabetic() => i32::from(byte),
        byte => i32::from(byte) + 256,
    }
}

fn compare_numbers(one: &[u8], other: &[u8]) -> Ordering {
    let trim = |digits: &[u8]| digits.iter().copied().skip_while(|&digit| digit == b'0').collect::<Vec<_>>();
    let (one, other) = (trim(one), trim(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_does() {
        let ordered =
            ["6.1~rc1-1", "6.1-1", "6.1.9-1", "6.1.10-1~bpo12+1", "6.1.10-1", "6.1.10-1+b1", "6.1.10-2", "1:0.1-1"];
        for pair in ordered.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("6.01-1", "6.1-1"), Ordering::Equal);
    }

    #[test]
    fn a_series_is_not_a_prefix() {
        assert!(in_series("6.1.192-2", "6.1") && in_series("6.1-1", "6.1") && in_series("6.1~rc3-1", "6.1"));
        assert!(!in_series("6.12.3-1", "6.1") && !in_series("7.6.1-1", "6.1"));
    }
}
