// SPDX-License-Identifier: GPL-2.0-only
//! PID 1 of a test guest.
//!
//! Owns: the boot order, the port that carries the frames, their numbers, and
//! the power-off. Must not: panic or return, since either is a kernel panic;
//! what goes wrong is a note, and if the port itself is missing, a line on the
//! console.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::sys::reboot::{RebootMode, reboot};
use selftests::plan::{PLAN_PATH, Plan};
use selftests::protocol::{Envelope, Frame, PORT_NAME, PROTOCOL, encode};

use crate::clock::{Deadline, nap};
use crate::mounts;
use crate::supervise::{Sink, supervise};

/// Runs the boot and powers off.
pub(crate) fn main() -> ! {
    // The end of PID 1 is a kernel panic, which would be taken for the kernel's own.
    match std::panic::catch_unwind(|| report(Path::new(PLAN_PATH), mounts::mount_all())) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("selftests: {error:#}"),
        Err(_) => eprintln!("selftests: PID 1 panicked, which is a defect of the test"),
    }
    nix::unistd::sync();
    for mode in [RebootMode::RB_POWER_OFF, RebootMode::RB_AUTOBOOT] {
        // It only returns if it failed.
        let Err(error) = reboot(mode);
        eprintln!("selftests: reboot({mode:?}): {error}");
    }
    loop {
        nap(1_000_000);
    }
}

/// Measures the plan in this file, and tells it through the port.
///
/// # Errors
/// There is no port, or it takes no more.
pub(crate) fn report(plan: &Path, complaints: Vec<String>) -> anyhow::Result<()> {
    let mut port = Port::open(Path::new("/sys/class/virtio-ports"))?;
    port.frame(hello())?;
    for text in complaints {
        port.frame(Frame::Note { text })?;
    }
    // A run that fails is told before the end, and the end is told in any case.
    if let Err(error) = measure(plan, &mut port) {
        port.frame(Frame::Note { text: format!("{error:#}") })?;
    }
    let frames = port.sent;
    port.frame(Frame::Bye { frames })
}

fn measure(file: &Path, port: &mut Port) -> anyhow::Result<()> {
    let json = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let plan: Plan = serde_json::from_slice(&json).with_context(|| format!("{} is no plan", file.display()))?;
    port.frame(Frame::Plan { cells: plan.cells.clone() })?;
    supervise(&plan, port)
}

fn hello() -> Frame {
    let kernel = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the duration of the call.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Frame::Hello {
        protocol: PROTOCOL,
        kernel: kernel.unwrap_or_else(|error| format!("uname: {error}")),
        nested: nested(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()).to_owned(),
        uptime_ms: time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000,
    }
}

/// The virtual machine extension among the flags of `cpuinfo`.
fn nested(cpuinfo: &str) -> &'static str {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |name: &str| flags.split_whitespace().any(|flag| flag == name);
    if has("svm") {
        "svm"
    } else if has("vmx") {
        "vmx"
    } else {
        "none"
    }
}

/// The virtio-serial port, and how many frames it has carried.
struct Port {
    file: File,
    sent: u32,
}

impl Port {
    fn open(class: &Path) -> anyhow::Result<Self> {
        // The port appears when the host has answered the driver, a moment after boot.
        let deadline = Deadline::after(10_000, 1.0);
        loop {
            if let Some(device) = port_device(class)
                && let Ok(file) = OpenOptions::new().write(true).open(&device)
            {
                return Ok(Self { file, sent: 0 });
            }
            if deadline.passed() {
                bail!("no virtio-serial port is named {PORT_NAME} in {}", class.display());
            }
            nap(2000);
        }
    }
}

fn port_device(class: &Path) -> Option<PathBuf> {
    let ports = fs::read_dir(class).ok()?;
    let named = |dir: &PathBuf| fs::read_to_string(dir.join("name")).is_ok_and(|name| name.trim() == PORT_NAME);
    let dir = ports.filter_map(|entry| Some(entry.ok()?.path())).find(named)?;
    Some(Path::new("/dev").join(dir.file_name()?))
}

impl Sink for Port {
    fn frame(&mut self, frame: Frame) -> anyhow::Result<()> {
        let bytes = encode(&Envelope { seq: self.sent, frame }).context("encoding a frame")?;
        self.file.write_all(&bytes).context("writing to the port")?;
        self.sent += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_a_whole_flag() {
        assert_eq!(nested("processor : 0\nflags : fpu svm npt\n"), "svm");
        assert_eq!(nested("flags\t\t: fpu vmx\n"), "vmx");
        assert_eq!(nested("flags : fpu svm_lock\n"), "none");
    }

    #[test]
    fn the_port_is_found_by_its_name() {
        let class = std::env::temp_dir().join(format!("kvm-gup-io-ports-{}", std::process::id()));
        for (port, name) in [("vport1p1", "other\n"), ("vport1p2", "kvm-gup-io.frames\n")] {
            fs::create_dir_all(class.join(port)).unwrap();
            fs::write(class.join(port).join("name"), name).unwrap();
        }
        assert_eq!(port_device(&class), Some("/dev/vport1p2".into()));
        fs::remove_dir_all(&class).unwrap();
        assert_eq!(port_device(&class), None);
    }
}
