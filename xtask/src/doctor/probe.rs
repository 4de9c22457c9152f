// SPDX-License-Identifier: GPL-2.0-only
//! Looking at the host: one function a kind of probe.
//!
//! Owns: the looking. `Ok` is what was seen, `Err` what is wrong, both in words.
//! Must not: change the host, or know why something is needed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use super::Host;
use super::table::Probe;
use crate::proc::Cmd;

const GIB: u64 = 1 << 30;

/// A probe that hangs must not hang everything.
const DEADLINE: Duration = Duration::from_secs(30);

/// Looks.
pub(super) fn look(probe: &Probe, host: &Host) -> Result<String, String> {
    match *probe {
        Probe::Program(name) => find(name, &host.path).map(|path| path.display().to_string()),
        Probe::Version(name, args, least) => version(name, args, least, host),
        Probe::Header(name) => header(name, host),
        Probe::Library(name) => library(name, host),
        Probe::StaticRust => static_rust(host),
        Probe::Space(gib) => space(gib, &host.cache),
        Probe::Memory(gib) => memory(gib, &host.meminfo),
        Probe::Kvm => kvm(&host.kvm),
    }
}

fn find(program: &str, path: &OsStr) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(runs)
        .ok_or_else(|| format!("no {program} in PATH"))
}

/// Standard output of a program of the host.
fn ask(program: &str, args: &[&OsStr], host: &Host) -> Result<String, String> {
    let path = find(program, &host.path)?;
    let cmd = Cmd::new(&path).args(args).env("PATH", &host.path).env("LC_ALL", "C").deadline(DEADLINE);
    let finished = cmd.output().map_err(|error| error.to_string())?;
    if finished.status.success() {
        return Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned());
    }
    let words = String::from_utf8_lossy(&finished.stderr).lines().next().unwrap_or_default().to_owned();
    Err(format!("`{cmd}` failed: {words}"))
}

fn version(program: &str, args: &[&str], least: (u32, u32), host: &Host) -> Result<String, String> {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let text = ask(program, &args, host)?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    match numbers(&line) {
        Some(found) if found >= least => Ok(line),
        Some(_) => Err(format!("{line} is older than {}.{}", least.0, least.1)),
        None => Err(format!("{program} says {line:?}, which holds no version")),
    }
}

/// The first `N.N` of a line: `QEMU emulator version 7.2.22 (Debian …)` is (7, 2).
fn numbers(line: &str) -> Option<(u32, u32)> {
    line.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

fn header(name: &str, host: &Host) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let source = folder.path().join("probe.c");
    fs::write(&source, format!("#include <{name}>\n")).map_err(|error| format!("cannot write a probe: {error}"))?;
    ask("gcc", &[OsStr::new("-fsyntax-only"), source.as_os_str()], host)
        .map(|_| format!("<{name}>"))
        .map_err(|error| if error.contains("No such file") { format!("no <{name}>") } else { error })
}

/// gcc prints the bare name if it knows no such file.
fn library(name: &str, host: &Host) -> Result<String, String> {
    let option = format!("-print-file-name={name}");
    let path = ask("gcc", &[OsStr::new(&option)], host)?;
    if path.contains('/') { Ok(path) } else { Err(format!("gcc knows no {name}")) }
}

fn static_rust(host: &Host) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let (source, program) = (folder.path().join("probe.rs"), folder.path().join("probe"));
    fs::write(&source, "fn main() {}\n").map_err(|error| format!("cannot write a probe: {error}"))?;
    let mut args: Vec<&OsStr> = ["--target", "x86_64-unknown-linux-gnu", "-C", "target-feature=+crt-static", "-o"]
        .into_iter()
        .map(OsStr::new)
        .collect();
    args.extend([program.as_os_str(), source.as_os_str()]);
    ask("rustc", &args, host).map(|_| "rustc links them".to_owned())
}

/// Free space where `folder` is or will be.
fn space(gib: u64, folder: &Path) -> Result<String, String> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let stat = statvfs(there).map_err(|error| format!("cannot ask for the space of {}: {error}", there.display()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    enough(free, gib, &format!("free in {}", there.display()))
}

fn memory(gib: u64, meminfo: &Path) -> Result<String, String> {
    let text = fs::read_to_string(meminfo).map_err(|error| format!("cannot read {}: {error}", meminfo.display()))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .ok_or_else(|| format!("{} has no MemTotal", meminfo.display()))?;
    enough(kib * 1024, gib, "in all")
}

fn enough(bytes: u64, gib: u64, what: &str) -> Result<String, String> {
    let tenths = bytes * 10 / GIB;
    let words = format!("{}.{} GiB {what}", tenths / 10, tenths % 10);
    if bytes >= gib * GIB { Ok(words) } else { Err(format!("{words}, {gib} GiB are needed")) }
}

fn kvm(device: &Path) -> Result<String, String> {
    match fs::File::options().read(true).write(true).open(device) {
        Ok(_) => Ok(format!("{} opens, which proves nothing yet", device.display())),
        Err(error) => Err(format!("cannot open {}: {error}", device.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_found_where_programs_put_them() {
        assert_eq!(numbers("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u13)"), Some((7, 2)));
        assert_eq!(numbers("12.2.0"), Some((12, 2)));
        assert_eq!(numbers("GNU Make 4.3"), Some((4, 3)));
        assert_eq!(numbers("no version"), None);
        assert_eq!(numbers("3 . 4"), None);
    }
}
