// SPDX-License-Identifier: GPL-2.0-only
//! Mailboxes: many messages in one file (mboxrd), and the patches among them.
//!
//! ```text
//! write   patch files → messages with ids, threaded below the cover letter → one file
//! read    one file → messages → the newest complete revision → patch files
//! ```
//!
//! What `read` makes of what `write` wrote is the same bytes again. Owns: that
//! format, and the choice of messages (`subject` and `message` read one of them,
//! `trailers` what replies say). The input of `read` may come from anybody: it
//! has limits, its bodies are data, and its names never become paths. Must not:
//! apply anything, or touch a file.

mod message;
mod subject;
mod trailers;

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use sha2::{Digest, Sha256};

use message::{Part, begins, split};
use subject::Tag;
pub use trailers::Trailer;

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
    /// Which revision it is.
    pub revision: u32,
    /// The subject of its cover letter, or of its only patch.
    pub title: String,
    /// What people said of it in replies.
    pub trailers: Vec<Trailer>,
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

/// A patch that a message is: its subject and its file.
type Found = (String, Vec<u8>);

/// By revision and length: the patches by their number.
type Revisions = BTreeMap<(u32, usize), BTreeMap<usize, Found>>;

/// The patches of the newest complete revision in a mailbox; of a single mail that
/// patch, whichever it is.
///
/// # Errors
/// It is too large, has no patch, no revision is complete, or two messages claim the
/// same place with different content.
pub fn read(bytes: &[u8]) -> anyhow::Result<Chosen> {
    if bytes.len() > MAX_BYTES {
        bail!("{} bytes are no series; the limit is {MAX_BYTES}", bytes.len());
    }
    read_messages(&split(bytes))
}

/// As [`read`], from files that are a message each or mailboxes: a folder. Where none
/// of them has a number, the order of the files is that of the patches.
///
/// # Errors
/// As [`read`].
pub fn read_files(files: &[Vec<u8>]) -> anyhow::Result<Chosen> {
    let total: usize = files.iter().map(Vec::len).sum();
    if total > MAX_BYTES {
        bail!("{total} bytes are no series; the limit is {MAX_BYTES}");
    }
    let messages: Vec<Vec<u8>> = files.iter().flat_map(|file| split(file)).collect();
    read_messages(&messages)
}

fn read_messages(messages: &[Vec<u8>]) -> anyhow::Result<Chosen> {
    if messages.len() > MAX_MESSAGES {
        bail!("{} messages are no series; the limit is {MAX_MESSAGES}", messages.len());
    }
    let parts: Vec<Part> = messages.iter().map(|message| message::part(message)).collect();
    let mut passed_over = Vec::new();
    let mut revisions = Revisions::new();
    let alone = parts.len() == 1;
    let untagged = parts.iter().all(|part| part.tag.is_none());
    let mut counted = 0;
    let of = parts.iter().filter(|part| is_patch(part) && part.names_files).count();
    for part in &parts {
        let place = match part.tag {
            Some(Tag { revision, number, of }) if alone => {
                if of > 1 {
                    passed_over.push(format!("the rest of a series: this mail alone is its patch {number} of {of}"));
                }
                Some((revision, number.min(1), 1))
            }
            Some(tag) => Some((tag.revision, tag.number, tag.of)),
            None if untagged && part.names_files => Some((1, counted + 1, of)),
            None => None,
        };
        match place.filter(|(_, number, _)| *number > 0 && is_patch(part)) {
            Some((revision, number, of)) => {
                counted += 1;
                let patches = revisions.entry((revision, of)).or_default();
                if patches.get(&number).is_some_and(|(_, known)| *known != part.file) {
                    bail!("two messages are patch {number}/{of} of revision {revision}, and they differ");
                }
                patches.insert(number, (part.subject.clone(), part.file.clone()));
            }
            None => passed_over.push(match part.objection {
                Some(why) => format!("{}: it {why}", part.subject),
                None => part.subject.clone(),
            }),
        }
    }
    choose(revisions, passed_over, &parts)
}

/// Is it a message with a patch of its own?
fn is_patch(part: &Part) -> bool {
    part.has_diff && !part.is_reply && part.objection.is_none()
}

/// What there is where no patch is.
fn nothing(passed_over: &[String]) -> String {
    let all: Vec<String> =
        passed_over.iter().filter(|passed| !passed.is_empty()).take(5).map(|passed| format!("`{passed}`")).collect();
    let seen = if all.is_empty() { String::new() } else { format!(", only {}", all.join(", ")) };
    format!("no message is a patch{seen}")
}

fn choose(revisions: Revisions, mut passed_over: Vec<String>, parts: &[Part]) -> anyhow::Result<Chosen> {
    let missing = |of: usize, patches: &BTreeMap<usize, Found>| -> Vec<String> {
        (1..=of).filter(|number| !patches.contains_key(number)).map(|number| number.to_string()).collect()
    };
    let complete = |&(&(_, of), patches): &(&(u32, usize), &BTreeMap<usize, Found>)| missing(of, patches).is_empty();
    let Some((&chosen, _)) = revisions.iter().rfind(complete) else {
        let told: Vec<String> = revisions
            .iter()
            .map(|((revision, of), patches)| {
                let missing = missing(*of, patches).join(", ");
                format!("of revision {revision} ({of} patches) is missing: {missing}")
            })
            .collect();
        let told = if told.is_empty() { nothing(&passed_over) } else { told.join("; ") };
        return Err(anyhow!("the mailbox has no complete series: {told}"));
    };
    let mut files = Vec::new();
    let mut title = String::new();
    for (key, patches) in revisions {
        if key != chosen {
            let missing = missing(key.1, &patches);
            let lacks =
                if missing.is_empty() { String::new() } else { format!(", incomplete without {}", missing.join(", ")) };
            passed_over.push(format!("revision {} with {} patches{lacks}", key.0, patches.len()));
            continue;
        }
        for (number, (subject, bytes)) in patches {
            if title.is_empty() {
                title.clone_from(&subject);
            }
            files.push(File { name: subject::file_name(number, &subject), bytes });
        }
    }
    let (revision, of) = chosen;
    let is_cover = |part: &&Part| {
        !part.is_reply && part.tag.is_some_and(|tag| (tag.revision, tag.number, tag.of) == (revision, 0, of))
    };
    if let Some(cover) = parts.iter().find(is_cover) {
        title.clone_from(&cover.subject);
    }
    let trailers = trailers::collect(parts);
    Ok(Chosen { files, passed_over, revision, title, trailers })
}
