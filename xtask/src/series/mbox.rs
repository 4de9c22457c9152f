// SPDX-License-Identifier: GPL-2.0-only
//! Mailboxes: many messages in one file (mboxrd), and the patches among them.
//!
//! ```text
//! write   patch files → messages with ids, threaded below the cover letter → one file
//! read    one file → messages → the newest complete revision → patch files
//! ```
//!
//! What `read` makes of what `write` wrote is the same bytes again. Owns: that
//! format, and the choice of messages. The input of `read` may come from anybody: it
//! has limits, its bodies are data, and its names never become paths. Must not:
//! apply anything, or touch a file.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use mail_parser::MessageParser;
use sha2::{Digest, Sha256};

/// A mailbox longer than this is no series.
pub const MAX_BYTES: usize = 64 << 20;
/// Nor is one of more messages.
const MAX_MESSAGES: usize = 2000;

/// Begins every message that `git format-patch` writes, behind the commit's id.
const MAGIC: &str = "Mon Sep 17 00:00:00 2001";

/// Headers of a message that a patch file has, too.
const KEPT: [&str; 6] = ["from", "date", "subject", "mime-version", "content-type", "content-transfer-encoding"];

/// A patch file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// As `git format-patch` names it: `0001-mm-do-this.patch`.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a mailbox has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// In order.
    pub files: Vec<File>,
    /// What was passed over, for people: other revisions, a cover letter, replies.
    pub passed_over: Vec<String>,
}

/// The mailboxes of `cover` (a message without patch) and of the patch files, each
/// message with an id of its own and threaded below the cover letter. Together they
/// are one mailbox, too. The same input gives the same bytes.
#[must_use]
pub fn write(cover: &[u8], patches: &[Vec<u8>]) -> [Vec<u8>; 2] {
    let whole = patches.iter().fold(Sha256::new().chain_update(cover), |hash, patch| hash.chain_update(patch));
    let digest = hex::encode(&whole.finalize()[..8]);
    let id = |number: usize| format!("<{digest}.{number}@kvm-gup-io.invalid>");
    let mut boxes = [Vec::new(), Vec::new()];
    let opening = format!("From {} {MAGIC}\n", "0".repeat(40));
    for (number, message) in std::iter::once(cover).chain(patches.iter().map(Vec::as_slice)).enumerate() {
        let out = &mut boxes[number.min(1)];
        let thread = match number {
            0 => format!("Message-ID: {}\n", id(0)),
            _ => format!("Message-ID: {}\nIn-Reply-To: {1}\nReferences: {1}\n", id(number), id(0)),
        };
        let end = head_length(message);
        if !message.starts_with(b"From ") {
            out.extend_from_slice(opening.as_bytes());
        }
        out.extend_from_slice(&message[..end]);
        out.extend_from_slice(thread.as_bytes());
        for line in message[end..].split_inclusive(|&byte| byte == b'\n') {
            // mboxrd. Only what would begin a message, or has a quote that a reader takes off:
            // `git am` takes off none, and "From here on" is a good beginning of a sentence.
            if begins(line) || (line.starts_with(b">") && is_from(line)) {
                out.push(b'>');
            }
            out.extend_from_slice(line);
        }
        if out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
    }
    boxes
}

/// Bytes of the headers, without the empty line behind them.
fn head_length(message: &[u8]) -> usize {
    let end = message.windows(2).position(|pair| pair == b"\n\n");
    end.map_or(message.len(), |at| at + 1)
}

/// Is it a line `From …`, quoted any number of times?
fn is_from(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
    line[quotes..].starts_with(b"From ")
}

/// By revision and length: subject and file of each patch by its number.
type Revisions = BTreeMap<(u32, usize), BTreeMap<usize, (String, Vec<u8>)>>;

/// The patches of the newest complete revision in a mailbox.
///
/// # Errors
/// It is too large, has no patch, no revision is complete, or two messages claim the
/// same place with different content.
pub fn read(bytes: &[u8]) -> anyhow::Result<Chosen> {
    if bytes.len() > MAX_BYTES {
        bail!("{} bytes are no series; the limit is {MAX_BYTES}", bytes.len());
    }
    let messages = split(bytes);
    if messages.len() > MAX_MESSAGES {
        bail!("{} messages are no series; the limit is {MAX_MESSAGES}", messages.len());
    }
    let mut passed_over = Vec::new();
    let mut revisions = Revisions::new();
    for message in &messages {
        let part = part(message)?;
        match part.tag {
            Some(Tag { revision, number, of }) if number > 0 && part.has_diff => {
                let patches = revisions.entry((revision, of)).or_default();
                let file = (part.subject.clone(), part.file);
                if patches.get(&number).is_some_and(|(_, known)| *known != file.1) {
                    bail!("two messages are patch {number}/{of} of revision {revision}, and they differ");
                }
                patches.insert(number, file);
            }
            _ => passed_over.push(part.subject),
        }
    }
    choose(revisions, passed_over)
}

