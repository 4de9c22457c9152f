// SPDX-License-Identifier: GPL-2.0-only
//! The canary: a machine's smallest useful program, timed.
//!
//! Owns: 126 bytes of code in a ROM of their own, so that no firmware's time is
//! measured, and their native twin. The program switches to protected mode, where
//! a kernel lives too, makes a counted number of steps (a call, arithmetic, memory,
//! a branch, a return: what a kernel does all day), checks the sum, and leaves
//! through QEMU's isa-debug-exit. Must not: choose an accelerator.

use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::os::unix::process::ExitStatusExt;

use super::Kind;
use crate::error::Error;
use crate::proc::{Child, Cmd, describe};
use crate::{interrupt, qemu};

/// Steps of a timed run: about 50 ms on hardware, half a second under emulation.
const STEPS: u32 = 30_000_000;
/// A canary that takes longer is of no use to anyone, whatever it would say.
const DEADLINE: Duration = Duration::from_secs(5);
/// Each timing is the least of this many: other load only ever adds.
const REPEATS: u32 = 2;

/// A linear congruential step: a long dependency chain with a result that
/// [`expected`] can jump to.
const MULTIPLIER: u32 = 1_664_525;
const INCREMENT: u32 = 1_013_904_223;

/// QEMU's exit status for `out` of value v to isa-debug-exit is 2 v + 1.
const SUM_IS_RIGHT: i32 = 2 * 0x10 + 1;
const SUM_IS_WRONG: i32 = 2 * 0x11 + 1;

/// Size of the ROM image; QEMU maps it right below 4 GiB.
const ROM_SIZE: usize = 64 << 10;
/// Where the CPU begins: 16 bytes below the end of the ROM. `jmp` to its start.
const RESET: (usize, [u8; 3]) = (ROM_SIZE - 16, [0xe9, 0x0d, 0x00]);
/// Offsets of the two numbers in [`CODE`] that differ from run to run.
const STEPS_AT: usize = 0x27;
const SUM_AT: usize = 0x36;

/// The program, assembled by hand.
#[rustfmt::skip]
const CODE: [u8; 126] = [
    // 16-bit code, as the CPU wakes up.
    0xfa,                                     // 00 cli
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x78, 0x00, // 01 lgdt cs:[0x78]
    0x0f, 0x20, 0xc0,                         // 08 mov eax, cr0
    0x0c, 0x01,                               // 0b or al, 1
    0x0f, 0x22, 0xc0,                         // 0d mov cr0, eax
    0x66, 0xea, 0x18, 0x00, 0xff, 0xff, 8, 0, // 10 jmp 8:0xffff0018
    // 32-bit code.
    0xb8, 0x10, 0x00, 0x00, 0x00,             // 18 mov eax, 0x10
    0x8e, 0xd8,                               // 1d mov ds, eax
    0x8e, 0xd0,                               // 1f mov ss, eax
    0xbc, 0x00, 0x20, 0x00, 0x00,             // 21 mov esp, 0x2000
    0xb9, 0x00, 0x00, 0x00, 0x00,             // 26 mov ecx, STEPS
    0x31, 0xc0,                               // 2b xor eax, eax
    0xe8, 0x12, 0x00, 0x00, 0x00,             // 2d loop: call step
    0x49,                                     // 32 dec ecx
    0x75, 0xf8,                               // 33 jnz loop
    0x3d, 0x00, 0x00, 0x00, 0x00,             // 35 cmp eax, SUM
    0xb0, 0x10,                               // 3a mov al, 0x10
    0x74, 0x01,                               // 3c je out
    0x40,                                     // 3e inc eax
    0xe6, 0xf4,                               // 3f out: out 0xf4, al
    0xf4,                                     // 41 halt: hlt
    0xeb, 0xfd,                               // 42 jmp halt
    0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00,       // 44 step: imul eax, eax, MULTIPLIER
    0x05, 0x5f, 0xf3, 0x6e, 0x3c,             // 4a add eax, INCREMENT
    0xa3, 0x00, 0x10, 0x00, 0x00,             // 4f mov [0x1000], eax
    0xa8, 0x01,                               // 54 test al, 1
    0x74, 0x06,                               // 56 jz even
    0x03, 0x05, 0x04, 0x10, 0x00, 0x00,       // 58 add eax, [0x1004], which is 0
    0xc3,                                     // 5e even: ret
    0x90,                                     // 5f
    0, 0, 0, 0, 0, 0, 0, 0,                   // 60 gdt: null
    0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0,       // 68 flat code
    0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0,       // 70 flat data
    0x17, 0x00, 0x60, 0x00, 0xff, 0xff,       // 78 gdtr: limit 23, at 0xffff0060
];

/// How the canary fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "canary", rename_all = "kebab-case")]
pub enum Canary {
    /// It ended with the right sum.
    Ran {
        /// Its loop over the native loop, at least 1.0.
        slowdown: f64,
    },
    /// It did not.
    Failed {
        /// What came back, as a fragment of a sentence.
        reason: String,
    },
}

