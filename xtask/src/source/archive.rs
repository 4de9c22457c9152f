// SPDX-License-Identifier: GPL-2.0-only
//! Reads the files of an archive, as a stream.
//!
//! Owns: `.tar`, `.tar.{xz,gz,zst}`, and the tarball inside a Debian
//! `linux-source` package. What a file is shows in its first bytes, not in its
//! name. The stream is read to its very end, so that the checksum there counts: a
//! cut-off archive is an error, never a smaller tree. Must not: write anything.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow, bail};
use liblzma::stream::MtStreamBuilder;

use super::import::{Content, Item};
use crate::error::Error;

/// No file of a kernel is nearly as large; one that claims to be would only fill the memory.
const FILE_LIMIT: u64 = 1 << 30;

/// Takes the files of a tree one by one.
pub(crate) type Emit<'a> = dyn FnMut(Item) -> Result<(), Error> + 'a;

/// Gives every file of the archive to `emit`. `read_so_far` counts its bytes.
///
/// # Errors
/// The archive cannot be read, is cut off or damaged, or is no archive that we
/// know; and those of `emit`.
pub(crate) fn read(path: &Path, read_so_far: &Arc<AtomicU64>, emit: &mut Emit<'_>) -> Result<(), Error> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let counted = Counted { inner: file, count: Arc::clone(read_so_far) };
    let reader = BufReader::with_capacity(1 << 20, counted);
    stream(reader, emit).map_err(|error| match error {
        Error::Infra(error) => Error::Infra(error.context(format!(
            "cannot read the kernel source {}: if it was downloaded, it may be cut off; remove it and try again",
            path.display()
        ))),
        other => other,
    })
}

fn stream(mut reader: impl BufRead, emit: &mut Emit<'_>) -> Result<(), Error> {
    if reader.fill_buf().context("cannot read it")?.starts_with(b"!<arch>\n") {
        return package(reader, emit);
    }
    let mut inner = decompressed(reader)?;
    tarball(&mut *inner, emit)
}

/// A Debian package: an `ar` archive with a `data.tar.*`, in that `usr/src/linux-source-*.tar.*`.
fn package(mut reader: impl BufRead, emit: &mut Emit<'_>) -> Result<(), Error> {
    let mut magic = [0; 8];
    reader.read_exact(&mut magic).context("cannot read the package")?;
    loop {
        let mut header = [0; 60];
        reader.read_exact(&mut header).context("the package ends before its data.tar")?;
        let (name, size) = ar_header(&header)?;
        if name.starts_with("data.tar") {
            return package_data(BufReader::new((&mut reader).take(size)), emit);
        }
        // Members begin at even offsets.
        let padded = size + size % 2;
        let skipped =
            std::io::copy(&mut (&mut reader).take(padded), &mut std::io::sink()).context("cannot read the package")?;
        if skipped != padded {
            return Err(anyhow!("the package is cut off in its member {name}").into());
        }
    }
}

fn ar_header(header: &[u8; 60]) -> anyhow::Result<(String, u64)> {
    let text = std::str::from_utf8(header)
        .ok()
        .filter(|text| text.ends_with("`\n"))
        .context("the package's ar header is damaged")?;
    let name = text[..16].trim_end().trim_end_matches('/').to_owned();
    let size = text[48..58].trim().parse().context("the package's ar header is damaged")?;
    Ok((name, size))
}

fn package_data(reader: impl BufRead, emit: &mut Emit<'_>) -> Result<(), Error> {
    let mut data = decompressed(reader)?;
    let mut archive = tar::Archive::new(&mut *data);
    let mut found = false;
    for entry in archive.entries().context("cannot read the package's data.tar")? {
        let entry = entry.context("cannot read the package's data.tar")?;
        let path = entry.path_bytes().into_owned();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        if entry.header().entry_type().is_file()
            && path.starts_with(b"usr/src/linux-source-")
            && contains(path, b".tar")
        {
            found = true;
            let mut inner = decompressed(BufReader::with_capacity(1 << 18, entry))?;
            tarball(&mut *inner, emit)?;
        }
    }
    drain(&mut *data)?;
    if found { Ok(()) } else { Err(anyhow!("the package has no usr/src/linux-source-*.tar.* in it").into()) }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The bytes behind whatever compression they have.
fn decompressed<'a>(mut reader: impl BufRead + 'a) -> anyhow::Result<Box<dyn Read + 'a>> {
    // A short first read can only come from a file that is too short for any of these.
    let head = reader.fill_buf().context("cannot read it")?;
    Ok(if head.starts_with(b"\xfd7zXZ\0") {
        Box::new(liblzma::bufread::XzDecoder::new_stream(reader, xz_decoder()?))
    } else if head.starts_with(b"\x1f\x8b") {
        Box::new(flate2::bufread::MultiGzDecoder::new(reader))
    } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
        Box::new(zstd::stream::read::Decoder::with_buffer(reader)?)
    } else if head.get(257..262) == Some(b"ustar") {
        Box::new(reader)
    } else {
        bail!("it is neither a tar archive (plain, xz, gz, zst) nor a Debian package");
    })
}

