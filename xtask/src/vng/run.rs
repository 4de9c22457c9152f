// SPDX-License-Identifier: GPL-2.0-only
//! One boot in virtme-ng, supervised as our own are.
//!
//! Owns: what is vng's failure and not the kernel's. Must not: judge.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::{Vng, argv};
use crate::boot::{self, Deadlines, Machine, Order};
use crate::error::Error;
use crate::file;
use crate::proc::tail;
use crate::progress::Progress;
use crate::transcript::{Ending, Transcript};

/// Beside the record: what runs in the guest, and its plan.
const PROGRAM: &str = "selftests";
const PLAN: &str = "plan.json";

/// Python starts twice before QEMU does, and the host's init programs run before the
/// first frame.
const WRAPPER: Duration = Duration::from_secs(30);

/// Boots the order's kernel in vng; `init` is the program that sends the frames.
///
/// # Errors
/// As [`boot::boot`]; [`Error::Infra`] in vng's own words if it ends, or hangs, before
/// the kernel has said anything.
pub fn boot(vng: &Vng, order: &Order<'_>, init: &[u8], dir: &Path, progress: &Progress) -> Result<Transcript, Error> {
    let dir = std::path::absolute(dir).with_context(|| format!("cannot resolve {}", dir.display()))?;
    file::write_mode(&dir.join(PROGRAM), 0o755, init)?;
    let plan = serde_json::to_vec_pretty(order.plan).context("cannot serialise the plan")?;
    file::write(&dir.join(PLAN), &plan)?;
    let words = [dir.join(PROGRAM), dir.join(PLAN)].map(|path| path.to_string_lossy().into_owned());
    let command = shell_words::join([words[0].as_str(), "guest", words[1].as_str()]);
    let argv = order.with_boot(|boot| argv::test(vng, boot, &command))?;
    let machine = Machine { argv, deadlines: longer(order.deadlines()), dir: dir.clone() };
    let transcript = boot::supervise(&machine, order.plan.cells.len(), order.phase(&dir, progress))?;
    match own_failure(&transcript, &dir) {
        Some(error) => Err(Error::Infra(error)),
        None => Ok(transcript),
    }
}

/// What vng does itself takes longer than QEMU's start.
fn longer(deadlines: Deadlines) -> Deadlines {
    Deadlines {
        qemu_start: deadlines.qemu_start + WRAPPER,
        first_printk: deadlines.first_printk + WRAPPER,
        hello: deadlines.hello * 3 + WRAPPER,
        power_off: deadlines.power_off + WRAPPER,
        total: deadlines.total + 2 * WRAPPER,
        ..deadlines
    }
}

/// vng's failure, if it is one: the kernel has said nothing, neither by frames nor by a
/// crash.
fn own_failure(transcript: &Transcript, dir: &Path) -> Option<anyhow::Error> {
    if !transcript.frames.is_empty() || transcript.findings.iter().any(|finding| finding.fatal) {
        return None;
    }
    let what = match &transcript.ending {
        Ending::FailedToStart { .. } | Ending::Failed { .. } => "failed".to_owned(),
        Ending::Exited { code } => format!("ended (status {code}) before the test did"),
        Ending::Signaled { signal, .. } => format!("was ended by signal {signal}, not by us"),
        Ending::TimedOut { phase, deadline_ms } if phase != "hello" && phase != "frame" => {
            format!("had not got a kernel to speak after {} s and was killed", deadline_ms / 1000)
        }
        _ => return None,
    };
    let log = dir.join("qemu.stderr");
    let words = std::fs::read(&log).unwrap_or_default();
    let words = tail(&words);
    let words = if words.is_empty() { "\n    it said nothing".to_owned() } else { words };
    Some(anyhow!("virtme-ng {what}; it said:{words}\nall of it: {}", log.display()))
}
