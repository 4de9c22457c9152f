// SPDX-License-Identifier: GPL-2.0-only
//! Installing what is missing, with the user's consent and the host's own apt.
//!
//! Owns: the one command that changes a host. Must not: run without `--yes` or a
//! yes on the terminal, or name an archive: apt knows where its packages are.

use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Finding;
use crate::error::Error;
use crate::interrupt;
use crate::proc::Cmd;
use crate::progress::Progress;

/// A slow mirror and 300 MB of QEMU.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Whoever does not answer has gone.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// With what we may install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// We are root.
    Root,
    /// sudo asks no password.
    Sudo,
    /// Neither.
    None,
}

impl Rights {
    fn find() -> Self {
        if nix::unistd::geteuid().is_root() {
            return Self::Root;
        }
        let sudo = Cmd::new("sudo").args(["-n", "true"]).deadline(Duration::from_secs(10)).run();
        if sudo.is_ok() { Self::Sudo } else { Self::None }
    }
}

/// Installs the packages of `missing`.
///
/// # Errors
/// [`Error::Infra`] with the exact command for a user who must run it himself, with
/// the mend of what no package brings, or with apt's last words.
pub fn install(missing: &[&Finding], yes: bool, progress: &Progress) -> Result<(), Error> {
    let packages = packages(missing)?;
    if Cmd::new("apt-get").arg("--version").run().is_err() {
        return Err(refusal(
            missing,
            &format!("this host has no apt-get; install what Debian calls {}", packages.join(" ")),
        ));
    }
    let rights = Rights::find();
    let typed = command(&packages, rights);
    if rights == Rights::None {
        return Err(refusal(missing, &format!("without root's rights we cannot install it; run\n    {typed}")));
    }
    if !yes && !agreed(&packages)? {
        return Err(refusal(missing, &format!("install it with\n    {typed}\nor let --yes do so")));
    }
    let phase = progress.phase(format!("installing {}", packages.join(" ")));
    for cmd in commands(&packages, rights) {
        cmd.run()?;
        interrupt::check()?;
    }
    phase.done("installed");
    Ok(())
}

/// Each package once; an error if something is missing that no package brings.
fn packages(missing: &[&Finding]) -> Result<Vec<&'static str>, Error> {
    let homeless: Vec<&Finding> = missing.iter().copied().filter(|finding| finding.package.is_none()).collect();
    if !homeless.is_empty() {
        let mends: Vec<String> = homeless.iter().map(|finding| finding.mend.clone()).collect();
        return Err(refusal(missing, &format!("no package brings all of it: {}", mends.join("; "))));
    }
    let mut packages: Vec<&'static str> = missing.iter().filter_map(|finding| finding.package).collect();
    packages.sort_unstable();
    packages.dedup();
    Ok(packages)
}

fn refusal(missing: &[&Finding], words: &str) -> Error {
    let names: Vec<String> = missing.iter().map(|finding| format!("{} ({})", finding.name, finding.found)).collect();
    Error::Infra(anyhow!("missing: {}\n{words}", names.join(", ")))
}

/// The commands, one after the other.
fn commands(packages: &[&str], rights: Rights) -> [Cmd; 2] {
    let apt = || {
        let cmd = match rights {
            Rights::Root => Cmd::new("env"),
            Rights::Sudo | Rights::None => Cmd::new("sudo").args(["-n", "env"]),
        };
        // An unattended upgrade may hold the lock for a while.
        cmd.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"])
            .deadline(DEADLINE)
            .unbroken()
    };
    [apt().arg("update"), apt().args(["install", "-y", "--no-install-recommends"]).args(packages)]
}

/// The whole thing as a user would type it.
#[must_use]
pub fn command(packages: &[&str], rights: Rights) -> String {
    let sudo = if rights == Rights::Root { "" } else { "sudo " };
    let packages = packages.join(" ");
    format!("{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {packages}")
}

/// Asks on the terminal; without one, or without an answer, the answer is no.
fn agreed(packages: &[&str]) -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("install {}? [y/N] ", packages.join(" "));
    std::io::stderr().flush().context("cannot write to the terminal")?;
    if !answered(Instant::now() + PATIENCE)? {
        return Ok(false);
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read from the terminal")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Waits for a line; the terminal hands it over whole.
fn answered(until: Instant) -> Result<bool, Error> {
    let stdin = std::io::stdin();
    while Instant::now() < until {
        interrupt::check()?;
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(100_u8)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(anyhow!(error).context("cannot wait for the terminal").into()),
        }
    }
    Ok(false)
}
