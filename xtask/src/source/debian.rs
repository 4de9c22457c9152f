// SPDX-License-Identifier: GPL-2.0-only
//! The newest kernel of a series in Debian's archive.
//!
//! Owns: which version is taken, what is fetched anew and what the cache answers.
//! Lists are good for twelve hours, or as the caller says, and downloads for ever, so a
//! second run needs no network; without one, what the cache has of the series is taken,
//! and said so. Must not: know how apt is called; `apt` does.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::apt::{Offer, Suite, Tools};
use super::{Base, DebianSource, archive_file, import, version};
use crate::cache::{Cache, Lock, Work};
use crate::error::Error;
use crate::file;
use crate::progress::Progress;

/// A suite's list is asked for again after this.
const LIST_AGE: Duration = Duration::from_secs(12 * 3600);
/// So many versions of a series are tried, the newest first.
const VERSIONS: usize = 4;

/// What a suite offers of one package, and when it said so.
#[derive(Debug, Serialize, Deserialize)]
struct Listing {
    offers: Vec<Offer>,
}

/// What was asked before, and what of it is not too old.
#[derive(Clone, Copy)]
struct Lists<'a> {
    folder: &'a Path,
    asked_since: Option<SystemTime>,
}

/// Gets the newest kernel of a series of the archive with these apt tools.
///
/// # Errors
/// As [`super::obtain`].
pub fn obtain(
    work: &Work,
    cache: &Cache,
    source: &DebianSource,
    tools: &Tools,
    progress: &Progress,
) -> Result<Base, Error> {
    let sources = cache.sources()?;
    let lock = Lock::acquire(&sources.join("lock"), &sources.display().to_string(), progress)?;
    let mut troubles = Vec::new();
    let lists = Lists { folder: &sources, asked_since: cache.asked_since };
    let mut offers = offers(lists, source, tools, progress, &mut troubles)?;
    if let Some(version) = &source.version {
        offers.extend(cached(&sources, source)?);
        // Stable: behind the wanted one the newest comes first.
        offers.sort_by_key(|offer| offer.version != *version);
    }
    for offer in &offers {
        if let Some(base) = import::earlier(work, &identity(offer)) {
            return Ok(base);
        }
        match fetch(&sources, source, offer, tools, progress) {
            Ok(path) => {
                drop(lock);
                return unpack(work, &path, offer, progress);
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                progress
                    .say(format!("{} {} cannot be had, trying the next one: {error}", offer.package, offer.version));
                troubles.push(error.to_string());
            }
        }
    }
    for offer in cached(&sources, source)? {
        let path = sources.join(&offer.file);
        let earlier = import::earlier(work, &identity(&offer));
        if earlier.is_none() && !path.is_file() {
            continue;
        }
        progress.say(format!(
            "the archive cannot be asked; going on with {} {}, which is in the cache",
            offer.package, offer.version
        ));
        return earlier.map_or_else(|| unpack(work, &path, &offer, progress), Ok);
    }
    Err(nothing(source, tools, &troubles))
}

fn nothing(source: &DebianSource, tools: &Tools, troubles: &[String]) -> Error {
    let DebianSource { package, series, suites, .. } = source;
    let why = if !tools.present() {
        "this host has no apt-get and apt-cache".to_owned()
    } else if troubles.is_empty() {
        format!("none of {} has a version of it", suites.join(", "))
    } else {
        troubles.join("\n")
    };
    Error::Infra(anyhow!(
        "cannot get {package} {series}: {why}\n\
         any other kernel tree does: \
         `git clone --branch linux-{series}.y --depth 1 https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git`, \
         then `cargo xtask test v{series} --linux linux`"
    ))
}

fn identity(offer: &Offer) -> String {
    format!("package {} {} {}", offer.package, offer.version, offer.sha256)
}

fn unpack(work: &Work, path: &Path, offer: &Offer, progress: &Progress) -> Result<Base, Error> {
    let origin = format!("{} {} ({})", offer.package, offer.version, offer.suite);
    archive_file(work, path, identity(offer), origin, progress)
}

