// SPDX-License-Identifier: GPL-2.0-only
//! virtme-ng's command lines, as functions of values.
//!
//! Owns: the options. Paths of the record are relative to its folder, in which QEMU
//! runs. Must not: start anything, or look at the host.

use std::path::Path;

use anyhow::Context;
use selftests::protocol::PORT_NAME;

use super::Vng;
use crate::accel::{Accel, Kind};
use crate::qemu::{self, Boot};

/// The guest's own programs are the host's: more than PID 1 and its cells need.
const MORE_MIB: u32 = 512;

/// `PATH=…` for a vng of a virtual environment, which calls its sisters by their names.
///
/// # Errors
/// A path is not UTF-8.
pub fn path(vng: &Vng) -> anyhow::Result<String> {
    let real = std::fs::canonicalize(&vng.program).unwrap_or_else(|_| vng.program.clone());
    let dirs = [vng.program.parent(), real.parent()].into_iter().flatten().map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("PATH={}:{}", dirs.join(":"), std::env::var("PATH").unwrap_or_default()))
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// What is the same for a shell and for a test.
fn common(vng: &Vng, boot: &Boot<'_>) -> anyhow::Result<Vec<String>> {
    let mut argv = vec!["env".to_owned(), path(vng)?, text(&vng.program)?];
    let memory = format!("{}M", boot.memory_mib + MORE_MIB);
    let cpus = if boot.stress { "3" } else { "2" };
    argv.extend(["--run", &text(boot.kernel)?, "--user", "root", "--cwd", "/", "--cpus", cpus].map(str::to_owned));
    argv.extend(["--memory", &memory, "--force-9p", "--disable-microvm"].map(str::to_owned));
    if boot.accel.kind == Kind::Tcg {
        // It takes a /dev/kvm that opens for one that works.
        argv.push("--disable-kvm".to_owned());
    }
    let ours = qemu::parameters(boot).into_iter().map(|parameter| parameter.text);
    let all = ours.chain(boot.extra.iter().cloned()).collect::<Vec<_>>().join(" ");
    let own = ["console=", "earlyprintk="];
    let words = all.split_whitespace().filter(|word| !own.iter().any(|name| word.starts_with(name)));
    argv.extend(words.map(|word| format!("--append={word}")));
    Ok(argv)
}

/// The CPU that our own boots have: vng's `max` lacks what old kernels need.
fn machine(accel: &Accel) -> String {
    qemu::cpu_and_accel(accel.kind).join(" ")
}

/// An interactive shell on the terminal.
///
/// # Errors
/// A path is not UTF-8.
pub fn shell(vng: &Vng, boot: &Boot<'_>) -> anyhow::Result<Vec<String>> {
    let mut argv = common(vng, boot)?;
    argv.push(format!("--qemu-opts={}", machine(boot.accel)));
    Ok(argv)
}

/// A test whose frames and console are written as by our own boots: `command` runs as
/// root in the guest.
///
/// # Errors
/// A path is not UTF-8.
pub fn test(vng: &Vng, boot: &Boot<'_>, command: &str) -> anyhow::Result<Vec<String>> {
    let mut argv = common(vng, boot)?;
    // Beside vng's console, whose level it sets so that a crash would not be seen.
    argv.extend(["--append=console=ttyS1,115200", "--append=ignore_loglevel"].map(str::to_owned));
    let options = [
        machine(boot.accel),
        format!("-chardev file,id=record,path={} -serial chardev:record", qemu::CONSOLE),
        "-device virtio-serial-pci,id=frames-bus".to_owned(),
        format!("-chardev file,id=frames,path={}", qemu::FRAMES),
        format!("-device virtserialport,bus=frames-bus.0,chardev=frames,name={PORT_NAME}"),
        format!("-qmp unix:{},server=on,wait=off", qemu::QMP),
    ];
    argv.push(format!("--qemu-opts={}", options.join(" ")));
    argv.extend(["--exec".to_owned(), command.to_owned()]);
    Ok(argv)
}
