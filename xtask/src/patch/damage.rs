// SPDX-License-Identifier: GPL-2.0-only
//! What has happened to a patch on its way, hunk by hunk.
//!
//! Owns: reading text that is no whole patch any more, such as a page of a mail
//! archive or a reply that quotes, and naming what a mailer or a web page did to it:
//! lines that were wrapped, a first column or tabs that are gone, characters that
//! became HTML or vanished. It guesses, and is asked only about what has been refused.
//! Must not: repair anything.

use std::sync::LazyLock;

use regex::Regex;

/// Damage that is told of; a page can have more than anybody reads.
const MOST: usize = 200;

/// Mangled lines of a hunk that are told of.
const MOST_MANGLED: usize = 3;

/// Lines of this length, or with a blank at their end, may have been wrapped behind it.
const WRAPPED: usize = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The line of the text, from 1.
    pub line: usize,
    /// The hunk, by its number in the text and its header; `None` for the text as a whole.
    pub hunk: Option<(usize, String)>,
    /// What is wrong there.
    pub what: String,
}

/// In lines for people: each hunk once, what is wrong in it below.
#[must_use]
pub fn told(found: &[Damage]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut last = None;
    for Damage { line, hunk, what } in found {
        match hunk {
            Some((number, header)) if last != Some(number) => lines.push(format!("hunk {number} ({header}):")),
            _ => {}
        }
        last = hunk.as_ref().map(|(number, _)| number);
        let indent = if hunk.is_some() { "  " } else { "" };
        lines.push(format!("{indent}line {line}: {what}"));
    }
    lines
}

fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static HEADER: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"^([ >|\t]*)@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@"));
static ENTITY: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"&(?:amp|lt|gt|quot|nbsp|#\d+|#x[0-9a-fA-F]+);"));
static ARROW: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\b[a-z_]\w*(?:-[a-z_]\w*)+\b[ ]*[;,)=(]"));
static LOST: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"[\w)]  [A-Z_]{4,}\w*\)"));
static CUT: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\w\.\.\.@\w"));

/// What is wrong with a text in which there should be patches. None if it has no hunk
/// at all, or nothing can be told.
#[must_use]
pub fn examine(text: &[u8]) -> Vec<Damage> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut seen = Seen { lines: &lines, found: Vec::new(), hunk: None };
    let mut number = 0;
    let mut at = 0;
    while at < lines.len() && seen.found.len() < MOST {
        match header(lines[at]) {
            Some(header) => {
                number += 1;
                at = seen.of_hunk(at, number, &header);
            }
            None => at += 1,
        }
    }
    if number == 0 {
        return Vec::new();
    }
    // Hunks lie one behind the other; what is said of the whole of one comes with its first line.
    seen.found.sort_by_key(|damage| damage.line);
    let mut whole = of_text(&lines);
    whole.extend(seen.found);
    whole
}

/// A hunk's header: what is before it, and the lines that it promises.
struct Header {
    prefix: String,
    old: usize,
    new: usize,
    text: String,
}

fn header(line: &str) -> Option<Header> {
    let found = HEADER.as_ref()?.captures(line)?;
    let count = |group: usize| found.get(group).map_or(Ok(1), |text| text.as_str().parse().map_err(drop)).ok();
    let prefix = found.get(1).map_or("", |text| text.as_str()).to_owned();
    Some(Header { old: count(2)?, new: count(3)?, text: crate::text::plain(&line[prefix.len()..]), prefix })
}

/// What is wrong with the whole.
fn of_text(lines: &[&str]) -> Vec<Damage> {
    let mut found = Vec::new();
    let mut tell = |at: usize, what: &str| found.push(Damage { line: at + 1, hunk: None, what: what.to_owned() });
    let first = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    let is_diff = |line: &str| line.starts_with("diff --git ") || line.starts_with("--- ") || line.starts_with("From ");
    let is_head = lines[first..].iter().take(40).take_while(|line| !line.is_empty()).any(|line| {
        let line = line.to_ascii_lowercase();
        ["message-id:", "date:", "received:"].iter().any(|name| line.starts_with(name))
    });
    if !is_diff(lines[first]) && !is_head {
        tell(first, "the text has no mail headers: is it a page of a mail archive? Take the raw message or its mbox");
    }
    let cut = lines.iter().position(|line| CUT.as_ref().is_some_and(|cut| cut.is_match(line)));
    if let Some(at) = cut {
        tell(at, "addresses have been cut short (`...@`), as archives do: who wrote it is lost");
    }
    found
}

