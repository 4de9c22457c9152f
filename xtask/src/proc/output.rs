// SPDX-License-Identifier: GPL-2.0-only
//! A child's output: a file first, lines second.
//!
//! Owns: reading while the child writes, without moving its position.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context;

/// A file that a child writes and we read as it grows.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    begin: u64,
    read_to: u64,
    line: Vec<u8>,
}

impl Output {
    pub(super) fn temporary() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self { file, begin: 0, read_to: 0, line: Vec::new() })
    }

    pub(super) fn append(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot open the log {}", path.display()))?;
        let begin = file.metadata().with_context(|| format!("cannot stat the log {}", path.display()))?.len();
        Ok(Self { file, begin, read_to: begin, line: Vec::new() })
    }

    pub(super) fn writer(&self) -> anyhow::Result<File> {
        self.file.try_clone().context("cannot duplicate a file descriptor")
    }

    /// A descriptor of its own position: the child's writes must not move ours.
    fn read_from(&self, offset: u64) -> anyhow::Result<Vec<u8>> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let mut file = File::open(path).context("cannot read a child's output back")?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context("cannot read a child's output back")?;
        Ok(bytes)
    }

    pub(super) fn all(&self) -> anyhow::Result<Vec<u8>> {
        self.read_from(self.begin)
    }

    pub(super) fn feed(&mut self, on_line: &mut impl FnMut(&str)) -> anyhow::Result<()> {
        let bytes = self.read_from(self.read_to)?;
        self.read_to += bytes.len() as u64;
        for byte in bytes {
            if byte == b'\n' {
                on_line(&String::from_utf8_lossy(&self.line));
                self.line.clear();
            } else {
                self.line.push(byte);
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, on_line: &mut impl FnMut(&str)) {
        if !self.line.is_empty() {
            on_line(&String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}
