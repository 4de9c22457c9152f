// SPDX-License-Identifier: GPL-2.0-only
//! Finished kernels, kept by content and found by what went into them.
//!
//! ```text
//! kernels/<sha256 of the image>/{vmlinux or bzImage,config,System.map}
//! kernels/by-input/<key>.json     which of them those inputs became
//! ```
//!
//! Owns: that folder. A note is written after its kernel, both by rename, so a
//! note that can be read names a whole kernel. Must not: build.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Kernel;
use super::image::Image;
use crate::error::Error;
use crate::file;

/// Kernels kept, at 20 MB each: a day of edits, or a whole bisection, and no more.
const KEPT: usize = 30;

/// Hexadecimal digits of a SHA-256.
const HASH_LENGTH: usize = 64;

const CONFIG: &str = "config";
const SYSTEM_MAP: &str = "System.map";

/// What make left in the `O=` folder.
#[derive(Debug, Clone)]
pub struct Made {
    /// `vmlinux` or `bzImage`; it is kept under its name.
    pub image: PathBuf,
    /// `.config`.
    pub config: PathBuf,
    /// `System.map`.
    pub system_map: PathBuf,
    /// E.g. `6.1.192`.
    pub release: String,
    /// First line of the compiler's `--version`.
    pub compiler: String,
}

impl Made {
    fn name(&self) -> anyhow::Result<&'static str> {
        let name = Image::ALL.map(Image::name).into_iter().find(|name| self.image.ends_with(name));
        name.with_context(|| format!("{} is no image that QEMU boots", self.image.display()))
    }
}

/// The content of a note.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    hash: String,
    release: String,
    compiler: String,
}

/// The folder of kept kernels.
#[derive(Debug, Clone)]
pub struct Keeper {
    kernels: PathBuf,
}

impl Keeper {
    /// Keeps kernels below `kernels`, which exists.
    #[must_use]
    pub fn new(kernels: &Path) -> Self {
        Self { kernels: kernels.to_owned() }
    }

    /// The kernel that inputs with this key became, if it is there and unharmed.
    ///
    /// # Errors
    /// None of its own; a note or an image that cannot be read is as good as absent.
    pub fn find(&self, key: &str) -> Result<Option<Kernel>, Error> {
        let Ok(note) = fs::read(self.note(key)) else { return Ok(None) };
        let Ok(note) = serde_json::from_slice::<Note>(&note) else { return Ok(None) };
        let folder = self.kernels.join(&note.hash);
        let Some(image) = Image::ALL.map(|image| folder.join(image.name())).into_iter().find(|image| image.is_file())
        else {
            return Ok(None);
        };
        let unharmed = fs::read(&image).is_ok_and(|image| hex::encode(Sha256::digest(image)) == note.hash);
        if !unharmed || !folder.join(CONFIG).is_file() || !folder.join(SYSTEM_MAP).is_file() {
            return Ok(None);
        }
        touch(&folder)?;
        Ok(Some(self.kernel(note, image, false)))
    }

    /// Keeps what make has left, and notes which inputs it came from.
    ///
    /// # Errors
    /// A file is missing or cannot be copied.
    pub fn keep(&self, key: &str, made: &Made) -> Result<Kernel, Error> {
        let image =
            fs::read(&made.image).with_context(|| format!("make succeeded but left no {}", made.image.display()))?;
        let hash = hex::encode(Sha256::digest(&image));
        self.store(&hash, made)?;
        let note = Note { hash, release: made.release.clone(), compiler: made.compiler.clone() };
        let notes = self.kernels.join("by-input");
        fs::create_dir_all(&notes).with_context(|| format!("cannot make the folder {}", notes.display()))?;
        file::write(&self.note(key), &serde_json::to_vec(&note).context("cannot serialise a note")?)?;
        self.prune(&note.hash);
        let image = self.kernels.join(&note.hash).join(made.name()?);
        Ok(self.kernel(note, image, true))
    }

    fn store(&self, hash: &str, made: &Made) -> anyhow::Result<()> {
        let folder = self.kernels.join(hash);
        let staged = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(&self.kernels)
            .with_context(|| format!("cannot make a folder in {}", self.kernels.display()))?;
        for (from, name) in [(&made.image, made.name()?), (&made.config, CONFIG), (&made.system_map, SYSTEM_MAP)] {
            fs::copy(from, staged.path().join(name))
                .with_context(|| format!("cannot copy {} to {}", from.display(), self.kernels.display()))?;
        }
        // The same image may come from another configuration, or be a damaged copy:
        // the newest record is the true one.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot replace {}", folder.display()))?;
        }
        let staged = staged.keep();
        fs::rename(&staged, &folder)
            .with_context(|| format!("cannot rename {} to {}", staged.display(), folder.display()))
    }

    fn note(&self, key: &str) -> PathBuf {
        self.kernels.join("by-input").join(format!("{key}.json"))
    }

    fn kernel(&self, note: Note, image: PathBuf, rebuilt: bool) -> Kernel {
        let folder = self.kernels.join(&note.hash);
        Kernel {
            image,
            config: folder.join(CONFIG),
            system_map: folder.join(SYSTEM_MAP),
            release: note.release,
            compiler: note.compiler,
            seconds: 0.0,
            rebuilt,
            whole: false,
            hash: note.hash,
        }
    }

    /// Removes the kernels that were used longest ago, notes without a kernel, and
    /// what a killed run left. Failures are left for the next time: nothing depends
    /// on the space.
    fn prune(&self, newest: &str) {
        let Ok(entries) = fs::read_dir(&self.kernels) else { return };
        let mut kernels: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".new-") {
                drop(fs::remove_dir_all(entry.path()));
            } else if name.len() == HASH_LENGTH && name != newest {
                let used = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                kernels.push((used, entry.path()));
            }
        }
        if kernels.len() < KEPT {
            return;
        }
        kernels.sort();
        for (_, folder) in kernels.iter().rev().skip(KEPT - 1) {
            drop(fs::remove_dir_all(folder));
        }
        for entry in fs::read_dir(self.kernels.join("by-input")).into_iter().flatten().flatten() {
            let note = fs::read(entry.path()).ok().and_then(|note| serde_json::from_slice::<Note>(&note).ok());
            if note.is_none_or(|note| !self.kernels.join(note.hash).exists()) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

/// Marks a kernel as used now, which is what pruning goes by.
fn touch(folder: &Path) -> anyhow::Result<()> {
    fs::File::open(folder)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("cannot touch {}", folder.display()))
}
