// SPDX-License-Identifier: GPL-2.0-only
//! A kernel from a source tree: configure, make, keep the image.
//!
//! ```text
//! BuildSpec ─Inputs::read→ Inputs ─Inputs::key→ kept already? ── yes ─→ Kernel
//!                                                   └─ no → configure → make → keep → Kernel
//! ```
//!
//! Owns: the `O=` folder and the folder of kept kernels. Both sides are built in
//! the same `O=` folder, one after the other, so that the second is incremental;
//! a kept kernel is found again by all that went into it, whatever side it was.
//! Must not: change the source tree (`worktree` does, before), or know a target.

mod configure;
mod diagnose;
mod image;
mod keep;
mod make;
mod meter;
mod narrow;
mod recover;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

pub use diagnose::{Cause, diagnose};
pub use keep::{Keeper, Made};
pub use make::compiler_cache;
pub use meter::Meter;

use crate::error::Error;
use crate::kconfig::{self, Merged};
use crate::progress::Progress;
use image::Image;
use make::Make;
use narrow::Narrow;

/// Where one work area has its things; every path absolute.
#[derive(Debug, Clone)]
pub struct Place {
    /// The source tree that make sees. Its path never changes: command lines hold
    /// it, and a changed command line rebuilds everything.
    pub src: PathBuf,
    /// The `O=` folder.
    pub build: PathBuf,
    /// Finished kernels, one folder each.
    pub kernels: PathBuf,
    /// `build-<side>.log`, anew at each build.
    pub logs: PathBuf,
}

/// What a target says about its builds.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// Make target of the base configuration: `tinyconfig`, or `allnoconfig` before 3.18.
    pub base: String,
    /// Kconfig fragments.
    pub fragments: Vec<PathBuf>,
    /// Fragments whose demands replace those.
    pub over: Vec<PathBuf>,
    /// Symbols of the fragments that this kernel does not have, each with the reason.
    pub absent: BTreeMap<String, String>,
    /// Further arguments of every make, e.g. `KCFLAGS=-std=gnu89`, `CC=gcc-11`.
    pub make_args: Vec<String>,
}

/// What is in the source folder.
pub struct Tree<'a> {
    /// Names its content, e.g. the id of its git tree (a commit's id works too, but
    /// finds less again).
    pub id: &'a str,
    /// Paths of the files in which it differs from the tree of that id; `None` if that
    /// cannot be said. Only what changed is looked at then, where that is enough.
    pub since: &'a dyn Fn(&str) -> Option<Vec<PathBuf>>,
}

impl<'a> Tree<'a> {
    /// A tree of which nobody knows what changed.
    #[must_use]
    pub fn alone(id: &'a str) -> Self {
        Self { id, since: &|_| None }
    }
}

/// A kernel that can be booted.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// `vmlinux` or `bzImage`, in a folder named by its hash.
    pub image: PathBuf,
    /// The `.config` that it was built with.
    pub config: PathBuf,
    /// Its symbols and their addresses.
    pub system_map: PathBuf,
    /// E.g. `6.1.192`.
    pub release: String,
    /// First lines of the `--version` of compiler and linker.
    pub compiler: String,
    /// What it took this time, in seconds.
    pub seconds: f64,
    /// Was make run? `false` if a kept kernel was found.
    pub rebuilt: bool,
    /// And was all of it compiled, in an empty folder?
    pub whole: bool,
    /// SHA-256 of the image, hexadecimal.
    pub hash: String,
}

/// Everything but the source that decides what a kernel becomes.
#[derive(Debug)]
struct Inputs<'a> {
    spec: &'a BuildSpec,
    wanted: Merged,
    compiler: String,
}

impl<'a> Inputs<'a> {
    fn read(spec: &'a BuildSpec) -> Result<Self, Error> {
        let read = |file: &PathBuf| -> Result<Vec<kconfig::Wanted>, Error> {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read the Kconfig fragment {}", file.display()))?;
            kconfig::parse(file, &text).map_err(|error| Error::Usage(error.into()))
        };
        let fragments = spec.fragments.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut wanted =
            Merged::new(fragments.iter().map(Vec::as_slice)).map_err(|error| Error::Usage(error.into()))?;
        for file in &spec.over {
            wanted.replace(read(file)?);
        }
        let compiler = make::compiler_version(&spec.make_args)?;
        Ok(Self { spec, wanted, compiler })
    }

    /// A digest of the inputs and `more`. Absent symbols are not in it: they decide
    /// whether a configuration is accepted, not what is built.
    fn key<'b>(&self, more: impl IntoIterator<Item = &'b [u8]>) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(make::FIXED.join("\n").as_bytes());
        part(self.spec.base.as_bytes());
        part(self.spec.make_args.join("\n").as_bytes());
        part(self.wanted.render().as_bytes());
        part(self.compiler.as_bytes());
        more.into_iter().for_each(part);
        hex::encode(hash.finalize())
    }
}

