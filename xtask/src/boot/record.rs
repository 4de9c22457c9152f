// SPDX-License-Identifier: GPL-2.0-only
//! The files of one boot's record that we write ourselves.
//!
//! Owns: `argv.json` and `replay.sh`, which are complete before QEMU is started,
//! `frames.jsonl`, which grows with the frames, and `qemu.stderr`. Must not:
//! decide anything.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use selftests::protocol::Envelope;

use crate::file;
use crate::proc::Cmd;
use crate::qemu;

/// The frames, one JSON object a line.
const FRAMES: &str = "frames.jsonl";
/// QEMU's own words.
const STDERR: &str = "qemu.stderr";
/// Where a time-out's registers go.
pub(super) const REGISTERS: &str = "registers.txt";

/// TCG says for each feature of a CPU model that it does not have it, at each
/// start; in an error that hides the words that matter.
const CHATTER: &str = "warning: TCG doesn't support requested feature";

/// One boot's folder.
#[derive(Debug)]
pub(super) struct Record {
    dir: PathBuf,
    argv: Vec<String>,
    frames: File,
}

impl Record {
    /// Removes what an earlier boot left in `dir`, and writes what is known before
    /// the start.
    pub(super) fn create(dir: &Path, argv: &[String]) -> anyhow::Result<Self> {
        // A tail must never read the bytes of another boot.
        for name in [qemu::CONSOLE, qemu::FRAMES, qemu::QMP, FRAMES, STDERR, REGISTERS] {
            match std::fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove the old {name} in {}", dir.display()));
                }
                _ => {}
            }
        }
        file::write(&dir.join("argv.json"), &serde_json::to_vec_pretty(argv)?)?;
        file::write_mode(&dir.join("replay.sh"), 0o755, replay(argv).as_bytes())?;
        let path = dir.join(FRAMES);
        let frames = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { dir: dir.to_owned(), argv: argv.to_vec(), frames })
    }

    /// The command that starts the machine. Its deadline is not used: boot has
    /// one for each phase.
    pub(super) fn cmd(&self) -> Cmd {
        let (program, args) = self.argv.split_first().map_or(("", &[][..]), |(program, args)| (program.as_str(), args));
        Cmd::new(program).args(args).dir(&self.dir).log(self.dir.join(STDERR)).deadline(Duration::MAX)
    }

    /// Appends a frame.
    pub(super) fn frame(&mut self, frame: &Envelope) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(frame)?;
        line.push(b'\n');
        self.frames.write_all(&line).with_context(|| format!("cannot write {}", self.dir.join(FRAMES).display()))
    }

    /// What QEMU complained of.
    pub(super) fn stderr(&self) -> anyhow::Result<String> {
        let path = self.dir.join(STDERR);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().filter(|line| !line.contains(CHATTER)).collect();
        Ok(if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("\n") })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // A killed QEMU leaves its socket, which is no evidence; a missing one is as good.
        drop(std::fs::remove_file(self.dir.join(qemu::QMP)));
    }
}

/// A script that boots the same machine again, into another folder.
fn replay(argv: &[String]) -> String {
    let command: Vec<_> = argv.iter().map(|arg| shell_words::quote(arg)).collect();
    format!(
        "#!/bin/sh\n\
         # Boots this machine again. The folder named by the first argument, by default\n\
         # `replay` beside this script, gets {} and {}.\n\
         set -eu\n\
         dir=${{1:-$(dirname \"$0\")/replay}}\n\
         mkdir -p \"$dir\"\n\
         cd \"$dir\"\n\
         echo \"the console goes to $PWD/{}\" >&2\n\
         exec {}\n",
        qemu::CONSOLE,
        qemu::FRAMES,
        qemu::CONSOLE,
        command.join(" ")
    )
}
