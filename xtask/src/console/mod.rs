// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel said on its console: the lines that mean trouble.
//!
//! Owns: a scanner of console bytes whose state survives any chunk border, so
//! that a file that grows and the same file at the end give the same findings.
//! [`patterns`] has the table of what is trouble. Must not: decide a verdict, or
//! touch the world. The console is evidence of crashes only; results travel as
//! frames.

pub mod patterns;

use std::sync::LazyLock;

use anyhow::anyhow;
use regex::bytes::{Regex, RegexSet};

use crate::transcript::Finding;
use patterns::{IGNORED, PATTERNS, Severity};

/// A trace with its registers and code fits; a kernel that prints for ever does not.
const EXCERPT_LINES: usize = 60;
/// A line that is longer is split there: memory stays bounded on a console of noise.
const MAX_LINE: usize = 16 << 10;
/// More findings than this are a storm of one cause; only what ends a kernel still counts.
const MAX_FINDINGS: usize = 100;

/// The class of the second kernel banner in one boot.
pub const REBOOT: &str = "reboot";
/// The class of the line that says that further findings were left out.
pub const FLOOD: &str = "flood";

/// Severity marks and time stamps before a message: `<4>`, `[    1.234567]`, `[    T1]`.
const HEAD: &str = r"^(?:<\d+>)?(?:\[ *\d+\.\d+\] ?)?(?:\[ *[TC]\d+\] ?)?";
/// A kernel's first line. The time stamp tells it from a user's `cat /proc/version`.
const BANNER: &str = r"\[ *0\.000000\](?:\[ *[TC]\d+\])? Linux version \d";
/// ANSI escape sequences.
const ESCAPE: &str = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])";

struct Compiled {
    patterns: RegexSet,
    ignored: RegexSet,
    head: Regex,
    banner: Regex,
    escape: Regex,
}

static COMPILED: LazyLock<Result<Compiled, regex::Error>> = LazyLock::new(|| {
    Ok(Compiled {
        patterns: RegexSet::new(PATTERNS.iter().map(|pattern| pattern.regex))?,
        ignored: RegexSet::new(IGNORED.iter().map(|(regex, _)| regex))?,
        head: Regex::new(HEAD)?,
        banner: Regex::new(BANNER)?,
        escape: Regex::new(ESCAPE)?,
    })
});

/// What the table says of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hit {
    class: &'static str,
    severity: Severity,
}

/// Takes console bytes as they come.
pub struct Scanner {
    compiled: &'static Compiled,
    line: Vec<u8>,
    /// Offset of the first byte of `line`.
    line_at: u64,
    findings: Vec<Finding>,
    banners: u32,
    ended: bool,
    flooded: bool,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("line_at", &self.line_at).field("findings", &self.findings).finish()
    }
}

impl Scanner {
    /// A scanner at the beginning of a console.
    ///
    /// # Errors
    /// A row of the table is no regular expression; a test excludes it.
    pub fn new() -> anyhow::Result<Self> {
        let compiled =
            COMPILED.as_ref().map_err(|error| anyhow!("the table of console patterns is broken: {error}"))?;
        Ok(Self {
            compiled,
            line: Vec::new(),
            line_at: 0,
            findings: Vec::new(),
            banners: 0,
            ended: false,
            flooded: false,
        })
    }

    /// Adds bytes as read from the console.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' || self.line.len() >= MAX_LINE {
                self.end_line();
            }
        }
    }

    /// Is there a finding after which this kernel does not go on?
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Number of findings so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.findings.len()
    }

    /// All findings in order; a last line without a line end counts.
    #[must_use]
    pub fn finish(mut self) -> Vec<Finding> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.findings
    }

    fn end_line(&mut self) {
        let raw = std::mem::take(&mut self.line);
        let offset = self.line_at;
        self.line_at += raw.len() as u64;
        let text = self.compiled.clean(&raw);
        let line = String::from_utf8_lossy(&text).into_owned();
        for finding in self.findings.iter_mut().rev().take_while(|finding| finding.excerpt.len() < EXCERPT_LINES) {
            finding.excerpt.push(line.clone());
        }
        if let Some(hit) = self.hit(&text) {
            self.record(hit, line, offset);
        }
    }

    fn hit(&mut self, text: &[u8]) -> Option<Hit> {
        if self.compiled.banner.is_match(text) {
            self.banners += 1;
            let reboot = Hit { class: REBOOT, severity: Severity::Ends };
            return (self.banners > 1).then_some(reboot);
        }
        let row = self.compiled.row(text)?;
        Some(Hit { class: PATTERNS[row].class, severity: PATTERNS[row].severity })
    }

    fn record(&mut self, hit: Hit, line: String, offset: u64) {
        let ends = hit.severity == Severity::Ends;
        let full = self.findings.len() >= MAX_FINDINGS && (!ends || self.ended);
        let (class, fatal, line) = match (full, self.flooded) {
            (true, true) => return,
            (true, false) => {
                (FLOOD, false, format!("more than {MAX_FINDINGS} findings: the rest is in the console only"))
            }
            (false, _) => (hit.class, hit.severity != Severity::Note, line),
        };
        self.flooded |= full;
        self.ended |= ends;
        let excerpt = vec![line.clone()];
        self.findings.push(Finding { class: class.to_owned(), fatal, line, offset, excerpt });
    }
}

impl Compiled {
    /// The line without its end, escape sequences and other control bytes: what
    /// a person would see, and safe to print.
    fn clean(&self, raw: &[u8]) -> Vec<u8> {
        let mut text = self.escape.replace_all(raw, &b""[..]).into_owned();
        text.retain(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        text
    }

    /// The first row of the table that fits.
    fn row(&self, text: &[u8]) -> Option<usize> {
        let start = self.head.find(text).map_or(0, |head| head.end());
        let message = &text[start..];
        let row = self.patterns.matches(message).iter().next()?;
        (!self.ignored.is_match(message)).then_some(row)
    }
}

/// The findings of a whole console.
///
/// # Errors
/// As [`Scanner::new`].
pub fn scan(bytes: &[u8]) -> anyhow::Result<Vec<Finding>> {
    let mut scanner = Scanner::new()?;
    scanner.push(bytes);
    Ok(scanner.finish())
}

/// The row of [`PATTERNS`] that recognises this line, if one does.
///
/// # Errors
/// As [`Scanner::new`].
pub fn row(line: &[u8]) -> anyhow::Result<Option<usize>> {
    let scanner = Scanner::new()?;
    Ok(scanner.compiled.row(&scanner.compiled.clean(line)))
}
