// SPDX-License-Identifier: GPL-2.0-only
//! virtme-ng, for those who have it: kernels on a copy-on-write view of the host.
//!
//! Owns: finding `vng`, and what its failures are called. Nothing needs it: without it
//! all else works. Must not: believe it; it gets our accelerator, our deadlines, and
//! its guests send the same frames.

pub mod argv;
mod run;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::error::Error;
use crate::proc::{self, Cmd};

pub use run::boot;

/// The oldest that has been proved.
pub const OLDEST: (u32, u32) = (1, 42);

/// How it is got.
pub const MEND: &str = "pipx install virtme-ng";

/// `vng --version` is a Python program's start.
const DEADLINE: Duration = Duration::from_secs(30);

/// A vng that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vng {
    /// The program.
    pub program: PathBuf,
    /// As it says itself, e.g. `virtme-ng 1.42`.
    pub version: String,
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The user's word; nothing else counts then.
    pub named: Option<PathBuf>,
    /// `PATH`.
    pub path: OsString,
    /// Where pipx puts programs.
    pub pipx: Vec<PathBuf>,
}

impl Places {
    /// On this host.
    #[must_use]
    pub fn here(named: Option<&Path>) -> Self {
        let set = std::env::var_os("PIPX_BIN_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let home = std::env::home_dir().map(|home| home.join(".local/bin"));
        Self {
            named: named.map(Path::to_owned),
            path: std::env::var_os("PATH").unwrap_or_default(),
            pipx: set.into_iter().chain(home).collect(),
        }
    }

    fn program(&self) -> Option<PathBuf> {
        if let Some(named) = &self.named {
            return named.is_file().then(|| named.clone());
        }
        let more = std::env::join_paths(&self.pipx).unwrap_or_default();
        [&self.path, &more].into_iter().find_map(|path| proc::in_this_path("vng", path))
    }
}

/// Finds it, and asks for its version.
///
/// # Errors
/// [`Error::Infra`] with what to do: it is not here, too old, or does not work.
pub fn find(places: &Places) -> Result<Vng, Error> {
    let Some(program) = places.program() else {
        let looked = match &places.named {
            Some(named) => format!("--vng: there is no program {}", named.display()),
            None => "virtme-ng is not installed: neither PATH nor pipx's folder has vng".to_owned(),
        };
        return Err(Error::Infra(anyhow!("{looked}; `{MEND}` brings it; only `shell` and `--runner vng` need it")));
    };
    let program = std::path::absolute(&program).with_context(|| format!("cannot resolve {}", program.display()))?;
    let cmd = Cmd::new(&program).arg("--version").env("LC_ALL", "C").deadline(DEADLINE);
    let said = cmd.run().map_err(|error| match error {
        Error::Interrupted => Error::Interrupted,
        error => Error::Infra(anyhow!("vng does not work: {error}\n`{MEND}` installs it anew")),
    })?;
    let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    match numbers(&version) {
        Some(found) if found >= OLDEST => Ok(Vng { program, version }),
        Some(_) => Err(Error::Infra(anyhow!(
            "{} is {version}, and the oldest that has been proved is {}.{}: `pipx upgrade virtme-ng`",
            program.display(),
            OLDEST.0,
            OLDEST.1
        ))),
        None => Err(Error::Infra(anyhow!("`{cmd}` says {version:?}, which holds no version: `{MEND}`"))),
    }
}

/// The first `N.N`.
fn numbers(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests;