struct Seen<'a> {
    lines: &'a [&'a str],
    found: Vec<Damage>,
    hunk: Option<(usize, String)>,
}

impl Seen<'_> {
    fn tell(&mut self, at: usize, what: String) {
        if self.found.len() < MOST {
            self.found.push(Damage { line: at + 1, hunk: self.hunk.clone(), what });
        }
    }

    /// Walks over one hunk; the index of the line behind it.
    fn of_hunk(&mut self, start: usize, number: usize, header: &Header) -> usize {
        self.hunk = Some((number, header.text.clone()));
        if !header.prefix.is_empty() {
            self.tell(start, format!("every line has `{}` before it: it is a quotation", header.prefix));
        }
        let (mut old, mut new, mut at) = (header.old, header.new, start + 1);
        let (mut tabs, mut blanks) = (false, 0);
        let mut mangled = 0;
        while (old > 0 || new > 0) && at < self.lines.len() {
            let raw = self.lines[at];
            let Some(line) = self.unquoted(raw, &header.prefix) else { break };
            if ends(line) {
                break;
            }
            if mangled < MOST_MANGLED {
                mangled += usize::from(self.mangled(at, line));
            }
            tabs |= line.contains('\t');
            blanks += usize::from(line.get(1..).is_some_and(|rest| rest.starts_with("  ")));
            match line.bytes().next() {
                None | Some(b' ') => (old, new) = (old.saturating_sub(1), new.saturating_sub(1)),
                Some(b'-') => old = old.saturating_sub(1),
                Some(b'+') => new = new.saturating_sub(1),
                Some(b'\\') => {}
                Some(_) if self.is_wrapped(at, start) => {
                    self.tell(at, format!("the line above is wrapped: `{}` is the rest of it", short(line)));
                }
                Some(_) => {
                    self.tell(at, format!("`{}` has lost its first column", short(line)));
                    (old, new) = (old.saturating_sub(1), new.saturating_sub(1));
                }
            }
            at += 1;
        }
        if old > 0 || new > 0 {
            self.tell(
                at.min(self.lines.len()) - 1,
                format!("it ends too early: {old} old and {new} new lines are missing"),
            );
        }
        if !tabs && blanks > 0 {
            self.tell(start, "no line has a tab: its indentation has become blanks".to_owned());
        }
        at
    }

    /// Without what quotes the hunk; an empty line may have lost the blanks of it.
    fn unquoted<'b>(&self, raw: &'b str, prefix: &str) -> Option<&'b str> {
        match raw.strip_prefix(prefix) {
            Some(line) => Some(line),
            None if raw.trim().is_empty() || prefix.trim_end() == raw => Some(""),
            // The rest of a wrapped line is quoted like the others, or not at all.
            None => Some(raw),
        }
    }

    /// Characters that HTML has changed, or that are gone.
    fn mangled(&mut self, at: usize, line: &str) -> bool {
        if let Some(entity) = ENTITY.as_ref().and_then(|entity| entity.find(line)) {
            self.tell(at, format!("`{}` is HTML: the text has been through a web page", entity.as_str()));
            return true;
        }
        let code = !line.contains("/*") && !line.trim_start_matches(['+', '-', ' ', '\t']).starts_with('*');
        if !code {
            return false;
        }
        if let Some(arrow) = ARROW.as_ref().and_then(|arrow| arrow.find(line)) {
            let word = arrow.as_str().trim_end_matches([' ', ';', ',', ')', '=', '(']);
            self.tell(
                at,
                format!("`{word}` seems to lack a `>` (`{}`): an archive has eaten it", word.replace('-', "->")),
            );
            return true;
        }
        if let Some(lost) = LOST.as_ref().and_then(|lost| lost.find(line)) {
            self.tell(
                at,
                format!("`{}` seems to lack an `&` between its two blanks: an archive has eaten it", lost.as_str()),
            );
            return true;
        }
        false
    }

    /// Can the line be the rest of the one before it?
    fn is_wrapped(&self, at: usize, start: usize) -> bool {
        let before = self.lines[at - 1];
        before.ends_with(' ') || before.len() >= WRAPPED || at == start + 1
    }
}

/// A line that is no hunk's.
fn ends(line: &str) -> bool {
    ["diff --git ", "@@ -", "Re: ", "From ", "-- "].iter().any(|begin| line.starts_with(begin))
        || header(line).is_some()
}

fn short(line: &str) -> String {
    let line = crate::text::plain(line);
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
