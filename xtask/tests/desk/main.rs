// SPDX-License-Identifier: GPL-2.0-only
//! The commands of a desk, as a user meets them; without a kernel.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod house;
mod manners;
mod record;
mod shell;
mod vng;

use std::path::Path;

use assert_cmd::Command;

/// The program, in a checkout and with a cache of the test's own.
fn xtask(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env("CARGO_MANIFEST_DIR", home.join("checkout/xtask")).env("KVM_GUP_IO_CACHE", home.join("cache"));
    command.env_remove("NO_COLOR").env_remove("BROWSER").args(args);
    command
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
