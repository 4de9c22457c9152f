// SPDX-License-Identifier: GPL-2.0-only
//! Brings a tree that is not in git into the repository of ours, as one commit.
//!
//! Owns: the pipeline (one thread reads, the others hash and deflate, all write to
//! one pack), the check that the tree is a kernel, and the stamp that makes a
//! second import of the same thing free. The pack reaches the repository only when
//! all is read and checked, the stamp only after that.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use git2::{ObjectType, Oid, Repository};
use serde::{Deserialize, Serialize};

use super::archive::Emit;
use super::pack::{Folder, Leaf, Spool, object_id, pack_entry};
use super::{Base, kernel};
use crate::cache::Work;
use crate::error::Error;
use crate::file;

/// A file on its way into the repository.
pub(crate) struct Item {
    /// Its path's bytes, with `/` between the parts.
    pub(crate) path: Vec<u8>,
    /// Git's mode.
    pub(crate) mode: u32,
    /// Its content.
    pub(crate) content: Content,
}

/// What is in a file.
pub(crate) enum Content {
    /// These bytes; of a symbolic link, its target.
    Bytes(Vec<u8>),
    /// This object, which the repository has.
    Known(Oid),
    /// What the file of this path has (a hard link).
    SameAs(Vec<u8>),
}

/// What an import is about.
pub(crate) struct Subject<'a> {
    /// What tells this tree from any other: two imports of equal identity are the same.
    pub(crate) identity: String,
    /// For people.
    pub(crate) origin: String,
    /// What an error calls it.
    pub(crate) name: &'a str,
}

/// The tree that came of an import, and its files.
pub(crate) struct Imported {
    pub(crate) base: Base,
    pub(crate) leaves: Vec<Leaf>,
}

#[derive(Serialize, Deserialize)]
struct Stamp {
    identity: String,
    commit: String,
    version: String,
    origin: String,
}

/// The earlier import of the same identity, if the repository still has it.
pub(crate) fn earlier(work: &Work, identity: &str) -> Option<Base> {
    let stamp: Stamp = serde_json::from_slice(&std::fs::read(work.dir.join("source.json")).ok()?).ok()?;
    let commit = Oid::from_str(&stamp.commit).ok()?;
    if stamp.identity != identity {
        return None;
    }
    let repo = Repository::open_bare(work.git()).ok()?;
    repo.find_commit(commit).ok()?.tree().ok()?;
    Some(Base { commit, version: stamp.version, origin: stamp.origin })
}

