// SPDX-License-Identifier: GPL-2.0-only
//! The diffs in a patch file: file headers and hunks.

use std::path::Path;

use super::{FilePatch, Hunk, Line, LineKind, PatchError, paths};
use crate::text::shown;

/// A patch of more files, or hunks, is refused: to look for them takes time that its
/// author does not pay.
const MAX_FILES: usize = 2000;
const MAX_HUNKS: usize = 5000;
/// No line of source is longer.
const MAX_LINE: usize = 64 << 10;

/// Walks over the lines of a patch file.
pub(super) struct Parser<'a> {
    patch: &'a Path,
    lines: &'a [&'a [u8]],
    at: usize,
    /// Hunks of all files.
    total: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(patch: &'a Path, lines: &'a [&'a [u8]], at: usize) -> Self {
        Self { patch, lines, at, total: 0 }
    }

    /// Every file of the patch. What is between them (diffstat, signature) is skipped.
    pub(super) fn files(mut self) -> Result<Vec<FilePatch>, PatchError> {
        let mut files = Vec::new();
        if let Some(long) = self.lines.iter().position(|line| line.len() > MAX_LINE) {
            self.at = long;
            return Err(self.malformed(format!("{} bytes in one line: refused", self.lines[long].len())));
        }
        while let Some(line) = self.line() {
            if line.starts_with(b"diff --git ") {
                files.push(self.git_file()?);
            } else if line.starts_with(b"--- ") && self.next_is(b"+++ ") {
                let mut file = FilePatch::default();
                self.names(&mut file)?;
                self.hunks(&mut file)?;
                files.push(file);
            } else if line.starts_with(b"@@ -") {
                return Err(self.malformed("a hunk that belongs to no file".into()));
            } else {
                self.at += 1;
            }
            if files.len() > MAX_FILES {
                return Err(self.malformed(format!("more than {MAX_FILES} files, which nobody can review: refused")));
            }
        }
        Ok(files)
    }

    fn git_file(&mut self) -> Result<FilePatch, PatchError> {
        let title = self.line().and_then(|line| line.strip_prefix(b"diff --git ")).unwrap_or_default();
        let started_at = self.at;
        let mut file = FilePatch::default();
        let (mut created, mut deleted, mut named) = (false, false, false);
        self.at += 1;
        while let Some(line) = self.line() {
            if let Some(mode) = line.strip_prefix(b"new file mode ") {
                (created, file.mode) = (true, Some(self.mode(mode)?));
            } else if let Some(mode) = line.strip_prefix(b"deleted file mode ") {
                self.mode(mode)?;
                deleted = true;
            } else if let Some(mode) = line.strip_prefix(b"old mode ") {
                self.mode(mode)?;
            } else if let Some(mode) = line.strip_prefix(b"new mode ") {
                file.mode = Some(self.mode(mode)?);
            } else if let Some(name) = line.strip_prefix(b"rename from ").or(line.strip_prefix(b"copy from ")) {
                file.old = Some(self.checked(name)?);
                file.copy = line.starts_with(b"copy");
            } else if let Some(name) = line.strip_prefix(b"rename to ").or(line.strip_prefix(b"copy to ")) {
                file.new = Some(self.checked(name)?);
                named = true;
            } else if let Some(ids) = line.strip_prefix(b"index ") {
                if let Some(mode) = ids.split(|&byte| byte == b' ').nth(1) {
                    self.mode(mode)?;
                }
                file.index = index(ids);
            } else if line.starts_with(b"GIT binary patch") || line.starts_with(b"Binary files ") {
                return Err(self.malformed("a binary change, which is not supported".into()));
            } else if line.starts_with(b"--- ") && self.next_is(b"+++ ") {
                self.names(&mut file)?;
                self.hunks(&mut file)?;
                return Ok(file);
            } else if !is_extended_header(line) {
                break;
            }
            self.at += 1;
        }
        if !named {
            let name = self.title_name(title, started_at)?;
            file.old = (!created).then(|| name.clone());
            file.new = (!deleted).then_some(name);
        }
        Ok(file)
    }

    /// The one name in `a/X b/X`, for files without `---` lines.
    fn title_name(&mut self, title: &[u8], at: usize) -> Result<String, PatchError> {
        let half = title.len() / 2;
        let same = title.get(half) == Some(&b' ');
        if let (true, Some(old), Some(new)) = (same, title.get(..half), title.get(half + 1..)) {
            let (old, new) = (self.stripped(old)?, self.stripped(new)?);
            if old == new && old.is_some() {
                return Ok(old.unwrap_or_default());
            }
        }
        self.at = at;
        Err(self.malformed(format!("cannot tell the file name in `diff --git {}`", String::from_utf8_lossy(title))))
    }

    /// The `---` and `+++` lines. Git's rename and copy lines have set both names already, and agree.
    fn names(&mut self, file: &mut FilePatch) -> Result<(), PatchError> {
        let cut = |line: &'a [u8]| -> &'a [u8] {
            let name = line.get(4..).unwrap_or_default();
            // A plain diff has a tab and a date behind the name.
            name.split(|&byte| byte == b'\t').next().unwrap_or_default()
        };
        file.old = self.stripped(cut(self.line().unwrap_or_default()))?;
        self.at += 1;
        file.new = self.stripped(cut(self.line().unwrap_or_default()))?;
        self.at += 1;
        if file.old.is_none() && file.new.is_none() {
            return Err(self.malformed("a file that is /dev/null before and after".into()));
        }
        Ok(())
    }

    /// A name with its `a/` or `b/` taken off; `None` for `/dev/null`.
    fn stripped(&self, raw: &[u8]) -> Result<Option<String>, PatchError> {
        let name = self.unquoted(raw)?;
        if name == "/dev/null" {
            return Ok(None);
        }
        if name.starts_with('/') {
            return Err(self.refused(name, "is absolute"));
        }
        match name.split_once('/') {
            Some(("..", _)) => Err(self.refused(name, "leads out of the tree")),
            Some((_, inner)) => self.safe(inner.to_owned()).map(Some),
            None => Err(self.malformed(format!("the file name `{name}` has no a/ or b/ before it"))),
        }
    }

    fn checked(&self, raw: &[u8]) -> Result<String, PatchError> {
        let name = self.unquoted(raw)?;
        self.safe(name)
    }

    fn unquoted(&self, raw: &[u8]) -> Result<String, PatchError> {
        paths::unquote(raw)
            .ok_or_else(|| self.malformed(format!("the file name {} cannot be read", raw.escape_ascii())))
    }

    fn safe(&self, name: String) -> Result<String, PatchError> {
        match paths::objection(&name) {
            Some(why) => Err(self.refused(name, why)),
            None => Ok(name),
        }
    }

    fn mode(&self, raw: &[u8]) -> Result<u32, PatchError> {
        let mode = std::str::from_utf8(raw).ok().and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
        match mode {
            Some(mode @ (0o100_644 | 0o100_755)) => Ok(mode),
            // Where it leads is nowhere checked, and what is written to it is written there.
            Some(0o120_000) => Err(self.malformed("a symbolic link (mode 120000), which is refused".into())),
            Some(0o160_000) => Err(self.malformed("a submodule (mode 160000), which is refused".into())),
            _ => Err(self.malformed(format!("the file mode {} is not one of git's", raw.escape_ascii()))),
        }
    }

    fn hunks(&mut self, file: &mut FilePatch) -> Result<(), PatchError> {
        while let Some(line) = self.line() {
            if line.starts_with(b"@@ -") {
                let number = file.hunks.len() + 1;
                self.total += 1;
                if self.total > MAX_HUNKS {
                    return Err(
                        self.malformed(format!("more than {MAX_HUNKS} hunks, which nobody can review: refused"))
                    );
                }
                file.hunks.push(self.hunk(number)?);
            } else if !file.hunks.is_empty() && matches!(line.first(), Some(b' ' | b'+' | b'-')) && !self.behind() {
                let header = file.hunks.last().map(|hunk| hunk.header.clone()).unwrap_or_default();
                let number = file.hunks.len();
                return Err(self.malformed(format!("hunk {number} ({header}) has more lines than its header says")));
            } else {
                break;
            }
        }
        if file.hunks.is_empty() && file.old == file.new {
            return Err(self.malformed(format!("{} has no hunk", file.path())));
        }
        Ok(())
    }

    /// Is this line the mail signature, or the next file of a plain diff?
    fn behind(&self) -> bool {
        let line = self.line().unwrap_or_default();
        line == b"-- " || line == b"--" || line == b"---" || (line.starts_with(b"--- ") && self.next_is(b"+++ "))
    }

    fn hunk(&mut self, number: usize) -> Result<Hunk, PatchError> {
        let header = String::from_utf8_lossy(self.line().unwrap_or_default()).into_owned();
        let Some(([old_start, mut old], [new_start, mut new])) = ranges(&header) else {
            return Err(self.malformed(format!("hunk {number} has a header that cannot be read: `{header}`")));
        };
        self.at += 1;
        let mut lines: Vec<Line> = Vec::new();
        while old > 0 || new > 0 {
            let Some((kind, text)) = self.lines.get(self.at).and_then(|raw| classify(raw)) else {
                return Err(self.malformed(format!(
                    "hunk {number} ({header}) ends too early: {old} old and {new} new lines are missing"
                )));
            };
            let (uses_old, uses_new) = (kind != LineKind::Added, kind != LineKind::Removed);
            if (uses_old && old == 0) || (uses_new && new == 0) {
                return Err(self.malformed(format!("hunk {number} ({header}) does not agree with its header")));
            }
            old -= usize::from(uses_old);
            new -= usize::from(uses_new);
            lines.push(Line { kind, text });
            self.at += 1;
            self.no_newline(&mut lines);
        }
        if lines.iter().all(|line| line.kind == LineKind::Context) {
            return Err(self.malformed(format!("hunk {number} ({header}) changes nothing")));
        }
        Ok(Hunk { header, old_start, new_start, lines })
    }

    /// `\ No newline at end of file` belongs to the line before it.
    fn no_newline(&mut self, lines: &mut [Line]) {
        if self.line().is_some_and(|line| line.starts_with(b"\\ ")) {
            if let Some(line) = lines.last_mut() {
                line.text.pop_if(|byte| *byte == b'\n');
            }
            self.at += 1;
        }
    }

    /// The current line without its newline.
    fn line(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }

    fn next_is(&self, prefix: &[u8]) -> bool {
        self.lines.get(self.at + 1).is_some_and(|line| line.starts_with(prefix))
    }

    fn refused(&self, file: String, why: &'static str) -> PatchError {
        PatchError::Path { patch: self.patch.to_owned(), file: shown(&file), why }
    }

    fn malformed(&self, what: String) -> PatchError {
        PatchError::Malformed { patch: self.patch.to_owned(), line: self.at + 1, what: shown(&what) }
    }
}

