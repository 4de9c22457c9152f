// SPDX-License-Identifier: GPL-2.0-only
//! Git objects, and the one pack that they are written to.
//!
//! A kernel is 80,000 files: as loose objects they cost minutes, as one pack
//! seconds. A pack begins with its count, which is known only at the end, so the
//! entries gather in an unnamed file and reach the repository as a whole: an import
//! that stops half way leaves nothing.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use git2::{ObjectType, Oid, Repository};
use sha1::{Digest, Sha1};

/// One file of a tree: its path's bytes, git's mode, the object.
pub(crate) type Leaf = (Vec<u8>, u32, Oid);

/// An object's name: the hash of its kind, length and bytes.
pub(crate) fn object_id(kind: ObjectType, bytes: &[u8]) -> anyhow::Result<Oid> {
    let mut hash = Sha1::new();
    hash.update(format!("{} {}\0", kind.str(), bytes.len()));
    hash.update(bytes);
    Ok(Oid::from_bytes(&hash.finalize())?)
}

/// An object as a pack has it: kind and length, then the bytes, deflated.
pub(crate) fn pack_entry(kind: ObjectType, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let number: u8 = match kind {
        ObjectType::Commit => 1,
        ObjectType::Tree => 2,
        ObjectType::Blob => 3,
        other => return Err(anyhow!("a {other} cannot be packed here")),
    };
    let mut entry = Vec::with_capacity(bytes.len() / 3 + 32);
    let mut rest = bytes.len() >> 4;
    let mut byte = number << 4 | (bytes.len() & 0x0f) as u8;
    while rest > 0 {
        entry.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    entry.push(byte);
    // Level 1: the pack is a cache, and deflating is most of the work.
    let mut encoder = ZlibEncoder::new(entry, Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The pack that is being gathered.
pub(crate) struct Spool {
    body: BufWriter<File>,
    count: u32,
    seen: HashSet<Oid>,
}

impl Spool {
    /// An empty one, whose file lies (without a name) in `dir`.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<Self> {
        let file =
            tempfile::tempfile_in(dir).with_context(|| format!("cannot make a temporary file in {}", dir.display()))?;
        Ok(Self { body: BufWriter::with_capacity(1 << 20, file), count: 0, seen: HashSet::new() })
    }

    /// Is this object not here yet? From now on it counts as being here.
    pub(crate) fn claim(&mut self, id: Oid) -> bool {
        self.seen.insert(id)
    }

    /// Adds an entry made by [`pack_entry`], of an object that was claimed.
    pub(crate) fn add(&mut self, entry: &[u8]) -> anyhow::Result<()> {
        self.count = self.count.checked_add(1).context("too many objects for one pack")?;
        self.body.write_all(entry).context("cannot write the pack's temporary file")
    }

    /// Adds an object that neither this pack nor the repository has.
    pub(crate) fn add_object(&mut self, repo: &Repository, kind: ObjectType, bytes: &[u8]) -> anyhow::Result<Oid> {
        let id = object_id(kind, bytes)?;
        if !repo.odb()?.exists_ext(id, git2::OdbLookupFlags::NO_REFRESH) && self.claim(id) {
            self.add(&pack_entry(kind, bytes)?)?;
        }
        Ok(id)
    }

    /// Hands the pack to the repository, which checks and indexes every object of it.
    pub(crate) fn commit(self, repo: &Repository) -> anyhow::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut body = self
            .body
            .into_inner()
            .map_err(|error| anyhow!(error.into_error()))
            .context("cannot write the pack's temporary file")?;
        body.seek(SeekFrom::Start(0))?;
        let odb = repo.odb()?;
        let mut writer = odb.packwriter()?;
        let mut hash = Sha1::new();
        let mut send = |bytes: &[u8]| -> anyhow::Result<()> {
            hash.update(bytes);
            // The reason is in git's own error slot; the io::Error has none.
            writer.write_all(bytes).map_err(|_| anyhow!("{}", git2::Error::last_error(-1).message()))
        };
        send(&[&b"PACK\0\0\0\x02"[..], &self.count.to_be_bytes()].concat())?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            crate::interrupt::check()?;
            let length = body.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            send(&buffer[..length])?;
        }
        let trailer = hash.finalize();
        writer.write_all(&trailer).map_err(|_| anyhow!("{}", git2::Error::last_error(-1).message()))?;
        writer.commit()?;
        drop(writer);
        odb.refresh()?;
        Ok(())
    }
}

/// A folder of a tree that is being built.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    entries: BTreeMap<Vec<u8>, Node>,
}

#[derive(Debug)]
enum Node {
    Leaf(u32, Oid),
    Folder(Folder),
}

impl Folder {
    /// The tree of these files.
    pub(crate) fn build(leaves: impl IntoIterator<Item = Leaf>) -> anyhow::Result<Self> {
        let mut root = Self::default();
        for (path, mode, id) in leaves {
            root.insert(&path, mode, id).with_context(|| format!("at {}", path.escape_ascii()))?;
        }
        Ok(root)
    }

    fn insert(&mut self, path: &[u8], mode: u32, id: Oid) -> anyhow::Result<()> {
        let mut folder = self;
        let mut parts = path.split(|&byte| byte == b'/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                // An archive may hold a file twice; as in tar, the later one counts.
                if matches!(folder.entries.insert(part.to_vec(), Node::Leaf(mode, id)), Some(Node::Folder(_))) {
                    return Err(anyhow!("a file and a folder have the same name"));
                }
                return Ok(());
            }
            let node = folder.entries.entry(part.to_vec()).or_insert_with(|| Node::Folder(Self::default()));
            let Node::Folder(inner) = node else { return Err(anyhow!("a file and a folder have the same name")) };
            folder = inner;
        }
        Ok(())
    }

    /// Writes the tree objects, the deepest first.
    pub(crate) fn write(&self, spool: &mut Spool, repo: &Repository) -> anyhow::Result<Oid> {
        let mut entries = Vec::with_capacity(self.entries.len());
        for (name, node) in &self.entries {
            match node {
                Node::Leaf(mode, id) => entries.push((name.clone(), name, *mode, *id)),
                Node::Folder(folder) => {
                    // Git sorts a folder as if its name ended in a slash.
                    let key = [name.as_slice(), b"/"].concat();
                    entries.push((key, name, 0o040_000, folder.write(spool, repo)?));
                }
            }
        }
        entries.sort();
        let mut bytes = Vec::new();
        for (_, name, mode, id) in entries {
            bytes.extend(format!("{mode:o} ").into_bytes());
            bytes.extend(name);
            bytes.push(0);
            bytes.extend(id.as_bytes());
        }
        spool.add_object(repo, ObjectType::Tree, &bytes)
    }
}
