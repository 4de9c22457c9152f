// SPDX-License-Identifier: GPL-2.0-only
//! One message of a mailbox, and the patch file that it would be.
//!
//! Owns: where a message begins and ends, its decoded text, and who wrote it in reply
//! to what. Must not: choose among messages, or believe anything that one says.

use std::sync::LazyLock;

use mail_parser::{HeaderValue, Message, MessageParser, PartType};
use regex::bytes::Regex;

use super::subject::{self, Tag};
use super::{KEPT, MAGIC, head_length, is_from};
use crate::text::plain;

/// A message longer than this is no patch.
const MAX_MESSAGE: usize = 4 << 20;

/// A message of more parts is none that a person has written.
const MAX_PARTS: usize = 100;

/// Headers of a message that is not taken apart.
const MAX_HEAD: usize = 16 << 10;

/// Messages that a reply may name as those before it.
const MAX_REFERENCES: usize = 64;

/// What one message is.
#[derive(Default)]
pub(super) struct Part {
    /// One line, as it can be shown.
    pub(super) subject: String,
    /// Who sent it: `Ada <ada@example.org>`.
    pub(super) from: String,
    /// Its `Message-ID`; empty if it has none.
    pub(super) id: String,
    /// The ids of those that it answers, the nearest first.
    pub(super) answers: Vec<String>,
    /// Which patch it is, or replies to, by its subject.
    pub(super) tag: Option<Tag>,
    /// Its subject begins with `Re:` or the like.
    pub(super) is_reply: bool,
    pub(super) has_diff: bool,
    /// It names the files of it, too: the text around it need not say that it is a patch.
    pub(super) names_files: bool,
    /// Why its text cannot be a patch, e.g. because it is HTML.
    pub(super) objection: Option<&'static str>,
    /// Its text.
    pub(super) body: Vec<u8>,
    /// The patch file that it would be.
    pub(super) file: Vec<u8>,
}

/// The messages of a mailbox, unquoted; a file without any `From ` line is one
/// message.
pub(super) fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<&[u8]>> = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if messages.is_empty() || begins(line) {
            messages.push(Vec::new());
        }
        if let Some(message) = messages.last_mut() {
            message.push(if line.starts_with(b">") && is_from(line) { &line[1..] } else { line });
        }
    }
    messages.iter().map(|lines| unfold(lines)).collect()
}

/// A message with plain line ends. A carriage return is one of the mail's if its
/// headers have them, else it belongs to the patch.
fn unfold(lines: &[&[u8]]) -> Vec<u8> {
    // Whoever stored the message wrote the first line.
    let of_mail = lines.get(1).or(lines.first()).is_some_and(|line| line.ends_with(b"\r\n"));
    let mut message = Vec::new();
    for line in lines {
        match line.strip_suffix(b"\r\n").filter(|_| of_mail) {
            Some(text) => message.extend([text, b"\n"].concat()),
            None => message.extend_from_slice(line),
        }
    }
    message
}

/// `From somebody Mon Sep 17 00:00:00 2001`, by git's own rule: minutes, seconds, and a
/// year that is one of mail.
pub(super) fn begins(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let Some(colon) = rest.iter().rposition(|&byte| byte == b':') else { return false };
    let digit = |at: Option<usize>| at.and_then(|at| rest.get(at)).is_some_and(u8::is_ascii_digit);
    let before = [4, 2, 1].map(|back| digit(colon.checked_sub(back)));
    let after = [1, 2].map(|ahead| digit(Some(colon + ahead)));
    let year = String::from_utf8_lossy(rest.get(colon + 3..).unwrap_or_default());
    let digits: String = year.trim_start().chars().take_while(char::is_ascii_digit).collect();
    let is_time = before.iter().chain(&after).all(|is| *is);
    rest.len() >= 15 && is_time && digits.parse::<u64>().is_ok_and(|year| year > 90)
}

