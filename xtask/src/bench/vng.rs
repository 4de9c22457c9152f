// SPDX-License-Identifier: GPL-2.0-only
//! A boot to a command and back, over virtme-ng's, on the same kernel and host.
//!
//! Owns: this row; it is left out where there is no vng. Each sample is one boot of
//! each, in turns, as a user would wait for them: the program's start to its end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};
use selftests::plan::Plan;

use super::Bench;
use super::budget::{self, Row};
use super::runs::sample;
use crate::accel::{self, Accel, AccelChoice, Kind};
use crate::boot::{self, Order};
use crate::error::Error;
use crate::guest;
use crate::initramfs;
use crate::proc::Cmd;
use crate::progress::Progress;
use crate::side::Side;
use crate::stats;
use crate::vng::{self, Places, Vng};

/// As a shell would say it, but for the kernel.
const OPTIONS: [&str; 3] = ["--force-9p", "--", "true"];

pub(super) fn boot(bench: &Bench<'_>) -> Result<Row, Error> {
    let vng = match vng::find(&Places::here(None)) {
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(error) => return Ok(Row::skipped(&budget::BOOT_VNG, &error.to_string())),
        Ok(vng) => vng,
    };
    match measure(bench, &vng) {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => Ok(Row::failed(&budget::BOOT_VNG, error.to_string())),
        Ok(row) => Ok(row),
    }
}

fn measure(bench: &Bench<'_>, vng: &Vng) -> Result<Row, Error> {
    let phase = bench.progress.phase("boots, over virtme-ng's");
    let kernel = kernel(bench)?;
    let accel = accel::choose(&bench.cache.root, AccelChoice::Auto)?;
    let init = guest::build(&bench.runner.checkout, &Progress::silent())?;
    phase.length(bench.runs.into());
    let (pairs, mut notes) = sample(bench.runs, |index| {
        let pair = (ours(bench, &kernel, &accel, &init)?, theirs(vng, &kernel, &accel)?);
        phase.position(u64::from(index) + 1);
        Ok(pair)
    })?;
    phase.done(format!("{} of each", pairs.len()));
    let median = |pick: fn(&(f64, f64)) -> f64| stats::median(&pairs.iter().map(pick).collect::<Vec<_>>());
    if let (Some(ours), Some(theirs)) = (median(|pair| pair.0), median(|pair| pair.1)) {
        notes.push(format!("ours {ours:.2} s, {} {theirs:.2} s (medians)", vng.version));
    }
    let samples = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
    Ok(Row { samples, notes, ..Row::new(&budget::BOOT_VNG) })
}

/// A kernel that both can boot.
fn kernel(bench: &Bench<'_>) -> Result<PathBuf, Error> {
    let args = ["--runner", "vng", "--side", Side::Baseline.name(), "--cell", "control.*", "--trials", "1"];
    let ran = bench.runner.test(&bench.cache.root, &args, &[])?;
    let side = ran.info.targets.first().and_then(|target| target.sides.first()).context("a run has no kernel")?;
    let kernels = bench.cache.work(&bench.key, bench.progress)?.kernels();
    Ok(kernels.join(&side.kernel_hash).join("bzImage"))
}

/// PID 1 with nothing to measure: it says so, and powers off.
fn ours(bench: &Bench<'_>, kernel: &Path, accel: &Accel, init: &[u8]) -> Result<f64, Error> {
    let dir = bench.scratch.folder()?;
    let started = Instant::now();
    let plan = Plan { trials: 1, hold_ms: 10, patience: accel.patience(), ..Plan::of(Vec::new()) };
    let archive = dir.path().join("initramfs.cpio");
    initramfs::write(&archive, init, &plan)?;
    let order = Order { kernel, initramfs: &archive, accel, memory_mib: 512, plan: &plan, append: &[] };
    let transcript = boot::boot(&order, dir.path(), &Progress::silent())?;
    let seconds = started.elapsed().as_secs_f64();
    if transcript.frames.len() < 2 {
        return Err(anyhow!("our boot ended with {:?}", transcript.ending).into());
    }
    Ok(seconds)
}

fn theirs(vng: &Vng, kernel: &Path, accel: &Accel) -> Result<f64, Error> {
    let path = vng::argv::path(vng)?;
    let cmd = Cmd::new("env").arg(path).arg(&vng.program).arg("-r").arg(kernel);
    let cmd = if accel.kind == Kind::Tcg { cmd.arg("--disable-kvm") } else { cmd };
    let cmd = cmd.args(OPTIONS).dir("/");
    let started = Instant::now();
    cmd.run()?;
    Ok(started.elapsed().as_secs_f64())
}