/// What the suites offer of the series, the newest first. A suite that cannot be asked is a trouble, not an end.
fn offers(
    lists: Lists<'_>,
    source: &DebianSource,
    tools: &Tools,
    progress: &Progress,
    troubles: &mut Vec<String>,
) -> Result<Vec<Offer>, Error> {
    let mut offers = Vec::new();
    for name in &source.suites {
        let suite = Suite::new(tools, lists.folder, name, source.kind)?;
        let path = suite.file(&format!("{}.{}.json", source.package, source.series));
        let old = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok());
        let asked = std::fs::metadata(&path).and_then(|data| data.modified()).ok();
        let age = asked.and_then(age_of);
        let early = asked < lists.asked_since;
        let listing = match (old, age) {
            (Some(listing), Some(age)) if age < LIST_AGE && !early => listing,
            (old, age) => match ask(&suite, source, tools, progress) {
                Ok(listing) => {
                    file::write(&path, &serde_json::to_vec_pretty(&listing).context("cannot write a listing")?)?;
                    listing
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    let hours = age.unwrap_or_default().as_secs() / 3600;
                    let rest = if old.is_some() {
                        format!("; going on with its list of {hours} hours ago")
                    } else {
                        String::new()
                    };
                    progress.say(format!("cannot ask the suite {name}{rest}"));
                    troubles.push(error.to_string());
                    old.unwrap_or(Listing { offers: Vec::new() })
                }
            },
        };
        offers.extend(listing.offers);
    }
    offers.sort_by(|one: &Offer, other| version::compare(&other.version, &one.version));
    offers.dedup_by(|one, other| one.version == other.version && one.sha256 == other.sha256);
    Ok(offers)
}

/// `None` for a time in the future: such a list is not to be trusted.
fn age_of(time: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(time).ok()
}

fn ask(suite: &Suite<'_>, source: &DebianSource, tools: &Tools, progress: &Progress) -> Result<Listing, Error> {
    if !tools.present() {
        return Err(anyhow!("there is no {} on this host", tools.apt_get.display()).into());
    }
    let question = format!("asking the archive for {} {}", source.package, source.series);
    let phase = progress.phase_like("archive", question);
    suite.update()?;
    let mut versions = suite.versions(&source.package)?;
    versions.retain(|version| version::in_series(version, &source.series));
    versions.sort_by(|one, other| version::compare(other, one));
    versions.dedup();
    versions.truncate(VERSIONS);
    let offers = versions.iter().map(|version| suite.offer(&source.package, version)).collect::<Result<Vec<_>, _>>()?;
    phase.done(versions.first().map_or("none", String::as_str));
    Ok(Listing { offers })
}

/// The offer's file, from the cache or downloaded now.
fn fetch(
    sources: &Path,
    source: &DebianSource,
    offer: &Offer,
    tools: &Tools,
    progress: &Progress,
) -> Result<PathBuf, Error> {
    let path = sources.join(&offer.file);
    let note = sources.join(format!("{}.json", offer.file));
    let known = std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice::<Offer>(&bytes).ok());
    let size = std::fs::metadata(&path).map_or(0, |data| data.len());
    if known.is_some_and(|known| known.sha256 == offer.sha256) && size == offer.size {
        return Ok(path);
    }
    let partial = sources.join("partial");
    file::make_dir(&partial)?;
    let suite = Suite::new(tools, sources, &offer.suite, source.kind)?;
    suite.download(offer, &partial, progress)?;
    let downloaded = partial.join(&offer.file);
    check(&downloaded, offer)?;
    std::fs::rename(&downloaded, &path)
        .with_context(|| format!("cannot move {} to {}", downloaded.display(), path.display()))?;
    file::write(&note, &serde_json::to_vec_pretty(offer).context("cannot write a note")?)?;
    Ok(path)
}

/// apt has checked the file too; this is about what has become of it on our disk.
fn check(path: &Path, offer: &Offer) -> anyhow::Result<()> {
    let mut file =
        std::fs::File::open(path).with_context(|| format!("apt-get ended well but left no {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length =
            std::io::Read::read(&mut file, &mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
    }
    let sum = hex::encode(hash.finalize());
    if sum == offer.sha256 {
        return Ok(());
    }
    std::fs::remove_file(path).with_context(|| format!("cannot remove the damaged {}", path.display()))?;
    Err(anyhow!(
        "{} has the SHA256 sum {sum} instead of {}: it was damaged and is removed",
        path.display(),
        offer.sha256
    ))
}

/// Every file of the series that was downloaded once, the newest first.
fn cached(sources: &Path, source: &DebianSource) -> anyhow::Result<Vec<Offer>> {
    let entries = std::fs::read_dir(sources).with_context(|| format!("cannot read {}", sources.display()))?;
    let notes = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"));
    let offers = notes.filter_map(|entry| serde_json::from_slice::<Offer>(&std::fs::read(entry.path()).ok()?).ok());
    let fits = |offer: &Offer| offer.package == source.package && version::in_series(&offer.version, &source.series);
    let mut offers: Vec<Offer> = offers.filter(fits).collect();
    offers.sort_by(|one, other| version::compare(&other.version, &one.version));
    Ok(offers)
}
