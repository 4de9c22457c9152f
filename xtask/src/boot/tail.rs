// SPDX-License-Identifier: GPL-2.0-only
//! The two files that a machine writes, read as they grow.
//!
//! Owns: console and frames as streams; a broken frame stream is a value. Must
//! not: wait, or write.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use selftests::protocol::{Decoder, Envelope};

use crate::console::Scanner;
use crate::qemu;
use crate::transcript::Finding;

/// Read at once: more than a console says between two looks.
const CHUNK: usize = 64 << 10;

/// Console and frames of one machine.
#[derive(Debug)]
pub(super) struct Streams {
    console: Tail,
    frames: Tail,
    scanner: Scanner,
    decoder: Decoder,
    stream_error: Option<String>,
}

impl Streams {
    /// Of the machine that writes into `dir`.
    pub(super) fn new(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            console: Tail::new(dir.join(qemu::CONSOLE)),
            frames: Tail::new(dir.join(qemu::FRAMES)),
            scanner: Scanner::new()?,
            decoder: Decoder::default(),
            stream_error: None,
        })
    }

    /// Takes in all that is there; gives the frames that have come.
    pub(super) fn read(&mut self) -> anyhow::Result<Vec<Envelope>> {
        let scanner = &mut self.scanner;
        self.console.read(|bytes| scanner.push(bytes))?;
        let decoder = &mut self.decoder;
        self.frames.read(|bytes| decoder.push(bytes))?;
        let mut frames = Vec::new();
        while self.stream_error.is_none() {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(broken) => self.stream_error = Some(broken.to_string()),
            }
        }
        Ok(frames)
    }

    /// Will nothing more from this machine count?
    pub(super) fn hopeless(&self) -> bool {
        self.scanner.ended() || self.stream_error.is_some()
    }

    /// Bytes that the console has said.
    pub(super) fn console_bytes(&self) -> u64 {
        self.console.bytes
    }

    /// Has QEMU got as far as to open the console's file?
    pub(super) fn console_is_open(&self) -> bool {
        self.console.file.is_some()
    }

    /// Findings so far.
    pub(super) fn findings(&self) -> usize {
        self.scanner.count()
    }

    /// All findings, and what is wrong with the frame stream.
    pub(super) fn finish(self) -> (Vec<Finding>, Option<String>) {
        let cut = match self.decoder.pending() {
            0 => None,
            bytes => Some(format!("the frame stream ends inside a frame, {bytes} bytes after the last whole one")),
        };
        (self.scanner.finish(), self.stream_error.or(cut))
    }
}

/// One file that another process appends to.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, bytes: 0 }
    }

    /// Hands on what has been appended; nothing as long as the file is not there.
    fn read(&mut self, mut take: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("cannot open {}", self.path.display())),
            },
        };
        let mut chunk = [0; CHUNK];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.bytes += length as u64;
                    take(&chunk[..length]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
            }
        }
    }
}
