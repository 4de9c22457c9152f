// SPDX-License-Identifier: GPL-2.0-only
//! The oracle that builds and boots kernels.
//!
//! ```text
//! Recipe ─source→ commit ─same files?→ kbuild ─same sections?→ boot ─judge→ Answer
//! ```
//!
//! Owns: the order of it for one question, and what is told apart: an item that does
//! not build or dies of something else cannot be judged, a failing host is an error.
//! One `O=` folder for all items of a work area, so that each build is incremental.
//! Must not: choose items.

mod build;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Context;
use git2::{Oid, Repository};
use selftests::plan::Plan;

use crate::accel::Accel;
use crate::bisect::effect::Wanted;
use crate::bisect::inherit;
use crate::bisect::oracle::{Answer, Ask, Inherited, Made, Oracle, Seconds, Unjudged, What};
use crate::boot;
use crate::cache::Cache;
use crate::error::Error;
use crate::file;
use crate::initramfs;
use crate::judge;
use crate::kbuild::Kernel;
use crate::measure;
use crate::outcome::SideOutcome;
use crate::patch::Patch;
use crate::progress::Progress;
use crate::source::Request;
use crate::target::Target;
use crate::variant::Variant;
use crate::verdict::Verdict;
use build::Reading;
use source::Source;

/// The side's name in judgements and logs.
const SIDE: &str = "bisect";

/// Boots of one kernel that may be invalid before it counts as one that cannot be
/// judged: a busy host can spoil one.
const BOOTS: usize = 3;

/// What measures.
pub struct Bench {
    /// The checkout of this project.
    pub checkout: PathBuf,
    /// Sources, builds, kernels.
    pub cache: Cache,
    /// Where progress goes.
    pub progress: Progress,
    /// How virtual machines run.
    pub accel: Accel,
    /// What each boot measures: the wanted cells and the controls.
    pub plan: Plan,
    /// Further kernel parameters of every boot.
    pub append: Vec<String>,
    /// PID 1, a static ELF file.
    pub init: Vec<u8>,
}

/// How one item becomes a kernel.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Where its tree comes from.
    pub request: Request,
    /// What is put on top, behind the toolchain fixes of the target.
    pub patches: Vec<Patch>,
    /// Its configuration; `None` for the target nearest to its version.
    pub target: Option<Target>,
    /// Fragments of Kconfig symbols that replace the target's own; none for those.
    pub fragments: Vec<PathBuf>,
}

/// Builds and boots.
pub struct Kernels<'a> {
    /// What measures.
    pub bench: &'a Bench,
    /// By item.
    pub recipes: Vec<Recipe>,
    /// What is looked for.
    pub wanted: Wanted,
    /// The bisection's folder.
    pub dir: PathBuf,
    /// By item: the newest one without it, where that is no matter of patches.
    pub without: Vec<Recipe>,
    /// What was answered about items so far.
    known: BTreeMap<usize, Answer>,
    /// What their sources were, as far as they were made in this process.
    sources: BTreeMap<usize, Source>,
    /// What their builds have read, as far as that was asked for in this process.
    compiled: BTreeMap<usize, Rc<BTreeSet<String>>>,
}

