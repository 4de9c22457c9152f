// SPDX-License-Identifier: GPL-2.0-only
//! From a commit to a kernel, and what its build tells about it.
//!
//! Owns: the work area while one item is built: source put into place, make, the
//! digest of what is loaded at boot, the list of what was read. Must not: boot.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use git2::Repository;

use super::source::Source;
use super::{Bench, SIDE};
use crate::bisect::inherit;
use crate::cache::Work;
use crate::error::Error;
use crate::file;
use crate::kbuild::{self, BuildSpec, Kernel, Place, Tree};
use crate::measure;
use crate::variant::Variant;
use crate::worktree;

/// Beside a kept image: the digest of what is loaded from it.
const SECTIONS: &str = "sections";

/// A kernel and what is known about it.
pub(super) struct Built {
    pub(super) kernel: Kernel,
    /// Digest of what is loaded at boot.
    pub(super) sections: Option<String>,
    /// What the build has read; `None` if it was built before.
    pub(super) files: Option<Reading>,
    /// What it took, without waiting for others in the work area.
    pub(super) seconds: f64,
}

/// The list of what a build has read, under way: to make it takes as long as a boot's
/// decompression, and nothing before the next build waits for it.
pub(super) struct Reading(JoinHandle<anyhow::Result<BTreeSet<String>>>);

impl Reading {
    /// Nobody else gets the work area before it is done.
    fn start(work: Work, place: Place) -> Self {
        Self(std::thread::spawn(move || {
            let files = inherit::read_by(&place.build, &place.src);
            drop(work);
            files
        }))
    }

    /// Waits for it.
    pub(super) fn end(self) -> anyhow::Result<BTreeSet<String>> {
        self.0.join().map_err(|_| anyhow!("the thread that lists the files of a build has panicked"))?
    }
}

/// Builds, or finds the kernel that was built before. `clean` compiles all of it anew.
pub(super) fn build(bench: &Bench, source: &Source, clean: bool) -> Result<Built, Error> {
    let work = bench.cache.work(&source.key, &bench.progress)?;
    let started = std::time::Instant::now();
    let repo = Repository::open_bare(work.git()).context("cannot open the repository of ours")?;
    let tree = repo.find_commit(source.commit).and_then(|commit| commit.tree()).context("a commit has no tree")?.id();
    let variant = Variant::Measure;
    let mut place = Place { src: work.src(), build: work.build(variant), kernels: work.kernels(), logs: work.logs() };
    // Kernels of a clean build are looked for among themselves: none of them is there.
    let fresh = tempfile::Builder::new().prefix("clean-").tempdir_in(&work.dir);
    let fresh = fresh.context("cannot make a folder for a clean build")?;
    if clean {
        place.kernels = fresh.path().to_owned();
        empty(&place.build)?;
    }
    let put = || {
        let phase = bench.progress.phase(format!("{}: source", source.name));
        let switched = worktree::switch(&repo, &work.src(), source.commit)?;
        phase.done(format!("{} files written, {} removed", switched.written, switched.removed));
        Ok(())
    };
    let spec = spec(bench, source);
    let mut kernel = kbuild::build(&place, &spec, SIDE, &Tree::alone(&tree.to_string()), put, &bench.progress)?;
    let mut sections = match kernel.rebuilt {
        true => Some(inherit::sections(&place.build.join("vmlinux"))?),
        false => None,
    };
    if clean {
        // Out of the folder that goes away now.
        let kept = work.dir.join("clean-kernel");
        for from in [&mut kernel.image, &mut kernel.config] {
            file::make_dir(&kept)?;
            let to = kept.join(from.file_name().unwrap_or_default());
            std::fs::copy(&*from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
            *from = to;
        }
    } else {
        let note = kernel.image.with_file_name(SECTIONS);
        match &sections {
            Some(digest) => file::write(&note, digest.as_bytes())?,
            None => sections = std::fs::read_to_string(&note).ok(),
        }
    }
    let files = kernel.rebuilt.then(|| Reading::start(work, place));
    Ok(Built { kernel, sections, files, seconds: started.elapsed().as_secs_f64() })
}

fn spec(bench: &Bench, source: &Source) -> BuildSpec {
    let spec = measure::spec(&bench.checkout, &source.target, Variant::Measure);
    if source.fragments.is_empty() {
        return spec;
    }
    BuildSpec { fragments: source.fragments.clone(), ..spec }
}

/// A kernel's kept folder is not below this one.
fn empty(build: &Path) -> anyhow::Result<()> {
    if build.exists() {
        std::fs::remove_dir_all(build).with_context(|| format!("cannot empty {}", build.display()))?;
    }
    Ok(())
}