/// Imports what `read` emits as a commit, and remembers it under the subject's identity.
///
/// # Errors
/// Those of `read`; a tree that is no kernel (usage); the repository cannot be written.
pub(crate) fn import(
    work: &Work,
    subject: &Subject<'_>,
    read: impl FnOnce(&mut Emit<'_>) -> Result<(), Error>,
) -> Result<Imported, Error> {
    let repo = own_repository(work, None)?;
    let gathered = gather(work, read)?;
    let mut leaves = gathered.leaves;
    let stripped = strip_top(&mut leaves);
    let top = |name: &[u8]| leaves.iter().any(|(path, ..)| path == name);
    let makefile = gathered.makefiles.get(&[&stripped[..], b"Makefile"].concat());
    let Some(version) = makefile.and_then(|bytes| kernel::version(bytes)).filter(|_| top(b"Kbuild")) else {
        return Err(kernel::not_a_kernel(subject.name));
    };
    let mut spool = gathered.spool;
    let folder =
        Folder::build(leaves.iter().cloned()).with_context(|| format!("{} is no proper tree", subject.name))?;
    let tree = folder.write(&mut spool, &repo)?;
    let message = format!("{} ({version})\n", subject.origin);
    let commit = spool.add_object(&repo, ObjectType::Commit, &commit_bytes(tree, &message))?;
    spool.commit(&repo).context("cannot write the kernel source into the repository of ours")?;
    let base = Base { commit, version, origin: subject.origin.clone() };
    remember(work, &repo, &subject.identity, &base)?;
    Ok(Imported { base, leaves })
}

fn remember(work: &Work, repo: &Repository, identity: &str, base: &Base) -> anyhow::Result<()> {
    // Nothing of ours runs `git gc` here; the ref keeps the tree if a person does.
    repo.reference("refs/kvm-gup-io/base", base.commit, true, "import").context("cannot record the imported commit")?;
    let stamp = Stamp {
        identity: identity.to_owned(),
        commit: base.commit.to_string(),
        version: base.version.clone(),
        origin: base.origin.clone(),
    };
    file::write(&work.dir.join("source.json"), &serde_json::to_vec_pretty(&stamp).context("cannot write a stamp")?)
}

/// The bare repository of ours, made if need be. It borrows the objects of
/// `lender`, an objects folder, and of nobody else.
///
/// # Errors
/// It cannot be made or opened.
pub(crate) fn own_repository(work: &Work, lender: Option<&Path>) -> anyhow::Result<Repository> {
    let git = work.git();
    let show = || format!("cannot open the repository of ours in {}", git.display());
    if !git.join("HEAD").exists() {
        let mut options = git2::RepositoryInitOptions::new();
        // Templates are a user's hooks; none of them belongs here.
        options.bare(true).external_template(false).initial_head("main");
        Repository::init_opts(&git, &options).with_context(show)?;
    }
    sweep(&git.join("objects/pack"));
    // An import that leaves out what a lender has would fall apart with the lender.
    let alternates = git.join("objects/info/alternates");
    let wanted = lender.map(|lender| [lender.as_os_str().as_encoded_bytes(), b"\n"].concat());
    if std::fs::read(&alternates).ok() != wanted {
        match wanted {
            Some(line) => {
                file::make_dir(&git.join("objects/info"))?;
                file::write(&alternates, &line)?;
            }
            None => {
                std::fs::remove_file(&alternates).with_context(|| format!("cannot remove {}", alternates.display()))?
            }
        }
    }
    Repository::open_bare(&git).with_context(show)
}

/// Removes the temporary packs of a process that was killed. The lock is ours.
fn sweep(packs: &Path) {
    let Ok(entries) = std::fs::read_dir(packs) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().contains("_git2_") {
            // It only takes room; if it cannot go now, the next import tries again.
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// An old, fixed date: the same tree of the same origin is the same commit everywhere.
fn commit_bytes(tree: Oid, message: &str) -> Vec<u8> {
    let who = "kvm-gup-io <kvm-gup-io@invalid> 0 +0000";
    format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{message}").into_bytes()
}

struct Gathered {
    leaves: Vec<Leaf>,
    /// The Makefiles of the first two levels: one of them states the version.
    makefiles: HashMap<Vec<u8>, Vec<u8>>,
    spool: Spool,
}

/// What the threads share.
struct Shared {
    spool: Mutex<Spool>,
    leaves: Mutex<Vec<Leaf>>,
}

type Job = (Vec<u8>, u32, Vec<u8>);

fn gather(work: &Work, read: impl FnOnce(&mut Emit<'_>) -> Result<(), Error>) -> Result<Gathered, Error> {
    let shared = Shared { spool: Mutex::new(Spool::new(&work.dir)?), leaves: Mutex::new(Vec::new()) };
    let (mut links, mut makefiles) = (Vec::new(), HashMap::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let result = std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<Job>(256);
        // The workers own the receiving end: when the last of them has failed, sending fails too.
        let receive = Arc::new(Mutex::new(receive));
        let start = |_| {
            let (receive, shared) = (Arc::clone(&receive), &shared);
            scope.spawn(move || drudge(work, &receive, shared))
        };
        let threads: Vec<_> = (0..workers).map(start).collect();
        drop(receive);
        let mut emit = |item: Item| -> Result<(), Error> {
            match item.content {
                Content::Known(id) => locked(&shared.leaves).push((item.path, item.mode, id)),
                Content::SameAs(target) => links.push((item.path, target)),
                Content::Bytes(bytes) => {
                    if item.path.ends_with(b"Makefile") && item.path.iter().filter(|&&byte| byte == b'/').count() < 2 {
                        makefiles.insert(item.path.clone(), bytes.clone());
                    }
                    // All receivers gone means that a worker failed; its error is the one to show.
                    send.send((item.path, item.mode, bytes)).map_err(|_| anyhow!("a worker thread ended"))?;
                }
            }
            Ok(())
        };
        let result = read(&mut emit);
        drop(send);
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a thread that packs the kernel source panicked"))??;
        }
        result
    });
    result?;
    let mut leaves = shared.leaves.into_inner().unwrap_or_else(PoisonError::into_inner);
    resolve(&mut leaves, links)?;
    Ok(Gathered { leaves, makefiles, spool: shared.spool.into_inner().unwrap_or_else(PoisonError::into_inner) })
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes and deflates files until there are no more.
fn drudge(work: &Work, jobs: &Mutex<Receiver<Job>>, shared: &Shared) -> anyhow::Result<()> {
    let repo = Repository::open_bare(work.git())?;
    let odb = repo.odb()?;
    let mut leaves = Vec::new();
    loop {
        let job = locked(jobs).recv();
        let Ok((path, mode, bytes)) = job else { break };
        let id = object_id(ObjectType::Blob, &bytes)?;
        if !odb.exists_ext(id, git2::OdbLookupFlags::NO_REFRESH) && locked(&shared.spool).claim(id) {
            let entry = pack_entry(ObjectType::Blob, &bytes)?;
            locked(&shared.spool).add(&entry)?;
        }
        leaves.push((path, mode, id));
    }
    locked(&shared.leaves).append(&mut leaves);
    Ok(())
}

/// Hard links get the object of the file that they name.
fn resolve(leaves: &mut Vec<Leaf>, links: Vec<(Vec<u8>, Vec<u8>)>) -> anyhow::Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let mut known: HashMap<Vec<u8>, (u32, Oid)> =
        leaves.iter().map(|(path, mode, id)| (path.clone(), (*mode, *id))).collect();
    for (path, target) in links {
        let (mode, id) = *known.get(&target).with_context(|| {
            format!("the archive's {} is a link to {}, which is not in it", path.escape_ascii(), target.escape_ascii())
        })?;
        known.insert(path.clone(), (mode, id));
        leaves.push((path, mode, id));
    }
    Ok(())
}

/// Takes off the one folder that a tarball has all its files in, and says which (with its slash).
fn strip_top(leaves: &mut [Leaf]) -> Vec<u8> {
    let top = |path: &[u8]| path.iter().position(|&byte| byte == b'/').map(|slash| path[..=slash].to_vec());
    let Some(prefix) = leaves.first().and_then(|(path, ..)| top(path)) else { return Vec::new() };
    if !leaves.iter().all(|(path, ..)| path.starts_with(&prefix)) {
        return Vec::new();
    }
    for (path, ..) in leaves {
        path.drain(..prefix.len());
    }
    prefix
}