/// A decoder that uses every core if the file has more than one block, as those of
/// Debian and of kernel.org's own packer have.
fn xz_decoder() -> anyhow::Result<liblzma::stream::Stream> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    MtStreamBuilder::new()
        .threads(u32::try_from(threads).unwrap_or(1).min(8))
        .memlimit_threading(1 << 30)
        .memlimit_stop(u64::MAX)
        .decoder()
        .context("cannot start an xz decoder")
}

fn tarball(reader: &mut dyn Read, emit: &mut Emit<'_>) -> Result<(), Error> {
    let mut reader = Tail { inner: reader, zeros: 0 };
    let mut archive = tar::Archive::new(&mut reader);
    for entry in archive.entries().context("cannot read the tar archive")? {
        crate::interrupt::check()?;
        let mut entry = entry.context("cannot read the tar archive")?;
        if let Some(item) = item(&mut entry)? {
            emit(item)?;
        }
    }
    drain(&mut reader)?;
    if reader.zeros < 512 {
        return Err(anyhow!("the tar archive ends before its end mark").into());
    }
    Ok(())
}

/// What is behind the tar's end mark: padding, and the compression's checksum.
fn drain(reader: &mut dyn Read) -> anyhow::Result<()> {
    std::io::copy(reader, &mut std::io::sink()).context("the end of the archive is damaged")?;
    Ok(())
}

fn item(entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<Option<Item>> {
    let raw = entry.path_bytes().into_owned();
    let Some(path) = clean(&raw)? else { return Ok(None) };
    let kind = entry.header().entry_type();
    let target = || {
        entry
            .link_name_bytes()
            .map(|name| name.into_owned())
            .with_context(|| format!("the link {} has no target", raw.escape_ascii()))
    };
    let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
    let mode = if executable { 0o100_755 } else { 0o100_644 };
    if kind.is_symlink() {
        return Ok(Some(Item { path, mode: 0o120_000, content: Content::Bytes(target()?) }));
    }
    if kind.is_hard_link() {
        let target = clean(&target()?)?.with_context(|| format!("the link {} has no target", raw.escape_ascii()))?;
        return Ok(Some(Item { path, mode, content: Content::SameAs(target) }));
    }
    if !kind.is_file() && !kind.is_contiguous() {
        // Folders come with their files; a header for all is no file; devices are in no kernel.
        return Ok(None);
    }
    if entry.size() > FILE_LIMIT {
        bail!("{} claims {} bytes, which no file of a kernel has", raw.escape_ascii(), entry.size());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0));
    entry.read_to_end(&mut bytes).with_context(|| format!("cannot read {} in the archive", raw.escape_ascii()))?;
    if bytes.len() as u64 != entry.size() {
        bail!("the archive ends within {}", raw.escape_ascii());
    }
    Ok(Some(Item { path, mode, content: Content::Bytes(bytes) }))
}

/// The path without `./` and doubled slashes; `None` for the top folder itself.
fn clean(raw: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let parts: Vec<&[u8]> = raw.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let unsafe_part = |part: &&[u8]| *part == b".." || part.eq_ignore_ascii_case(b".git");
    if raw.starts_with(b"/") || parts.iter().any(unsafe_part) {
        bail!("the archive has the path {}, which leaves the tree or reaches into .git: refused", raw.escape_ascii());
    }
    Ok(if parts.is_empty() { None } else { Some(parts.join(&b'/')) })
}

/// Remembers how many zero bytes came last: a tar archive ends with a block of
/// them, and the tar crate does not mind if one that is cut off has none.
struct Tail<'a> {
    inner: &'a mut dyn Read,
    zeros: usize,
}

impl Read for Tail<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let zeros = buffer[..length].iter().rev().take_while(|&&byte| byte == 0).count();
        self.zeros = if zeros == length { self.zeros.saturating_add(zeros) } else { zeros };
        Ok(length)
    }
}

/// Counts what is read, for the progress bar.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