impl Oracle for Kernels<'_> {
    fn ask(&mut self, ask: Ask) -> Result<Answer, Error> {
        let started = std::time::Instant::now();
        let made = match ask.what {
            What::Item { item } | What::Clean { item } => self.source(item).map(Some),
            What::Reverted { tip, culprit } => self.reverted(tip, culprit),
        };
        let source = match made {
            Ok(Some(source)) => source,
            Ok(None) => {
                return Ok(Answer::unjudged(Unjudged::Source, "it does not revert: a later change rests on it"));
            }
            Err(Error::Apply(error)) => {
                return Ok(Answer::unjudged(Unjudged::Source, first_line(&format!("{error:#}"))));
            }
            Err(error) => return Err(error),
        };
        let item = ask.what.item();
        if let (false, Some(item)) = (ask.fresh, item)
            && let Some(answer) = self.same_files(item, &source)?
        {
            return Ok(self.keep(item, answer));
        }
        let clean = matches!(ask.what, What::Clean { .. });
        let built = match build::build(self.bench, &source, clean) {
            Err(Error::Build(error)) => {
                let mut answer = Answer::unjudged(Unjudged::Build, first_line(&format!("{error:#}")));
                answer.seconds.build = started.elapsed().as_secs_f64();
                return Ok(answer);
            }
            built => built?,
        };
        let kernel = made_of(&built.kernel, built.sections.clone());
        let same = item.filter(|_| !ask.fresh).and_then(|item| self.same_code(item, &kernel));
        let answer = same.map_or_else(|| self.boots(&source, &built.kernel), Ok);
        let files = built.files.map(Reading::end).transpose()?;
        // Even where the boot failed: the kernel is kept, and its build not made again.
        if let (Some(item), Some(files)) = (item, files) {
            self.note_files(item, files)?;
        }
        let mut answer = answer?;
        answer.seconds.build = built.seconds;
        answer.kernel = Some(kernel);
        Ok(match item {
            Some(item) => self.keep(item, answer),
            None => answer,
        })
    }
}

impl<'a> Kernels<'a> {
    /// An oracle that knows what was answered before; the newest answer about an item
    /// counts.
    #[must_use]
    pub fn new(
        bench: &'a Bench,
        recipes: Vec<Recipe>,
        wanted: Wanted,
        dir: &Path,
        earlier: impl IntoIterator<Item = (usize, Answer)>,
    ) -> Self {
        let known = earlier.into_iter().collect();
        let dir = dir.to_owned();
        Self {
            bench,
            recipes,
            wanted,
            dir,
            without: Vec::new(),
            known,
            sources: BTreeMap::new(),
            compiled: BTreeMap::new(),
        }
    }

    /// As it was answered, but for what only holds for this one.
    fn keep(&mut self, item: usize, answer: Answer) -> Answer {
        self.known.insert(item, answer.clone());
        answer
    }

    fn source(&mut self, item: usize) -> Result<Source, Error> {
        if let Some(source) = self.sources.get(&item) {
            return Ok(source.clone());
        }
        let recipe = self.recipes.get(item).with_context(|| format!("there is no item {item}"))?;
        let source = source::make(self.bench, recipe)?;
        self.sources.insert(item, source.clone());
        Ok(source)
    }

    fn reverted(&mut self, tip: usize, culprit: usize) -> Result<Option<Source>, Error> {
        if let Some(without) = self.without.get(culprit) {
            return source::make(self.bench, without).map(Some);
        }
        let (tip, culprit) = (self.source(tip)?, self.source(culprit)?);
        source::revert(self.bench, &tip, &culprit)
    }

    /// The answer of an item from whose build no file differs.
    fn same_files(&mut self, item: usize, source: &Source) -> Result<Option<Answer>, Error> {
        let others: Vec<usize> = self.known.keys().copied().filter(|&other| other != item).collect();
        for other in others {
            let Some(compiled) = self.files_of(other)? else { continue };
            let theirs = self.source(other)?;
            if theirs.key != source.key || !theirs.same_config(source) {
                continue;
            }
            let work = self.bench.cache.work(&source.key, &self.bench.progress)?;
            let repo = Repository::open_bare(work.git()).context("cannot open the repository of ours")?;
            if inherit::difference(&repo, theirs.commit, source.commit, &compiled)?.is_none() {
                return Ok(self.take_over(other, "no file differs that its build has read"));
            }
        }
        Ok(None)
    }

    /// The answer of an item whose compiled code is equal.
    fn same_code(&self, item: usize, kernel: &Made) -> Option<Answer> {
        let equal =
            |made: &Made| made.image == kernel.image || (made.sections.is_some() && made.sections == kernel.sections);
        let mut others = self.known.iter().filter(|(other, _)| **other != item);
        let (&other, _) = others.find(|(_, answer)| answer.kernel.as_ref().is_some_and(equal))?;
        self.take_over(other, "all that is loaded at boot is equal")
    }

    fn take_over(&self, other: usize, because: &str) -> Option<Answer> {
        let theirs = self.known.get(&other)?;
        // Where that answer is another one's, too, the one that was tested is named.
        let from = theirs.inherited.as_ref().map_or(other, |inherited| inherited.from);
        let inherited = Some(Inherited { from, because: because.to_owned() });
        Some(Answer { inherited, seconds: Seconds::default(), ..theirs.clone() })
    }

