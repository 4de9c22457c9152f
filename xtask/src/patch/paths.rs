// SPDX-License-Identifier: GPL-2.0-only
//! Paths in patches: how they are written, and which are refused.

use crate::text::steers;

/// No path in a kernel tree is longer by far.
const LONGEST: usize = 1024;

/// Can a shell, make or perl do nothing with it but take it for text? Blanks can be
/// among it: they only part words. Every name in the kernels since 3.17 is of the kind.
pub(crate) fn is_inert(text: &str) -> bool {
    text.chars().all(|char| char.is_alphanumeric() || "/._+,@- ".contains(char))
}

/// Reads a path as git writes it: plain, or C-quoted with octal escapes.
/// `None` if the quoting is broken or the bytes are not UTF-8.
pub(super) fn unquote(raw: &[u8]) -> Option<String> {
    let Some(quoted) = raw.strip_prefix(b"\"") else {
        return String::from_utf8(raw.to_vec()).ok();
    };
    let mut bytes = quoted.strip_suffix(b"\"")?.iter().copied();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'v' => 11,
            b'f' => 12,
            high @ b'0'..=b'3' => octal(high, bytes.next()?, bytes.next()?)?,
            other @ (b'"' | b'\\') => other,
            _ => return None,
        });
    }
    String::from_utf8(out).ok()
}

fn octal(high: u8, middle: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| byte - b'0');
    Some(digit(high)? << 6 | digit(middle)? << 3 | digit(low)?)
}

/// What is wrong with a path inside a tree, if anything. Git's own folder is
/// refused in every case, and with the trailing dots and spaces that some file
/// systems drop, because a tree may be checked out there.
pub(crate) fn objection(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if path.is_empty() || path.len() > LONGEST || path.chars().any(steers) {
        return Some("is not a file name");
    }
    let part = path.split('/').find_map(|part| match part {
        ".." => Some("leads out of the tree"),
        "" | "." => Some("is not a plain path"),
        part if part.trim_end_matches(['.', ' ']).eq_ignore_ascii_case(".git") => Some("reaches into .git"),
        part if part.starts_with('-') => Some("would be an option of the programs that get it"),
        _ => None,
    });
    part.or((!is_inert(path)).then_some("has characters that a shell or make acts on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_paths_are_read_as_git_writes_them() {
        assert_eq!(unquote(b"a/mm/memory.c").unwrap(), "a/mm/memory.c");
        assert_eq!(unquote(br#""a/f\303\266o \"x\"""#).unwrap(), "a/f\u{f6}o \"x\"");
        assert_eq!(unquote(br#""a/\9""#), None);
        assert_eq!(unquote(br#""a/open"#), None);
    }

    #[test]
    fn paths_that_leave_the_tree_are_told_apart() {
        assert_eq!(objection("mm/memory.c"), None);
        assert_eq!(objection(".gitignore"), None);
        assert_eq!(objection("mm/../../x"), Some("leads out of the tree"));
        assert_eq!(objection("/etc/passwd"), Some("is absolute"));
        for path in [".git/hooks/x", "a/.GIT/config", ".Git", ".git. /x"] {
            assert_eq!(objection(path), Some("reaches into .git"), "{path}");
        }
        assert_eq!(objection("a//b"), Some("is not a plain path"));
        for path in
            ["mm/a;touch x;b.c", "mm/$(touch x).c", "mm/`x`.c", "a=b.c", "mm/%.c", "mm/~x", "a:b", "a|b", "a\\b"]
        {
            assert_eq!(objection(path), Some("has characters that a shell or make acts on"), "{path}");
        }
        for path in ["--eval=x.c", "mm/-x.c"] {
            assert_eq!(objection(path), Some("would be an option of the programs that get it"), "{path}");
        }
        for path in ["tools/boards/Dell Inc.,XPS 13 9300.yaml", "arch/x86/kvm/.x", "a/c++_x-y@1.c", "f\u{f6}o"] {
            assert_eq!(objection(path), None, "{path}");
        }
        let long = "a".repeat(LONGEST + 1);
        for path in ["", "a\0b", "a\nb", "a\u{1b}[2Jb", "a\u{202e}c.b", &long] {
            assert_eq!(objection(path), Some("is not a file name"), "{path:?}");
        }
    }
}
