// SPDX-License-Identifier: GPL-2.0-only
//! What is asked of `source` for a target or a tree, now or as it was then.
//!
//! Owns: that. Must not: get anything.

use anyhow::anyhow;

use crate::error::Error;
use crate::source::{DebianSource, LinuxArg, PackageKind, Request};
use crate::store::TargetInfo;
use crate::target::{Source, SourceKind, Target};

/// What to fetch for a target, or the tree that the user names instead.
///
/// # Errors
/// [`Error::Usage`] if there is neither, or if the target's kernel is in no archive.
pub fn request(target: Option<&Target>, linux: Option<&LinuxArg>) -> Result<Request, Error> {
    if let Some(linux) = linux {
        if !linux.path.exists() {
            return Err(Error::Usage(anyhow!("--linux: there is nothing at {}", linux.path.display())));
        }
        return Ok(Request::Linux(linux.clone()));
    }
    let target = target.ok_or_else(|| Error::Usage(anyhow!("neither a target nor --linux is given")))?;
    let kind = match target.source.kind {
        SourceKind::Binary => PackageKind::Binary,
        SourceKind::Source => PackageKind::Source,
        SourceKind::User => {
            return Err(Error::Usage(anyhow!(
                "Linux {} is in no package archive; give a tree with --linux PATH[@REV], e.g. a clone of kernel.org's: \
                 git clone --branch linux-{0}.y --depth 1 https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git",
                target.source.series
            )));
        }
    };
    let Source { package, series, suites, .. } = target.source.clone();
    Ok(Request::Debian(DebianSource { package, series, suites, kind, version: None }))
}

/// The same request for what was taken then, as far as a record says what that was.
#[must_use]
pub fn pinned(request: Request, then: Option<&TargetInfo>) -> Request {
    let origin = then.map(|then| then.origin.as_str()).unwrap_or_default();
    match request {
        Request::Debian(source) => {
            let version = origin.strip_prefix(&source.package).and_then(|rest| rest.split_whitespace().next());
            Request::Debian(DebianSource { version: version.map(str::to_owned), ..source })
        }
        Request::Linux(linux) => {
            let commit = origin.rsplit_once('@').map(|(_, commit)| commit);
            // With uncommitted files there is more to it than the commit.
            let commit = commit.filter(|commit| !commit.is_empty() && commit.chars().all(|c| c.is_ascii_hexdigit()));
            let rev = commit.map(str::to_owned).filter(|_| linux.path.is_dir()).or_else(|| linux.rev.clone());
            Request::Linux(LinuxArg { rev, ..linux })
        }
    }
}
