// SPDX-License-Identifier: GPL-2.0-only
//! The programs that have an opinion on a patch: checkpatch, the compiler, sparse.
//!
//! Owns: running them, each with a deadline. Must not: judge what they say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::error::Error;
use crate::patch::Patch;
use crate::proc::{Cmd, describe, tail};
use crate::series::{checkpatch, warnings};

/// For one file or patch. A patch may be made to take longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the tree's own checkpatch says; the line for whose sake it is not asked.
pub(super) fn complain(src: &Path, patch: &Patch) -> Result<Result<Vec<checkpatch::Complaint>, usize>, Error> {
    let script = src.join("scripts/checkpatch.pl");
    let file = std::path::absolute(&patch.path).context("cannot resolve the patch's path")?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    if let Some(line) = checkpatch::acted_on(&bytes) {
        return Ok(Err(line));
    }
    let cmd = Cmd::new("perl").arg(script).arg(format!("--root={}", src.display())).args(checkpatch::ARGS).arg(file);
    // Within a repository it would ask git about what is there, and give text of the
    // patch to a shell on the way.
    let cmd = cmd.dir("/").env("GIT_DIR", "/nonexistent").env("LC_ALL", "C").deadline(PATIENCE);
    // 1 says that it has something to say; to die of itself perl takes other numbers.
    let finished = cmd.output().map_err(|error| match error {
        Error::Infra(error) => Error::Infra(error.context("checkpatch.pl needs perl: apt-get install perl")),
        error => error,
    })?;
    let complaints = checkpatch::complaints(&String::from_utf8_lossy(&finished.stdout));
    match finished.status.code() {
        Some(0) => Ok(Ok(complaints)),
        Some(1) if !complaints.is_empty() => Ok(Ok(complaints)),
        _ => {
            let (ended, said) = (describe(finished.status), tail(&finished.stderr));
            Err(Error::Infra(anyhow!("`{cmd}` {ended} and says nothing about the patch{said}")))
        }
    }
}

/// What tools say of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// The compiler's warnings.
    pub(super) compiler: Vec<String>,
    /// Those of sparse; none if it is not installed.
    pub(super) sparse: Vec<String>,
}

/// Sparse, if this host has it.
pub(super) fn sparse() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("sparse")).find(|path| path.is_file())
}

/// All that is said about one file; `None` if this configuration does not compile it.
pub(super) fn ask(build: &Path, file: &str, sparse: Option<&Path>) -> Result<Option<Said>, Error> {
    let path: Option<PathBuf> = warnings::command_file(file).map(|name| build.join(name));
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let command = |how: &dyn Fn(&str) -> Option<String>| {
        how(&text).with_context(|| format!("{} does not say how its object was made", path.display()))
    };
    let compiler = run(build, &command(&warnings::command)?)?;
    let sparse = match sparse {
        Some(sparse) => run(build, &command(&|text| warnings::sparse(text, sparse))?)?,
        None => Vec::new(),
    };
    Ok(Some(Said { compiler, sparse }))
}

fn run(build: &Path, command: &str) -> Result<Vec<String>, Error> {
    let finished = Cmd::new("sh").arg("-c").arg(command).dir(build).env("LC_ALL", "C").deadline(PATIENCE).output()?;
    let output = String::from_utf8_lossy(&finished.stderr).into_owned();
    if !finished.status.success() {
        return Err(Error::Build(anyhow!("`{command}` {}\n{output}", describe(finished.status))));
    }
    Ok(warnings::warnings(&output))
}
