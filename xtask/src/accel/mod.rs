// SPDX-License-Identifier: GPL-2.0-only
//! Which accelerator runs the machines, and how slow it is.
//!
//! Owns: the choice between KVM and TCG, by probing. A `/dev/kvm` that opens
//! proves nothing: it may be unable to boot a kernel, and it may offer no nested
//! virtualisation, without which the guest has no KVM to test. So KVM is taken
//! only if the host's KVM offers nesting *and* [`canary`] runs on it at the speed
//! of hardware. Must not: boot a kernel.

pub mod canary;
mod memory;

use std::path::Path;

use anyhow::{Context, anyhow};
use kvm_ioctls::Kvm;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::proc::Cmd;
use crate::qemu::QEMU;
use canary::Canary;

/// A canary that is slower than this is no hardware virtualisation, whatever
/// `/dev/kvm` says: hardware shows 1.0 to 1.3, a software KVM 20 and more.
const KVM_SLOWDOWN: f64 = 3.0;

/// Deadlines grow with the slowdown up to this factor. Beyond it a slow machine
/// and a hung kernel cannot be told apart in a time that anyone would wait.
const PATIENCE: f64 = 4.0;

/// `KVM_CAP_NESTED_STATE` of linux/kvm.h.
const KVM_CAP_NESTED_STATE: u64 = 157;

/// What the user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AccelChoice {
    /// KVM if it is fast and offers nesting, else TCG.
    #[default]
    Auto,
    /// QEMU's emulation; works everywhere.
    Tcg,
    /// The host's KVM, or an error.
    Kvm,
}

/// What runs a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// QEMU's emulation.
    Tcg,
    /// The host's KVM.
    Kvm,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        })
    }
}

/// The choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accel {
    /// What it is.
    pub kind: Kind,
    /// Time of the canary's loop over the same loop on the host, at least 1.0.
    pub slowdown: f64,
    /// The choice and its reason in one line, for the first line of output.
    pub why: String,
}

impl Accel {
    /// Factor on every deadline, 1.0 to 4.0: the slowdown, capped.
    #[must_use]
    pub fn patience(&self) -> f64 {
        if self.slowdown.is_finite() { self.slowdown.clamp(1.0, PATIENCE) } else { PATIENCE }
    }
}

/// Chooses, from measurements that `cache` (a folder) remembers for a while.
///
/// # Errors
/// QEMU is missing or does not even run the canary under TCG; KVM was demanded and
/// fails its canary or offers no nesting; we are interrupted.
pub fn choose(cache: &Path, want: AccelChoice) -> Result<Accel, Error> {
    let key = memory::Key::of_this_host(&qemu_version()?);
    let mut memory = memory::Memory::load(cache, key);
    let nesting = if want == AccelChoice::Tcg { Ok(()) } else { nesting() };
    decide(want, nesting, |kind| {
        // A demand is worth a second look at what failed before; and so is TCG, which
        // everywhere works: a failure was that moment's.
        let look_again = want != AccelChoice::Auto || kind == Kind::Tcg;
        let known = memory.recall(kind).filter(|known| !look_again || known.slowdown().is_ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let canary = canary::run(kind)?;
        memory.store(kind, canary.clone());
        Ok(canary)
    })
}

/// The choice as a function of what was found; `measure` is asked only for what
/// the choice depends on.
///
/// # Errors
/// As [`choose`].
pub fn decide(
    want: AccelChoice,
    nesting: Result<(), String>,
    mut measure: impl FnMut(Kind) -> Result<Canary, Error>,
) -> Result<Accel, Error> {
    let kvm = match (want, nesting) {
        (AccelChoice::Tcg, _) => Err("asked for".to_owned()),
        (AccelChoice::Auto, Err(reason)) => Err(format!("kvm: {reason}")),
        (AccelChoice::Kvm, Err(reason)) => return Err(no_kvm(&reason)),
        (AccelChoice::Auto, Ok(())) => hardware_speed(&measure(Kind::Kvm)?).map_err(|reason| format!("kvm: {reason}")),
        (AccelChoice::Kvm, Ok(())) => measure(Kind::Kvm)?.slowdown().map_err(|reason| no_kvm(&reason)).map(Ok)?,
    };
    match kvm {
        Ok(slowdown) => {
            let why = format!("kvm, {slowdown:.1}x slower than the host, with nesting");
            Ok(Accel { kind: Kind::Kvm, slowdown, why })
        }
        Err(reason) => {
            let slowdown = measure(Kind::Tcg)?.slowdown().map_err(|failure| no_tcg(&failure))?;
            let why = format!("tcg, {slowdown:.1}x slower than the host ({reason})");
            Ok(Accel { kind: Kind::Tcg, slowdown, why })
        }
    }
}

fn hardware_speed(canary: &Canary) -> Result<f64, String> {
    let slowdown = canary.slowdown()?;
    if slowdown > KVM_SLOWDOWN {
        return Err(format!("{slowdown:.1}x slower than the host, which is no hardware virtualisation"));
    }
    Ok(slowdown)
}

fn no_kvm(reason: &str) -> Error {
    Error::Infra(anyhow!("kvm was demanded and cannot be used: {reason}; leave out `--accel kvm` to run under tcg"))
}

fn no_tcg(reason: &str) -> Error {
    Error::Infra(anyhow!("not even tcg runs a machine here: {reason}; try `{QEMU} -M q35 -accel tcg -display none`"))
}

/// The first line of `qemu-system-x86_64 --version`.
fn qemu_version() -> Result<String, Error> {
    let finished = Cmd::new(QEMU).arg("--version").run().map_err(|error| match error {
        Error::Infra(error) => Error::Infra(error.context("QEMU is needed; `cargo xtask doctor` says how to get it")),
        other => other,
    })?;
    Ok(String::from_utf8_lossy(&finished.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Does the host's KVM offer nested virtualisation? If not, why.
///
/// Both have to be there: the capability says that the kernel can, the parameter
/// that it is allowed to.
fn nesting() -> Result<(), String> {
    let open = || -> anyhow::Result<Kvm> { Kvm::new().context("/dev/kvm does not open") };
    let kvm = open().map_err(|error| format!("{error:#}"))?;
    if kvm.check_extension_raw(KVM_CAP_NESTED_STATE) <= 0 {
        return Err("no nesting (KVM_CAP_NESTED_STATE is 0)".to_owned());
    }
    for module in ["kvm_intel", "kvm_amd"] {
        let path = format!("/sys/module/{module}/parameters/nested");
        match std::fs::read_to_string(&path) {
            Ok(value) if matches!(value.trim(), "Y" | "1") => return Ok(()),
            Ok(value) => return Err(format!("no nesting ({path} is {})", value.trim())),
            Err(_) => {}
        }
    }
    Err("no nesting (neither kvm_intel nor kvm_amd is loaded)".to_owned())
}
