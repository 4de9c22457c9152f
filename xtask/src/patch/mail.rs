// SPDX-License-Identifier: GPL-2.0-only
//! The mail around a patch: author, date, subject, message.
//!
//! Must not fail: a plain diff has no mail at all, and then the file's name is
//! the subject.

use std::path::Path;

use super::Author;
use crate::text::plain;

/// What the mail says.
pub(super) struct Mail {
    pub(super) subject: String,
    pub(super) number: Option<(usize, usize)>,
    pub(super) author: Author,
    pub(super) message: String,
    /// Index of the first line behind the message.
    pub(super) end: usize,
}

pub(super) fn parse(path: &Path, lines: &[&[u8]]) -> Mail {
    let text = |index: usize| String::from_utf8_lossy(lines[index]).trim_end_matches(['\n', '\r']).to_owned();
    let (headers, mut at) = headers(lines.len(), &text);
    let headers: Vec<(String, String)> = headers.into_iter().map(|(name, value)| (name, decoded(value))).collect();
    let find =
        |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    while at < lines.len() && !ends_message(&text(at), lines.get(at + 1)) {
        body.push(text(at));
        at += 1;
    }
    let mut from = find("From").map(str::to_owned);
    // As in `git am`, a From: line that opens the body names the author; the mail's is the sender.
    let first = body.iter().position(|line| !line.trim().is_empty()).unwrap_or(body.len());
    if let Some(author) = body.get(first).and_then(|line| line.strip_prefix("From: ")) {
        from = Some(author.to_owned());
        body.drain(..=first);
    }
    let body = body.join("\n").trim().to_owned();
    let subject = match find("Subject") {
        Some(subject) => plain(strip_tags(subject)),
        None => path.file_stem().map_or_else(|| "patch".to_owned(), |stem| stem.to_string_lossy().into_owned()),
    };
    let number = find("Subject").and_then(number);
    let (name, email) = address(from.as_deref().unwrap_or(""));
    let author = Author { name, email, when: find("Date").and_then(date) };
    // No commit has one in its message.
    let body = body.replace('\0', "\u{fffd}");
    let message = if body.is_empty() { format!("{subject}\n") } else { format!("{subject}\n\n{body}\n") };
    Mail { subject, number, author, message, end: at }
}

/// The headers, unfolded, and the index of the first line of the body. A file
/// that does not begin with a header has none.
fn headers(count: usize, text: &impl Fn(usize) -> String) -> (Vec<(String, String)>, usize) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    if count > 0 && text(0).starts_with("From ") {
        at = 1;
    }
    while at < count {
        let line = text(at);
        if line.is_empty() {
            return (headers, at + 1);
        }
        if line.starts_with([' ', '\t']) {
            let Some((_, value)) = headers.last_mut() else { break };
            value.push(' ');
            value.push_str(line.trim());
        } else {
            let Some((name, value)) = line.split_once(':') else { break };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                break;
            }
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        at += 1;
    }
    if headers.is_empty() { (headers, 0) } else { (headers, at) }
}

/// A header's value in plain: `=?UTF-8?q?J=C3=B6rg?= <j@example.org>` names Jörg.
fn decoded(value: String) -> String {
    if !value.contains("=?") {
        return value;
    }
    let header = format!("Subject: {value}\n\n");
    let message = mail_parser::MessageParser::default().parse_headers(header.as_bytes());
    message.and_then(|message| message.subject().map(str::to_owned)).unwrap_or(value)
}

fn ends_message(line: &str, next: Option<&&[u8]>) -> bool {
    let file = line.starts_with("--- ") && next.is_some_and(|next| next.starts_with(b"+++ "));
    line == "---" || file || line.starts_with("diff --git ") || line.starts_with("@@ -")
}

/// `[PATCH v2 1/3] mm: x` → `mm: x`.
fn strip_tags(subject: &str) -> &str {
    let mut rest = subject.trim();
    while let Some(tagged) = rest.strip_prefix('[') {
        match tagged.split_once(']') {
            Some((_, behind)) if !behind.trim().is_empty() => rest = behind.trim_start(),
            _ => break,
        }
    }
    rest
}

/// `[PATCH v2 1/3] mm: x` → 1 of 3.
fn number(subject: &str) -> Option<(usize, usize)> {
    let tags = subject.trim().strip_prefix('[')?.split_once(']')?.0;
    let (number, of) = tags.split_whitespace().find_map(|word| word.split_once('/'))?;
    Some((number.parse().ok()?, of.parse().ok()?))
}

/// Name and address of `Ada <ada@example.org>`; never empty, since a commit needs both.
fn address(from: &str) -> (String, String) {
    let (name, email) = match from.split_once('<') {
        Some((name, rest)) => (name.trim().trim_matches('"'), rest.split('>').next().unwrap_or_default()),
        None => ("", from.trim()),
    };
    let clean = |text: &str| plain(&text.replace(['<', '>'], ""));
    let email = Some(clean(email.trim())).filter(|email| !email.is_empty()).unwrap_or_else(|| "unknown@invalid".into());
    let name = Some(clean(name)).filter(|name| !name.trim().is_empty()).unwrap_or_else(|| email.clone());
    (name, email)
}

fn date(text: &str) -> Option<(i64, i32)> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some((zoned.timestamp().as_second(), zoned.offset().seconds() / 60))
}