impl Canary {
    /// The slowdown, or why there is none.
    ///
    /// # Errors
    /// What came back instead.
    pub fn slowdown(&self) -> Result<f64, String> {
        match self {
            Self::Ran { slowdown } => Ok(*slowdown),
            Self::Failed { reason } => Err(reason.clone()),
        }
    }
}

/// Times the canary under `kind`, with the CPU model that a boot will get. The
/// time of an empty loop is taken off: it is QEMU's start.
///
/// # Errors
/// QEMU cannot be started, or we are interrupted. A canary that fails is an answer.
pub fn run(kind: Kind) -> Result<Canary, Error> {
    let mut times = [Duration::MAX; 2];
    for (time, steps) in times.iter_mut().zip([1, STEPS]) {
        for _ in 0..REPEATS {
            match once(kind, steps)? {
                Ok(elapsed) => *time = (*time).min(elapsed),
                Err(reason) => return Ok(Canary::Failed { reason }),
            }
        }
    }
    let looped = times[1].saturating_sub(times[0]);
    Ok(Canary::Ran { slowdown: (looped.as_secs_f64() / native().as_secs_f64()).max(1.0) })
}

/// One run: its duration, or what went wrong.
fn once(kind: Kind, steps: u32) -> Result<Result<Duration, String>, Error> {
    let mut image = tempfile::NamedTempFile::new().context("cannot make a file for the canary")?;
    image.write_all(&rom(steps)).context("cannot write the canary")?;
    let cmd = Cmd::new(qemu::QEMU).args(qemu::canary_args(kind, image.path()));
    let started = Instant::now();
    let mut child = Child::start(&cmd)?;
    loop {
        if let Some(status) = child.try_wait()? {
            let elapsed = started.elapsed();
            return Ok(match (status.code(), status.signal()) {
                (Some(SUM_IS_RIGHT), _) => Ok(elapsed),
                (Some(SUM_IS_WRONG), _) => Err("the canary computed a wrong sum".to_owned()),
                (_, Some(signal)) if signal == Signal::SIGKILL as i32 => return Err(killed(&cmd)),
                _ => Err(format!("the canary {}: {}", describe(status), words(&child.stderr()?))),
            });
        }
        interrupt::check()?;
        if started.elapsed() > DEADLINE {
            child.kill()?;
            return Ok(Err(format!("the canary did not finish in {} s", DEADLINE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn killed(cmd: &Cmd) -> Error {
    Error::Infra(anyhow::anyhow!("`{cmd}` was killed by SIGKILL: by a user, or because memory is short; try again"))
}

/// QEMU's first complaint, short enough for one line with other words.
fn words(stderr: &[u8]) -> String {
    const LONGEST: usize = 100;
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines().map(|line| line.trim_start_matches(qemu::QEMU).trim_start_matches(": "));
    let line = lines.find(|line| !line.is_empty() && !line.starts_with("warning:")).unwrap_or("it said nothing");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The ROM image for this many steps, at least 1.
#[must_use]
pub fn rom(steps: u32) -> Vec<u8> {
    let mut rom = vec![0; ROM_SIZE];
    rom[..CODE.len()].copy_from_slice(&CODE);
    rom[STEPS_AT..STEPS_AT + 4].copy_from_slice(&steps.max(1).to_le_bytes());
    rom[SUM_AT..SUM_AT + 4].copy_from_slice(&expected(steps.max(1)).to_le_bytes());
    rom[RESET.0..RESET.0 + RESET.1.len()].copy_from_slice(&RESET.1);
    rom
}

/// The sum after `steps` steps from 0, without making them: the step composed with
/// itself, bit by bit of the count.
#[must_use]
pub fn expected(steps: u32) -> u32 {
    let (mut factor, mut addend) = (MULTIPLIER, INCREMENT);
    let mut sum = 0_u32;
    let mut rest = steps;
    while rest > 0 {
        if rest & 1 == 1 {
            sum = sum.wrapping_mul(factor).wrapping_add(addend);
        }
        addend = factor.wrapping_mul(addend).wrapping_add(addend);
        factor = factor.wrapping_mul(factor);
        rest >>= 1;
    }
    sum
}

static MEMORY: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// The native twin of the ROM's `step`.
#[inline(never)]
fn step(sum: u32) -> u32 {
    let sum = sum.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
    MEMORY[0].store(sum, Ordering::Relaxed);
    if sum & 1 == 1 { sum.wrapping_add(MEMORY[1].load(Ordering::Relaxed)) } else { sum }
}

/// The native twin of the ROM's loop; its sum is [`expected`].
#[must_use]
pub fn steps(count: u32) -> u32 {
    (0..count).fold(0, |sum, _| step(black_box(sum)))
}

/// The loop's time on this host.
fn native() -> Duration {
    let once = || {
        let started = Instant::now();
        black_box(steps(black_box(STEPS)));
        started.elapsed()
    };
    (0..REPEATS).map(|_| once()).min().unwrap_or(Duration::MAX)
}