fn choose(revisions: Revisions, mut passed_over: Vec<String>) -> anyhow::Result<Chosen> {
    let missing = |of: usize, patches: &BTreeMap<usize, _>| -> Vec<String> {
        (1..=of).filter(|number| !patches.contains_key(number)).map(|number| number.to_string()).collect()
    };
    let complete = |&(&(_, of), patches): &(&(u32, usize), &BTreeMap<usize, _>)| {
        missing(of, patches).is_empty() && patches.len() == of
    };
    let Some((&chosen, _)) = revisions.iter().rfind(complete) else {
        let told: Vec<String> = revisions
            .iter()
            .map(|((revision, of), patches)| {
                let missing = missing(*of, patches).join(", ");
                format!("of revision {revision} ({of} patches) is missing: {missing}")
            })
            .collect();
        let told = if told.is_empty() { "no message is a patch".to_owned() } else { told.join("; ") };
        return Err(anyhow!("the mailbox has no complete series: {told}"));
    };
    let mut files = Vec::new();
    for (key, patches) in revisions {
        if key != chosen {
            passed_over.push(format!("revision {} with {} patches", key.0, patches.len()));
            continue;
        }
        for (number, (subject, bytes)) in patches {
            files.push(File { name: file_name(number, &subject), bytes });
        }
    }
    Ok(Chosen { files, passed_over })
}

/// Which patch of which revision a subject says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    revision: u32,
    number: usize,
    of: usize,
}

struct Part {
    subject: String,
    tag: Option<Tag>,
    has_diff: bool,
    file: Vec<u8>,
}

/// The messages of a mailbox, unquoted; a file without any `From ` line is one
/// message.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
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
fn begins(line: &[u8]) -> bool {
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

/// What one message is, and the patch file that it would be.
fn part(message: &[u8]) -> anyhow::Result<Part> {
    let (first, rest) = match message.starts_with(b"From ") {
        true => message.split_at(message.iter().position(|&byte| byte == b'\n').map_or(message.len(), |at| at + 1)),
        false => (&b""[..], message),
    };
    let parsed = MessageParser::default().parse(rest).context("a message of the mailbox cannot be parsed")?;
    let subject = parsed.subject().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let head = &rest[..head_length(rest)];
    let encoding = header(head, "content-transfer-encoding").unwrap_or_default().to_ascii_lowercase();
    let encoded = matches!(encoding.as_str(), "base64" | "quoted-printable") || parsed.parts.len() > 1;
    let body = if encoded {
        parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n").into_bytes()
    } else {
        rest[head.len()..].strip_prefix(b"\n").unwrap_or_default().to_vec()
    };
    let has_diff =
        body.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"diff --git ") || line.starts_with(b"@@ -"));
    Ok(Part { tag: tag(&subject), has_diff, file: file(first, head, encoded, &body), subject })
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

/// `[PATCH v2 3/8] mm: …`; a single patch has no number; a reply has no tag.
fn tag(subject: &str) -> Option<Tag> {
    let tags = subject.strip_prefix('[')?.split_once(']')?.0;
    if !tags.split_whitespace().any(|word| word == "PATCH") {
        return None;
    }
    let numbers = tags.split_whitespace().find_map(|word| {
        let (number, of) = word.split_once('/')?;
        Some((number.parse().ok()?, of.parse().ok()?))
    });
    let revision = tags.split_whitespace().find_map(|word| word.strip_prefix('v')?.parse().ok());
    let (number, of) = numbers.unwrap_or((1, 1));
    (of > 0 && of <= MAX_MESSAGES && number <= of).then_some(Tag { revision: revision.unwrap_or(1), number, of })
}

/// As `git format-patch` names the file: letters, digits, `.` and `_` stay, all else
/// is a dash, 52 characters at most.
fn file_name(number: usize, subject: &str) -> String {
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
