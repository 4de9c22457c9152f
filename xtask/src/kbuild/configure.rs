// SPDX-License-Identifier: GPL-2.0-only
//! The `.config` of the `O=` folder: base, fragments, `olddefconfig`, verified.
//!
//! Owns: when it is made anew, and that its time stamp moves only if its content
//! does. A configuration always starts from the base, never from the last one, so
//! that it is a function of tree and target and not of what was built before.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow};

use super::Inputs;
use super::make::Make;
use crate::error::Error;
use crate::file;
use crate::interrupt;

/// Configures unless the tree's Kconfig files and our inputs are those of the
/// present `.config`. `changed` are the files that are others than when it was made, if
/// that is known: without a Kconfig file among them, all 1,700 need not be read.
pub(super) fn configure(make: &Make, inputs: &Inputs<'_>, changed: Option<&[PathBuf]>) -> Result<(), Error> {
    let config = make.build.join(".config");
    let is_kconfig = |path: &PathBuf| path.file_name().is_some_and(|name| is_read(&name.to_string_lossy()));
    if changed.is_some_and(|changed| !changed.iter().any(is_kconfig))
        && make.config_note().is_file()
        && let Ok(text) = fs::read_to_string(&config)
    {
        return verify(&text, inputs);
    }
    let key = inputs.key(kconfig_files(&make.src)?.iter().map(Vec::as_slice));
    if fs::read_to_string(make.config_note()).is_ok_and(|noted| noted == key)
        && let Ok(text) = fs::read_to_string(&config)
    {
        return verify(&text, inputs);
    }
    // From here to the new note `.config` may be anything.
    drop(fs::remove_file(make.config_note()));
    let before = Snapshot::take(&config);
    make.run(&make.base, |_| ())?;
    append(&config, &inputs.wanted.render())?;
    make.run("olddefconfig", |_| ())?;
    let text = fs::read_to_string(&config).with_context(|| format!("make left no {}", config.display()))?;
    verify(&text, inputs)?;
    if let Some(before) = before {
        before.restore_time(&config, &text)?;
    }
    Ok(file::write(&make.config_note(), key.as_bytes())?)
}

/// Demands that a finished `.config` has what the fragments ask for.
pub(super) fn verify(config: &str, inputs: &Inputs<'_>) -> Result<(), Error> {
    let lost = inputs.wanted.verify(config, &inputs.spec.absent);
    if lost.is_empty() {
        return Ok(());
    }
    let list = lost.iter().fold(String::new(), |list, lost| format!("{list}\n    {lost}"));
    Err(Error::Build(anyhow!(
        "the configuration is not what was asked for:{list}\nmend the fragment, or let target.toml declare the symbol \
         absent with its reason"
    )))
}

/// A kconfig file's time and content, before make rewrites it.
struct Snapshot {
    text: String,
    time: SystemTime,
}

impl Snapshot {
    fn take(path: &Path) -> Option<Self> {
        let time = path.metadata().and_then(|meta| meta.modified()).ok()?;
        Some(Self { text: fs::read_to_string(path).ok()?, time })
    }

    /// A `.config` that looks new makes kbuild read all of Kconfig again.
    fn restore_time(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        if self.text != text {
            return Ok(());
        }
        fs::File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_modified(self.time))
            .with_context(|| format!("cannot set the time of {}", path.display()))
    }
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot append the fragments to {}", path.display()))
}

/// Does kconfig read a file of this name?
fn is_read(name: &str) -> bool {
    name.starts_with("Kconfig") || (name.starts_with("tiny") && name.ends_with(".config"))
}

/// Names and contents of all that kconfig reads: an unchanged list means that the
/// present `.config` is still right, and saves several seconds.
fn kconfig_files(src: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mut parts = Vec::new();
    for entry in walkdir::WalkDir::new(src).sort_by_file_name() {
        interrupt::check()?;
        let entry = entry.with_context(|| format!("cannot read the source tree {}", src.display()))?;
        let name = entry.file_name().to_string_lossy();
        if !entry.file_type().is_file() || !is_read(&name) {
            continue;
        }
        let text = fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        parts.push(entry.path().to_string_lossy().into_owned().into_bytes());
        parts.push(text);
    }
    Ok(parts)
}
