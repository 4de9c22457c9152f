// SPDX-License-Identifier: GPL-2.0-only
//! What one boot left behind: frames, console findings, how QEMU ended.
//!
//! Owns: the value that `boot` produces and `judge` reads; it can be stored and
//! judged again. Must not: interpret.

use selftests::protocol::Envelope;
use serde::{Deserialize, Serialize};

/// The whole evidence of one boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Frames in the order of arrival.
    pub frames: Vec<Envelope>,
    /// Why the frame stream could not be read further, or was cut.
    pub stream_error: Option<String>,
    /// Lines of the console that a detector recognised, in order.
    pub findings: Vec<Finding>,
    /// How the virtual machine ended.
    pub ending: Ending,
    /// QEMU's start to its first frame, in milliseconds.
    pub boot_ms: Option<u64>,
    /// QEMU's start to its end, in milliseconds.
    pub total_ms: u64,
}

/// A console line that says that the kernel is in trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The detector's class, e.g. `panic`, `warning`, `hung-task`; `backtrace` for
    /// the answer to our own NMI after a time-out, which is never fatal.
    pub class: String,
    /// Does it end the boot's credibility?
    pub fatal: bool,
    /// The line, lossily decoded, without its line end and control characters.
    pub line: String,
    /// Byte offset of the line in `console.raw`.
    pub offset: u64,
    /// The line and what followed it, at most 60 lines: the trace.
    pub excerpt: Vec<String>,
}

/// How QEMU ended. Its exit status is evidence, never a verdict: a panicked and
/// a finished guest both exit 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "kebab-case")]
pub enum Ending {
    /// QEMU exited by itself.
    Exited {
        /// Its status.
        code: i32,
    },
    /// QEMU gave up by itself, with its own words: a guest cannot make it do so.
    Failed {
        /// Its status, not 0.
        code: i32,
        /// What QEMU wrote to stderr.
        stderr: String,
    },
    /// QEMU was killed, or told to end, by somebody else.
    Signaled {
        /// By this signal.
        signal: i32,
        /// What QEMU wrote to stderr.
        stderr: String,
    },
    /// We killed it: a deadline passed.
    TimedOut {
        /// Which phase: `qemu-start`, `first-printk`, `hello`, `frame`, `power-off`
        /// (after `bye`), `total`.
        phase: String,
        /// The deadline.
        deadline_ms: u64,
    },
    /// We killed it some time after nothing more could count: after a console line
    /// that ends a kernel, or a frame stream that cannot be read (`stream_error`).
    KilledAfterCrash,
    /// QEMU never got to run a kernel: its own words.
    FailedToStart {
        /// What QEMU wrote to stderr.
        stderr: String,
    },
}
