// SPDX-License-Identifier: GPL-2.0-only
//! The diffstat of changes, as `git format-patch` lays it out.
//!
//! Owns: the widths, the scale of the `+` and `-`, and the sum; git's `diff.c`
//! (`show_stats`) has the rules. Must not: count lines of anything but hunks.

use std::fmt::Write as _;

use super::{FilePatch, LineKind};

/// Columns, as `git format-patch` wraps a mail.
const WIDTH: usize = 72;

/// Around the name, the number and the bar: ` NAME | NUMBER BAR`.
const FRAME: usize = 6;

/// The fewest columns of a bar.
const SHORT: usize = 6;

/// One file and how many lines it gains and loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// Lines added.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
}

impl Changed {
    /// Counts the hunks of a patch.
    #[must_use]
    pub fn of(file: &FilePatch) -> Self {
        let count = |kind| file.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.kind == kind).count();
        Self { path: file.path().to_owned(), added: count(LineKind::Added), removed: count(LineKind::Removed) }
    }

    fn lines(&self) -> usize {
        self.added + self.removed
    }
}

/// One line a file and one for the sum, each with a line end; empty for no files.
#[must_use]
pub fn render(files: &[Changed]) -> String {
    let most = files.iter().map(Changed::lines).max().unwrap_or(0);
    let number = most.to_string().len();
    let (name, bar) = widths(files, most, number);
    let mut text = String::new();
    for file in files {
        let shown = shortened(&file.path, name);
        let (added, removed) = scaled(file, bar, most);
        let space = if file.lines() == 0 { "" } else { " " };
        let bar = "+".repeat(added) + &"-".repeat(removed);
        // Writing to a string cannot fail.
        writeln!(text, " {shown:name$} | {:number$}{space}{bar}", file.lines()).unwrap_or_default();
    }
    text + &sum(files)
}

/// Columns of the names and of the bars: the longest that fit, and of what is too
/// little for both the bars get three eighths.
fn widths(files: &[Changed], most: usize, number: usize) -> (usize, usize) {
    let name = files.iter().map(|file| file.path.chars().count()).max().unwrap_or(0);
    if name + number + FRAME + most <= WIDTH {
        return (name, most);
    }
    let bar = most.min((WIDTH * 3 / 8 - number - FRAME).max(SHORT));
    let rest = WIDTH - number - FRAME;
    if name > rest - bar { (rest - bar, bar) } else { (name, rest - name) }
}

/// Columns of one file's bar. What changes both ways shows both.
fn scaled(file: &Changed, width: usize, most: usize) -> (usize, usize) {
    if width > most {
        return (file.added, file.removed);
    }
    let scale = |lines: usize| if lines == 0 { 0 } else { 1 + lines * (width - 1) / most };
    let both = file.added > 0 && file.removed > 0;
    let total = scale(file.lines()).max(if both { 2 } else { 0 });
    if file.added < file.removed {
        (scale(file.added), total - scale(file.added))
    } else {
        (total - scale(file.removed), scale(file.removed))
    }
}

/// The end of a path that is too long, from a slash on if there is one.
fn shortened(path: &str, width: usize) -> String {
    let length = path.chars().count();
    if length <= width {
        return path.to_owned();
    }
    let end: String = path.chars().skip(length + 3 - width.max(3)).collect();
    let from = end.find('/').unwrap_or(0);
    format!("...{}", &end[from..])
}

fn sum(files: &[Changed]) -> String {
    let [added, removed] =
        files.iter().fold([0, 0], |[added, removed], file| [added + file.added, removed + file.removed]);
    if files.is_empty() {
        return String::new();
    }
    let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(" {} changed", many(files.len(), "file"));
    if added > 0 || removed == 0 {
        text += &format!(", {}(+)", many(added, "insertion"));
    }
    if removed > 0 || added == 0 {
        text += &format!(", {}(-)", many(removed, "deletion"));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(path: &str, added: usize, removed: usize) -> Changed {
        Changed { path: path.to_owned(), added, removed }
    }

    #[test]
    fn a_path_that_is_too_long_is_shortened_at_a_slash() {
        let path = "a/very/long/path/that/goes/on/and/on/and/on/and/on/until/nothing/fits/file.c";
        let text = render(&[changed(path, 30, 30), changed("b.c", 1, 0)]);
        assert_eq!(
            text,
            " .../and/on/and/on/until/nothing/fits/file.c   | 60 +++++++++----------\n \
             b.c                                           |  1 +\n \
             2 files changed, 31 insertions(+), 30 deletions(-)\n"
        );
    }

    #[test]
    fn nothing_changed_and_one_of_each() {
        assert_eq!(render(&[]), "");
        assert_eq!(render(&[changed("x", 0, 0)]), " x | 0\n 1 file changed, 0 insertions(+), 0 deletions(-)\n");
        assert_eq!(render(&[changed("x", 0, 1)]), " x | 1 -\n 1 file changed, 1 deletion(-)\n");
    }
}
