// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask debug`: a guest that waits for a debugger.
//!
//! Owns: what is printed, and that a guest that stands still is not taken for hung.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::hand::{self, Hand};
use crate::boot::{self, Deadlines, Machine, Order};
use crate::cli::DebugArgs;
use crate::dress::Dress;
use crate::error::Error;
use crate::measure::{self, Lab, Ready};
use crate::{initramfs, kbuild, qemu};

/// A person thinks.
const DAYS: Duration = Duration::from_secs(7 * 24 * 3600);

/// The guest's own deadlines, which go on while it stands still.
const PATIENCE: f64 = 10_000.0;

/// The kernel's own watchdogs, the same.
const STILL: [&str; 3] = ["hung_task_panic=0", "nowatchdog", "rcupdate.rcu_cpu_stall_suppress=1"];

/// The commands of the kernel's own, which the build leaves out by default.
const SCRIPTS: &str = "scripts_gdb";

/// Builds with debug information, starts the guest paused, and says how to look at it.
///
/// # Errors
/// The kernel does not build; QEMU does not start; [`Error::Interrupted`].
pub fn run(args: &DebugArgs, checkout: &Path) -> Result<u8, Error> {
    let hand = Hand::of(&args.kernel, checkout)?;
    let mut lab = hand::lab(&args.boot, args.cell.clone(), checkout)?;
    lab.dress = Dress::Gdb;
    lab.plan.patience = PATIENCE;
    lab.append.splice(0..0, STILL.map(str::to_owned));
    let result = debug(&lab, &hand);
    lab.run.discard()?;
    result
}

fn debug(lab: &Lab, hand: &Hand) -> Result<u8, Error> {
    let ready = ready(lab, hand)?;
    kbuild::objects(&ready.place, &ready.spec, SCRIPTS, &[SCRIPTS.to_owned()], || Ok(()), &lab.progress)?;
    let dir = tempfile::Builder::new().prefix("kvm-gup-io-").tempdir().context("cannot make a temporary folder")?;
    let archive = dir.path().join("initramfs.cpio");
    initramfs::write(&archive, &lab.init, &lab.plan)?;
    let order = Order {
        kernel: &ready.kernel.image,
        initramfs: &archive,
        accel: &lab.accel,
        memory_mib: lab.variant.memory_mib(),
        plan: &lab.plan,
        append: &lab.append,
    };
    let mut argv = order.with_boot(qemu::argv)?;
    let socket = dir.path().join("gdb");
    argv.extend(["-S".to_owned(), "-gdb".to_owned(), format!("unix:{},server=on,wait=off", socket.display())]);
    let told = told(&ready, &socket, dir.path());
    std::io::stdout().write_all(told.as_bytes()).context("cannot write to standard output")?;
    std::io::stdout().flush().context("cannot write to standard output")?;
    let machine = Machine { argv, dir: dir.path().to_owned(), deadlines: patient() };
    let transcript = boot::supervise(&machine, lab.plan.cells.len(), lab.progress.phase("the guest"))?;
    lab.progress.say(format!("the guest has ended, {} frames", transcript.frames.len()));
    Ok(0)
}

/// The kernel, and in its build folder the `vmlinux` that it was made of.
fn ready(lab: &Lab, hand: &Hand) -> Result<Ready, Error> {
    let ready = measure::ready(lab, hand.target.as_ref(), &hand.request, &hand.side)?;
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let is_its = read(&ready.kernel.system_map)? == read(&ready.place.build.join("System.map")).unwrap_or_default();
    if is_its && ready.place.build.join("vmlinux").is_file() {
        return Ok(ready);
    }
    // Another side was built there since: forget that this one is known.
    let kept = ready.kernel.image.parent().map(PathBuf::from).unwrap_or_default();
    std::fs::remove_dir_all(&kept).with_context(|| format!("cannot remove {}", kept.display()))?;
    drop(ready);
    measure::ready(lab, hand.target.as_ref(), &hand.request, &hand.side)
}

/// A machine that may stand still, but must start.
fn patient() -> Deadlines {
    Deadlines {
        stillborn: Duration::from_millis(300),
        qemu_start: Duration::from_secs(10),
        first_printk: DAYS,
        hello: DAYS,
        frame: DAYS,
        power_off: DAYS,
        total: DAYS,
        drain: Duration::from_secs(3600),
    }
}

fn told(ready: &Ready, socket: &Path, dir: &Path) -> String {
    let area = ready.place.build.parent().unwrap_or(&ready.place.build);
    let quote = |text: String| shell_words::quote(&text).into_owned();
    format!(
        "Linux {} waits; in another terminal:\n\n  gdb -iex {} {} -ex {}\n\n\
         then, for a fault that reads from swap:\n\n  hbreak do_swap_page\n  continue\n  backtrace\n  lx-dmesg\n\n\
         console: {}\nCtrl-C ends the guest\n",
        ready.version,
        quote(format!("add-auto-load-safe-path {}", area.display())),
        quote(ready.place.build.join("vmlinux").display().to_string()),
        quote(format!("target remote {}", socket.display())),
        dir.join(qemu::CONSOLE).display()
    )
}