/// Reads one message.
pub(super) fn part(message: &[u8]) -> Part {
    let (first, rest) = match message.starts_with(b"From ") {
        true => message.split_at(message.iter().position(|&byte| byte == b'\n').map_or(message.len(), |at| at + 1)),
        false => (&b""[..], message),
    };
    if let Some(why) = too_much(rest) {
        return refused(rest, why);
    }
    if rest.starts_with(b"diff --git ") || rest.starts_with(b"--- ") {
        let (subject, body) = ("a patch without subject".to_owned(), rest.to_vec());
        let (has_diff, names_files, file) = (true, true, body.clone());
        return Part { subject, has_diff, names_files, file, body, ..Part::default() };
    }
    let Some(parsed) = MessageParser::default().parse(rest) else { return refused(rest, "is no mail") };
    let head = &rest[..head_length(rest)];
    let encoding = header(head, "content-transfer-encoding").unwrap_or_default().to_ascii_lowercase();
    let encoded = matches!(encoding.as_str(), "base64" | "quoted-printable") || parsed.parts.len() > 1;
    let body = if encoded {
        decoded(&parsed).replace("\r\n", "\n").into_bytes()
    } else {
        rest[head.len()..].strip_prefix(b"\n").unwrap_or_default().to_vec()
    };
    let has_diff =
        body.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"diff --git ") || line.starts_with(b"@@ -"));
    let lines: Vec<&[u8]> = body.split(|&byte| byte == b'\n').collect();
    let names = |pair: &[&[u8]]| pair[0].starts_with(b"--- ") && pair[1].starts_with(b"+++ ");
    let names_files = lines.iter().any(|line| line.starts_with(b"diff --git ")) || lines.windows(2).any(names);
    let html = parsed.parts.iter().any(|part| matches!(part.body, PartType::Html(_)));
    let text = parsed.parts.iter().any(|part| matches!(part.body, PartType::Text(_)));
    let subject = plain(parsed.subject().unwrap_or_default());
    let (answered, is_reply) = subject::unreplied(&subject);
    Part {
        from: sender(&parsed),
        id: parsed.message_id().map(plain).unwrap_or_default(),
        answers: answers(&parsed),
        tag: subject::tag(answered),
        is_reply,
        has_diff,
        names_files,
        objection: (html && !text).then_some("is HTML, in which no patch is whole"),
        file: file(first, head, encoded, &body),
        body,
        subject,
    }
}

/// Why a message is not taken apart. A mail that has others in it, each in the one
/// before, costs its reader the square of its length; as none of them is a patch by its
/// own right, none is looked for.
fn too_much(message: &[u8]) -> Option<&'static str> {
    static TYPE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?im)^content-type[ \t]*:(?:(?:[^\n;]|\n[ \t])*(message|digest))?").ok());
    if message.len() > MAX_MESSAGE {
        return Some("is too long for a patch");
    }
    let Some(pattern) = TYPE.as_ref() else { return Some("cannot be looked through") };
    let mut parts = 0;
    for found in pattern.captures_iter(message) {
        if found.get(1).is_some() {
            return Some("has other mails in it");
        }
        parts += 1;
        if parts > MAX_PARTS {
            return Some("has too many parts");
        }
    }
    None
}

/// A message of which nothing is known but why.
fn refused(message: &[u8], why: &'static str) -> Part {
    let head = &message[..head_length(message).min(MAX_HEAD)];
    let subject = plain(&header(head, "subject").unwrap_or_else(|| "a message without subject".to_owned()));
    Part { subject, objection: Some(why), ..Part::default() }
}

/// All plain text of a message, attachments among it: as `git am` reads it.
fn decoded(message: &Message<'_>) -> String {
    let texts = message.parts.iter().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(text.as_ref()),
        _ => None,
    });
    let mut all = String::new();
    for text in texts {
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        all.push_str(text);
    }
    all
}

fn sender(message: &Message<'_>) -> String {
    let first = message.from().and_then(|from| from.first());
    let (name, address) = first.map_or(("", ""), |from| (from.name().unwrap_or(""), from.address().unwrap_or("")));
    if name.is_empty() { plain(address) } else { format!("{} <{}>", plain(name), plain(address)) }
}

/// `In-Reply-To`, then `References` from the last one on.
fn answers(message: &Message<'_>) -> Vec<String> {
    let ids = |value: &HeaderValue<'_>| -> Vec<String> {
        value.as_text_list().unwrap_or_default().iter().rev().map(|id| plain(id)).collect()
    };
    let all = ids(message.in_reply_to()).into_iter().chain(ids(message.references()));
    all.take(MAX_REFERENCES).collect()
}

/// A patch file of what a message has: its id line, the headers that matter, the
/// body in plain.
fn file(first: &[u8], head: &[u8], encoded: bool, body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(first);
    let id =
        text.split_whitespace().nth(1).filter(|id| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut file = format!("From {} {MAGIC}\n", id.unwrap_or(&"0".repeat(40))).into_bytes();
    for (name, raw) in headers(head) {
        let mime = name.starts_with("mime-") || name.starts_with("content-");
        if KEPT.contains(&name.as_str()) && !(encoded && mime) {
            file.extend_from_slice(raw);
        }
    }
    if encoded && !body.is_ascii() {
        file.extend_from_slice(
            b"MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n",
        );
    }
    file.push(b'\n');
    file.extend_from_slice(body);
    file
}

/// Each header with its name in small letters and its raw lines.
fn headers(head: &[u8]) -> Vec<(String, &[u8])> {
    let mut headers: Vec<(String, &[u8])> = Vec::new();
    let mut at = 0;
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let end = at + line.len();
        match (line.first(), headers.last_mut()) {
            (Some(b' ' | b'\t'), Some((_, raw))) => *raw = &head[at - raw.len()..end],
            _ => {
                let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
                headers.push((String::from_utf8_lossy(name).to_ascii_lowercase(), line));
            }
        }
        at = end;
    }
    headers
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let (_, raw) = headers(head).into_iter().find(|(known, _)| known == name)?;
    let text = String::from_utf8_lossy(raw).into_owned();
    text.split_once(':').map(|(_, value)| value.trim().to_owned())
}
