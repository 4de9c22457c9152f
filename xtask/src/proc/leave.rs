// SPDX-License-Identifier: GPL-2.0-only
//! A program that goes on without us: the user's browser.
//!
//! Owns: the one child that may outlive this process. Must not: be used for anything
//! that works for us.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use super::describe;

/// A program that cannot do what it is asked says so within this time.
const MOMENT: Duration = Duration::from_secs(1);

/// Starts `program FILE` and leaves it alone, unless it fails at once.
///
/// # Errors
/// It cannot be started, or ends with a failure within a second.
pub fn leave(program: &OsStr, file: &Path) -> anyhow::Result<()> {
    let show = format!("{} {}", program.to_string_lossy(), file.display());
    let mut command = Command::new(program);
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot run `{show}`"))?;
    let started = Instant::now();
    while started.elapsed() < MOMENT {
        match child.try_wait().context("waitpid failed")? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(anyhow!("`{show}` {}", describe(status))),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(())
}

/// The file that a program's name stands for.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    in_this_path(program, &std::env::var_os("PATH").unwrap_or_default())
}

/// The same in a `PATH` of the caller's.
pub(crate) fn in_this_path(program: &str, path: &OsString) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path).map(|dir| dir.join(program)).find(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_at_once_is_told_and_one_that_stays_is_left() {
        let error = leave(OsStr::new("false"), Path::new("page.html")).unwrap_err().to_string();
        assert_eq!(error, "`false page.html` exited with status 1");
        leave(OsStr::new("sleep"), Path::new("3")).unwrap();
        leave(OsStr::new("true"), Path::new("x")).unwrap();
    }

    #[test]
    fn only_what_can_be_run_is_a_program() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let path = OsString::from(format!("{}:/usr/bin:/bin", dir.path().display()));
        assert_eq!(in_this_path("plain", &path), None);
        assert!(in_this_path("sh", &path).is_some());
    }
}