    fn files_path(&self, item: usize) -> PathBuf {
        self.dir.join("compiled").join(format!("{item}.json"))
    }

    /// What the build of an item has read, if that is known.
    fn files_of(&mut self, item: usize) -> Result<Option<Rc<BTreeSet<String>>>, Error> {
        if let Some(files) = self.compiled.get(&item) {
            return Ok(Some(Rc::clone(files)));
        }
        let Ok(bytes) = std::fs::read(self.files_path(item)) else { return Ok(None) };
        let Ok(files) = serde_json::from_slice(&bytes).map(Rc::new) else { return Ok(None) };
        self.compiled.insert(item, Rc::clone(&files));
        Ok(Some(files))
    }

    fn note_files(&mut self, item: usize, files: BTreeSet<String>) -> Result<(), Error> {
        let path = self.files_path(item);
        file::make_dir(&self.dir.join("compiled"))?;
        file::write(&path, &serde_json::to_vec(&files).context("cannot encode a list of files")?)?;
        self.compiled.insert(item, Rc::new(files));
        Ok(())
    }

    /// Boots until a boot is valid, or has been invalid too often.
    fn boots(&mut self, source: &Source, kernel: &Kernel) -> Result<Answer, Error> {
        let mut spent = Seconds::default();
        let mut answer = Answer::unjudged(Unjudged::Invalid, "it was not booted");
        for _ in 0..BOOTS {
            let (side, total_ms, record) = self.boot(source, kernel)?;
            answer = self.wanted.judge(&side);
            spent.boot += side.boot_ms as f64 / 1e3;
            spent.test += total_ms.saturating_sub(side.boot_ms) as f64 / 1e3;
            answer.record = Some(record);
            if side.verdict != Verdict::Invalid {
                break;
            }
        }
        answer.seconds = spent;
        Ok(answer)
    }

    fn boot(&self, source: &Source, kernel: &Kernel) -> Result<(SideOutcome, u64, String), Error> {
        let (record, dir) = self.boot_dir()?;
        let bench = self.bench;
        let archive = dir.join("initramfs.cpio");
        initramfs::write(&archive, &bench.init, &bench.plan)?;
        let order = boot::Order {
            kernel: &kernel.image,
            initramfs: &archive,
            accel: &bench.accel,
            memory_mib: Variant::Measure.memory_mib(),
            plan: &bench.plan,
            append: &bench.append,
        };
        let transcript = boot::boot(&order, &dir, &bench.progress)?;
        let text = serde_json::to_vec(&transcript).context("cannot encode a transcript")?;
        file::write(&dir.join("transcript.json"), &text)?;
        measure::same_kernel(&transcript, kernel)?;
        let side = judge::side(SIDE, &transcript, &bench.plan, &source.target.tolerate);
        if side.verdict == Verdict::Infra {
            let why = side.reasons.join("; ");
            return Err(Error::Infra(anyhow::anyhow!("the boot recorded in {} says nothing: {why}", dir.display())));
        }
        Ok((side, transcript.total_ms, record))
    }

    /// A new folder for one boot.
    fn boot_dir(&self) -> Result<(String, PathBuf), Error> {
        let boots = self.dir.join("boots");
        file::make_dir(&boots)?;
        for number in 1.. {
            let dir = boots.join(number.to_string());
            match std::fs::create_dir(&dir) {
                Ok(()) => return Ok((format!("boots/{number}"), dir)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(anyhow::anyhow!("cannot create {}: {error}", dir.display()).into()),
            }
        }
        Err(anyhow::anyhow!("there are too many boots in {}", boots.display()).into())
    }
}

fn made_of(kernel: &Kernel, sections: Option<String>) -> Made {
    let &Kernel { rebuilt, whole, .. } = kernel;
    Made { image: kernel.hash.clone(), sections, release: kernel.release.clone(), rebuilt, whole }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A commit's short name.
fn short(id: Oid) -> String {
    id.to_string().chars().take(12).collect()
}