/// A hunk's line. A mailer may have eaten the one space of an empty context line.
fn classify(raw: &[u8]) -> Option<(LineKind, Vec<u8>)> {
    let mut text = match raw.first()? {
        b'\n' => raw.to_vec(),
        _ => raw[1..].to_vec(),
    };
    // The last line of a cut-off patch file has no newline of its own.
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    match raw.first()? {
        b' ' | b'\n' => Some((LineKind::Context, text)),
        b'-' => Some((LineKind::Removed, text)),
        b'+' => Some((LineKind::Added, text)),
        _ => None,
    }
}

/// The ids of `ed6a90523d4c4..629fdc6138e79 100644`, in small letters.
fn index(raw: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(raw).ok()?;
    let (old, new) = text.split_whitespace().next()?.split_once("..")?;
    let id = |text: &str| {
        let is_id = (4..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| text.to_ascii_lowercase())
    };
    Some((id(old)?, id(new)?))
}

/// Start and length of both sides of `@@ -1,2 +3,4 @@ …`.
fn ranges(header: &str) -> Option<([usize; 2], [usize; 2])> {
    let (ranges, _) = header.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    Some((range(old)?, range(new)?))
}

fn range(text: &str) -> Option<[usize; 2]> {
    let (start, length) = text.split_once(',').unwrap_or((text, "1"));
    let number = |text: &str| text.parse::<u32>().ok().map(|number| number as usize);
    Some([number(start)?, number(length)?])
}

fn is_extended_header(line: &[u8]) -> bool {
    [&b"similarity index "[..], b"dissimilarity index "].iter().any(|head| line.starts_with(head))
}
