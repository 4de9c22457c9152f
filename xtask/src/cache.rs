// SPDX-License-Identifier: GPL-2.0-only
//! The cache folder: its layout and its locks.
//!
//! ```text
//! root/accel.json        what the accelerators' canaries showed
//! root/times.json        how long things took
//! root/sources/          downloads, shared by all
//! root/work/<key>/       what one run works in, locked while it does
//!     git/  src/  build/  build-debug/  kernels/  logs/
//!     source.json  src.state       what git/ and src/ hold
//! root/work/<key>.lock   the lock, with the process id of its holder
//! root/bench/            what a bench works in, removed at its end
//! ```
//!
//! Owns: where things lie and who may use them. A lock is the kernel's (flock), so
//! it dies with its process however that ends; the id in the file is for people.
//! Must not: know what is kept.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};

use crate::error::Error;
use crate::file;
use crate::interrupt;
use crate::progress::Progress;
use crate::variant::Variant;

/// How long one run waits for another one: longer than two cold kernel builds.
const LOCK_DEADLINE: Duration = Duration::from_secs(2 * 3600);

/// The cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Its path.
    pub root: PathBuf,
    /// What the archive has is asked for again if it was last asked before this.
    pub asked_since: Option<SystemTime>,
}

impl Cache {
    /// `$KVM_GUP_IO_CACHE`, else `$XDG_CACHE_HOME/kvm-gup-io`, else `~/.cache/kvm-gup-io`.
    ///
    /// # Errors
    /// None of these is set, or the folder cannot be made.
    pub fn open() -> anyhow::Result<Self> {
        Self::at(&Self::place()?)
    }

    /// Where it is, or would be.
    ///
    /// # Errors
    /// None of the variables is set.
    pub fn place() -> anyhow::Result<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("KVM_GUP_IO_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("kvm-gup-io")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/kvm-gup-io")))
            .context("there is no place for the cache: neither KVM_GUP_IO_CACHE, XDG_CACHE_HOME nor HOME is set")
    }

    /// A cache in this folder, which is made if need be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(root: &Path) -> anyhow::Result<Self> {
        file::make_dir(root)?;
        // make and git get paths of this folder from other working directories.
        let root = std::path::absolute(root).with_context(|| format!("cannot resolve {}", root.display()))?;
        Ok(Self { root, asked_since: None })
    }

    /// Where downloads are kept.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn sources(&self) -> anyhow::Result<PathBuf> {
        let dir = self.root.join("sources");
        file::make_dir(&dir)?;
        Ok(dir)
    }

    /// The work folder of this key, ours alone until it is dropped. Waits, with a
    /// message, while another process has it.
    ///
    /// # Errors
    /// A key that is no plain file name; the folder cannot be made; two hours passed.
    pub fn work(&self, key: &str, progress: &Progress) -> Result<Work, Error> {
        if key.is_empty() || key.starts_with('.') || key.contains(['/', '\0']) {
            return Err(anyhow!("`{key}` cannot name a work folder").into());
        }
        let dir = self.root.join("work").join(key);
        file::make_dir(&dir)?;
        let lock = Lock::acquire(&dir.with_file_name(format!("{key}.lock")), &dir.display().to_string(), progress)?;
        for part in ["kernels", "logs"] {
            file::make_dir(&dir.join(part))?;
        }
        Ok(Work { dir, _lock: lock })
    }
}

/// A work folder, locked for as long as this lives.
#[derive(Debug)]
pub struct Work {
    /// Its path.
    pub dir: PathBuf,
    _lock: Lock,
}

impl Work {
    /// The bare repository of ours.
    #[must_use]
    pub fn git(&self) -> PathBuf {
        self.dir.join("git")
    }

    /// The source tree that make sees.
    #[must_use]
    pub fn src(&self) -> PathBuf {
        self.dir.join("src")
    }

    /// The build folder (`O=`) of a variant: in a common one, going from one to the
    /// other would compile everything again.
    #[must_use]
    pub fn build(&self, variant: Variant) -> PathBuf {
        match variant {
            Variant::Measure => self.dir.join("build"),
            Variant::Debug => self.dir.join("build-debug"),
        }
    }

    /// Finished kernels.
    #[must_use]
    pub fn kernels(&self) -> PathBuf {
        self.dir.join("kernels")
    }

    /// Full logs of what was run.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

/// An exclusive lock on a file, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; waits for its holder, naming it and `what` it holds once.
    ///
    /// # Errors
    /// The file cannot be opened or locked, we are interrupted, or two hours passed.
    pub fn acquire(path: &Path, what: &str, progress: &Progress) -> Result<Self, Error> {
        Self::acquire_within(path, what, LOCK_DEADLINE, progress)
    }

    /// As [`Lock::acquire`], with a deadline of the caller's.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn acquire_within(path: &Path, what: &str, deadline: Duration, progress: &Progress) -> Result<Self, Error> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open the lock {}", path.display()))?;
        let started = Instant::now();
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(anyhow!(error).context(format!("cannot lock {}", path.display())).into());
                }
            }
            interrupt::check()?;
            if !said {
                progress.say(format!("waiting for {}, which works in {what}", holder(&mut file)));
                said = true;
            }
            if started.elapsed() > deadline {
                let seconds = deadline.as_secs();
                let holder = holder(&mut file);
                return Err(anyhow!(
                    "{holder} has held {} for more than {seconds} s: end it, or try again later",
                    path.display()
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        sign(&mut file).with_context(|| format!("cannot write our process id into {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

/// Writes our process id, in place: a lock belongs to the file, not to its name.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    match text.trim() {
        pid if read.is_ok() && !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_waited_for_and_its_holder_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let work = cache.work("v6.1", &Progress::silent()).unwrap();
        let lock = dir.path().join("work/v6.1.lock");
        let error = Lock::acquire_within(&lock, "x", Duration::ZERO, &Progress::silent()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} has held", std::process::id())), "{error}");
        drop(work);
        cache.work("v6.1", &Progress::silent()).unwrap();
    }

    #[test]
    fn two_keys_do_not_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let _first = cache.work("v6.1", &Progress::silent()).unwrap();
        let second = cache.work("v7.3", &Progress::silent()).unwrap();
        assert!(second.src().ends_with("work/v7.3/src") && second.logs().is_dir());
        assert!(cache.work("../x", &Progress::silent()).is_err());
    }
}
