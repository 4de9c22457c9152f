// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask shell`: a kernel of ours under the host's own files.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::hand::{self, Hand};
use crate::boot::Order;
use crate::cli::ShellArgs;
use crate::dress::Dress;
use crate::error::Error;
use crate::file;
use crate::measure::{self, Lab};
use crate::proc::{Cmd, describe};
use crate::vng::{self, Places, Vng};

/// In the cache folder, which the guest sees, too.
const PROGRAM: &str = "selftests";

/// Builds, boots, and gives the terminal to the guest until its shell ends.
///
/// # Errors
/// [`Error::Usage`] without a terminal; [`Error::Infra`] without a vng that works; the
/// kernel does not build.
pub fn run(args: &ShellArgs, checkout: &Path) -> Result<u8, Error> {
    // Before anything is built.
    let vng = vng::find(&Places::here(args.vng.as_deref()))?;
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage(anyhow!("a shell wants a terminal, and standard input is none")));
    }
    let hand = Hand::of(&args.kernel, checkout)?;
    let mut lab = hand::lab(&args.boot, Vec::new(), checkout)?;
    lab.dress = Dress::Vng;
    let result = shell(&lab, &hand, &vng);
    lab.run.discard()?;
    result
}

fn shell(lab: &Lab, hand: &Hand, vng: &Vng) -> Result<u8, Error> {
    let ready = measure::ready(lab, hand.target.as_ref(), &hand.request, &hand.side)?;
    // A copy, so that others can build while the shell is open.
    let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
    let kernel = dir.path().join("bzImage");
    std::fs::copy(&ready.kernel.image, &kernel).context("cannot copy the kernel")?;
    let release = ready.kernel.release.clone();
    drop(ready);
    let program = lab.cache.root.join(PROGRAM);
    file::write_mode(&program, 0o755, &lab.init)?;
    let order = Order {
        kernel: &kernel,
        initramfs: Path::new(""),
        accel: &lab.accel,
        memory_mib: lab.variant.memory_mib(),
        plan: &lab.plan,
        append: &lab.append,
    };
    let argv = order.with_boot(|boot| vng::argv::shell(vng, boot))?;
    lab.progress.say(format!(
        "Linux {release} on a copy-on-write view of this host, by {}; `exit` ends it\nselftests: {} --filter 'anon.*'",
        vng.version,
        shell_words::quote(&program.to_string_lossy())
    ));
    let (first, rest) = argv.split_first().context("an empty command")?;
    let status = Cmd::new(first).args(rest).foreground()?;
    if status.success() { Ok(0) } else { Err(Error::Infra(anyhow!("virtme-ng {}", describe(status)))) }
}