/// Builds the tree that `put` puts into `place.src`, or finds the kernel that it
/// became before; then `put` is not called. Before it is, whatever survived a
/// killed build has been ended: an old compiler must not read the old source and
/// leave an object that is newer than the new one.
///
/// `side` names the log and the progress. The caller holds the work area's lock.
///
/// # Errors
/// [`Error::Build`] for a symbol that did not survive, or with the first compiler
/// error, the failing target and the last 40 lines; [`Error::Usage`] for a fragment
/// that makes no sense; [`Error::Infra`] for a host without space, memory or tools.
pub fn build(
    place: &Place,
    spec: &BuildSpec,
    side: &str,
    tree: &Tree<'_>,
    put: impl FnOnce() -> Result<(), Error>,
    progress: &Progress,
) -> Result<Kernel, Error> {
    let started = std::time::Instant::now();
    for folder in [&place.build, &place.kernels, &place.logs] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let inputs = Inputs::read(spec)?;
    let keeper = Keeper::new(&place.kernels);
    let key = inputs.key([tree.id.as_bytes()]);
    if let Some(kernel) = find(&keeper, &key, &inputs)? {
        return Ok(Kernel { seconds: started.elapsed().as_secs_f64(), ..kernel });
    }
    recover::recover(&place.build)?;
    put()?;
    let make = Make::new(place, spec, side)?;
    let folder_key = inputs.key([]);
    let changed = narrow::changed(&place.build, &folder_key, tree);
    narrow::forget(&place.build)?;
    recover::begin(&place.build)?;
    configure::configure(&make, &inputs, changed.as_deref())?;
    let image = Image::of(&read_config(place)?);
    let narrow = match image {
        Image::Vmlinux => changed.and_then(|changed| Narrow::of(&place.src, &place.build, &changed)),
        Image::BzImage => None,
    };
    let whole = make.compile(image, narrow.as_ref(), &format!("building {side}"), progress)?;
    // make may have configured again; what is kept must be what was asked for.
    configure::verify(&read_config(place)?, &inputs)?;
    narrow::finished(&place.build, &folder_key, tree)?;
    let kernel = keep_result(&keeper, place, image, &key, inputs.compiler)?;
    Ok(Kernel { seconds: started.elapsed().as_secs_f64(), whole, ..kernel })
}

/// Makes single objects (`mm/shmem.o`) in the `O=` folder and keeps nothing. One that
/// cannot be made, because this configuration lacks what it needs, is passed over.
/// `put` and the lock are as for [`build`]; `name` names the log.
///
/// # Errors
/// As [`build`], but for what is wrong with an object.
pub fn objects(
    place: &Place,
    spec: &BuildSpec,
    name: &str,
    objects: &[String],
    put: impl FnOnce() -> Result<(), Error>,
    progress: &Progress,
) -> Result<(), Error> {
    for folder in [&place.build, &place.logs] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let inputs = Inputs::read(spec)?;
    recover::recover(&place.build)?;
    put()?;
    let make = Make::new(place, spec, name)?;
    narrow::forget(&place.build)?;
    recover::begin(&place.build)?;
    configure::configure(&make, &inputs, None)?;
    let phase = progress.phase(format!("compiling {}", objects.join(", ")));
    let mut made = 0;
    for object in objects {
        match make.run(object, |line| phase.detail(line)) {
            Ok(()) => made += 1,
            Err(Error::Build(_)) => {}
            Err(error) => return Err(error),
        }
    }
    recover::end(&place.build)?;
    phase.done(format!("{made} of {}", objects.len()));
    Ok(())
}

fn find(keeper: &Keeper, key: &str, inputs: &Inputs) -> Result<Option<Kernel>, Error> {
    let kernel = keeper.find(key)?;
    if let Some(kernel) = &kernel {
        configure::verify(&fs::read_to_string(&kernel.config).context("cannot read a kept .config")?, inputs)?;
    }
    Ok(kernel)
}

fn read_config(place: &Place) -> anyhow::Result<String> {
    let config = place.build.join(".config");
    fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))
}

fn keep_result(keeper: &Keeper, place: &Place, image: Image, key: &str, compiler: String) -> Result<Kernel, Error> {
    let release = place.build.join("include/config/kernel.release");
    let release =
        fs::read_to_string(&release).with_context(|| format!("make succeeded but left no {}", release.display()))?;
    let made = Made {
        image: image.path(&place.build),
        config: place.build.join(".config"),
        system_map: place.build.join("System.map"),
        release: release.trim().to_owned(),
        compiler,
    };
    keeper.keep(key, &made)
}

/// Our own notes in the `O=` folder; kbuild does not look there.
fn notes(build: &Path) -> PathBuf {
    build.join(".xtask")
}
