// SPDX-License-Identifier: GPL-2.0-only
//! The guest's only program: `selftests`, linked statically.
//!
//! Owns: how it is compiled. Must not: know what it measures. It is built with
//! the host's own target and a static glibc, so that a machine needs no second
//! Rust target; glibc 2.26 and later run on Linux 3.2 and later, Rust's std too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::error::Error;
use crate::proc::Cmd;
use crate::progress::Progress;

/// The target triple; naming it keeps the static flag away from build scripts
/// and proc macros, which must stay dynamic.
pub(crate) const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Static, and not position-independent: a process of ours starts in 60 ms instead of 100
/// under emulation, without 7,000 relocations in pages that are then copied and locked.
pub(crate) const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// Compiles `selftests` from the workspace at `workspace` and reads the program.
///
/// # Errors
/// cargo fails: the command and its last lines. That is the harness's fault, not
/// the kernel's.
pub fn build(workspace: &Path, progress: &Progress) -> Result<Vec<u8>, Error> {
    let phase = progress.phase("selftests");
    let target_dir = target_dir(workspace);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["build", "--quiet", "--package", "selftests", "--profile", "guest", "--target", TRIPLE])
        .dir(workspace)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &target_dir)
        .deadline(Duration::from_secs(1200))
        .run()?;
    let program = target_dir.join(TRIPLE).join("guest").join("selftests");
    let bytes = std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    phase.done(format!("{} KiB, static", bytes.len() / 1024));
    Ok(bytes)
}

/// A folder of its own: other flags in the workspace's own target folder would
/// rebuild everything at every change of command.
fn target_dir(workspace: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from).join("selftests")
}
