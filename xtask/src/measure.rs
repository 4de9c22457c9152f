// SPDX-License-Identifier: GPL-2.0-only
//! One kernel, measured on its sides: source → sides → kernels → boots → judged.
//!
//! Owns: the order of the arrows for one kernel, and the record that grows along
//! them. Every command that needs a verdict about a kernel goes through
//! [`kernel`]. Must not: choose kernels, or render.

mod request;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use git2::{Oid, Repository};
use selftests::plan::Plan;
use selftests::protocol::Frame;
use sha2::{Digest, Sha256};

use crate::accel::Accel;
use crate::boot;
use crate::cache::{Cache, Work};
use crate::dress::Dress;
use crate::error::Error;
use crate::initramfs;
use crate::judge;
use crate::kbuild::{self, BuildSpec, Kernel, Place};
use crate::outcome::{SideOutcome, TargetOutcome};
use crate::progress::Progress;
use crate::series;
use crate::side::Side;
use crate::source::{self, Base, Request};
use crate::store::{RunDir, RunInfo, SideInfo, Stopped, TargetInfo};
use crate::target::Target;
use crate::transcript::Transcript;
use crate::variant::Variant;
use crate::verdict::Verdict;
use crate::vng::{self, Vng};
use crate::worktree;

pub use request::{pinned, request};

/// What all measurements of one invocation share.
pub struct Lab {
    /// The checkout of this project.
    pub checkout: PathBuf,
    /// Sources, builds, kernels.
    pub cache: Cache,
    /// Where progress goes.
    pub progress: Progress,
    /// How virtual machines run.
    pub accel: Accel,
    /// What the kernels are built for.
    pub variant: Variant,
    /// What each boot measures.
    pub plan: Plan,
    /// Further kernel parameters of every boot.
    pub append: Vec<String>,
    /// PID 1, a static ELF file.
    pub init: Vec<u8>,
    /// The record.
    pub run: RunDir,
    /// What the record says about itself.
    pub info: RunInfo,
    /// What the record says that this run repeats.
    pub repeats: Option<RunInfo>,
    /// What the kernels have besides what is measured.
    pub dress: Dress,
    /// What boots them, if not we ourselves.
    pub vng: Option<Vng>,
}

/// A kernel to measure.
pub struct Subject<'a> {
    /// Its configuration, patches and expectations; `None` for a tree by itself,
    /// which borrows the configuration of the target nearest to its version.
    pub target: Option<&'a Target>,
    /// Where the tree comes from.
    pub request: Request,
    /// In the order in which they boot. [`Side::Tree`] stands alone.
    pub sides: Vec<Side>,
    /// Only so many patches of the series; all if left out.
    pub upto: Option<usize>,
}

impl Subject<'_> {
    /// Its name in results: the target's, or `tree`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.target.map_or("tree", |target| &target.name)
    }
}

/// A side that can be booted.
pub(crate) struct Built {
    pub(crate) side: Side,
    commit: Oid,
    patchset: String,
    kernel: Kernel,
    place: Place,
    spec: BuildSpec,
}

/// Measures one kernel. An error that stands for a verdict becomes this kernel's
/// outcome, so that others can still be measured and what was seen is kept.
///
/// # Errors
/// [`Error::Interrupted`], and errors that stand for no verdict (usage).
pub fn kernel(lab: &mut Lab, subject: &Subject<'_>) -> Result<TargetOutcome, Error> {
    let mut seen = Vec::new();
    lab.begin(subject.name().to_owned(), subject.target)?;
    match sides(lab, subject, &mut seen) {
        Ok(()) => {}
        Err(error) => return stopped(lab, subject, seen, error),
    }
    let version = lab.record().version.clone();
    Ok(match subject.target {
        Some(target) => judge::target(target, &version, seen, &lab.plan, lab.variant),
        None => judge::tree(subject.name(), &version, seen),
    })
}

pub(crate) fn stopped(
    lab: &mut Lab,
    subject: &Subject<'_>,
    seen: Vec<SideOutcome>,
    error: Error,
) -> Result<TargetOutcome, Error> {
    let version = lab.record().version.clone();
    let Some(outcome) = judge::stopped(subject.name(), &version, seen, &error) else { return Err(error) };
    lab.record().stopped = Some(Stopped { verdict: outcome.verdict, message: error.to_string() });
    lab.run.describe(&lab.info)?;
    // The record says why it ends here; nothing else is to be measured.
    if matches!(error, Error::Interrupted) { Err(error) } else { Ok(outcome) }
}

/// A kernel that an error about its arguments keeps from being measured, where others
/// are measured all the same: the record keeps why.
///
/// # Errors
/// The record cannot be written.
pub fn left_out(lab: &mut Lab, target: &Target, error: &Error) -> anyhow::Result<TargetOutcome> {
    if lab.info.targets.last().is_none_or(|last| last.target != target.name) {
        lab.begin(target.name.clone(), Some(target))?;
    }
    let (verdict, message) = (Verdict::Infra, error.to_string());
    let outcome = judge::ended_early(&target.name, &lab.record().version, Vec::new(), verdict, &message);
    lab.record().stopped = Some(Stopped { verdict, message });
    lab.run.describe(&lab.info)?;
    Ok(outcome)
}

/// Builds one side and boots nothing; gives the kernel.
///
/// # Errors
/// As [`Error`] lists.
pub fn build_only(
    lab: &Lab,
    target: &Target,
    request: &Request,
    side: &Side,
    upto: Option<usize>,
) -> Result<Kernel, Error> {
    let work = lab.cache.work(&key(request), &lab.progress)?;
    let base = source::obtain(&work, &lab.cache, request, &lab.progress)?;
    build(lab, target, &work, &base, side, &side.patches(target, upto)?).map(|built| built.kernel)
}

/// A kernel that is ready to boot, with its work area, which is ours until this is dropped.
pub struct Ready {
    /// The kernel.
    pub kernel: Kernel,
    /// Where it was built.
    pub place: Place,
    /// What it was built with.
    pub spec: BuildSpec,
    /// The tree's version.
    pub version: String,
    _work: Work,
}

/// Builds one side, to be booted by hand.
///
/// # Errors
/// As [`Error`] lists.
pub fn ready(lab: &Lab, target: Option<&Target>, request: &Request, side: &Side) -> Result<Ready, Error> {
    let work = lab.cache.work(&key(request), &lab.progress)?;
    let base = source::obtain(&work, &lab.cache, request, &lab.progress)?;
    let borrowed = match target {
        Some(_) => None,
        None => Some(Target::nearest(&lab.checkout.join("patches"), &base.version)?),
    };
    let target = target.or(borrowed.as_ref()).context("no target lends its configuration")?;
    let built = build(lab, target, &work, &base, side, &side.patches(target, None)?)?;
    let Built { kernel, place, spec, .. } = built;
    Ok(Ready { kernel, place, spec, version: base.version, _work: work })
}

impl Lab {
    /// Begins another record, as of the same command.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin_anew(&mut self) -> anyhow::Result<()> {
        if !self.info.targets.is_empty() {
            self.info.targets.clear();
            self.run = RunDir::create(&self.checkout)?;
        }
        self.run.describe(&self.info)
    }

    /// Takes out of the record what an interrupted run left of a target there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(&mut self, target: &Target) -> anyhow::Result<()> {
        self.info.targets.retain(|info| info.target != target.name);
        self.run.forget(&target.name, &target.side_names())
    }

    /// Keeps how long the kernel took that was measured last.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn took(&mut self, time: Duration) -> anyhow::Result<()> {
        if let Some(last) = self.info.targets.last_mut() {
            last.seconds = Some(time.as_secs_f64());
        }
        self.run.describe(&self.info)
    }

    /// Begins the record of a kernel.
    pub(crate) fn begin(&mut self, name: String, target: Option<&Target>) -> anyhow::Result<()> {
        self.info.targets.push(TargetInfo {
            target: name,
            has_target: target.is_some(),
            version: String::new(),
            origin: String::new(),
            sides: Vec::new(),
            seconds: None,
            stopped: None,
        });
        target.map_or(Ok(()), |target| self.run.keep_target(target))
    }

    /// The record of the kernel that is being measured.
    pub(crate) fn record(&mut self) -> &mut TargetInfo {
        let last = self.info.targets.len() - 1;
        &mut self.info.targets[last]
    }
}

/// The name of the work area: one for each series, one for each tree of the user's.
pub(crate) fn key(request: &Request) -> String {
    match request {
        Request::Debian(source) => format!("{}-{}", source.package, source.series),
        Request::Linux(linux) => {
            let path = std::fs::canonicalize(&linux.path).unwrap_or_else(|_| linux.path.clone());
            let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
            format!("tree-{}", hex::encode(&hash[..6]))
        }
    }
}

fn sides(lab: &mut Lab, subject: &Subject<'_>, seen: &mut Vec<SideOutcome>) -> Result<(), Error> {
    // The kernels are there as long as the work area is ours.
    let (_work, built) = build_all(lab, subject)?;
    lab.record().sides = built.iter().map(describe).collect();
    lab.run.describe(&lab.info)?;
    for built in &built {
        seen.push(boot(lab, subject, built, built.side.name())?.0);
    }
    Ok(())
}

/// All kernels of a subject, whose record has begun. What is returned first keeps them from
/// being replaced.
///
/// # Errors
/// As [`Error`] lists.
pub(crate) fn build_all(lab: &mut Lab, subject: &Subject<'_>) -> Result<(Work, Vec<Built>), Error> {
    let work = lab.cache.work(&key(&subject.request), &lab.progress)?;
    let then = lab.repeats.as_ref().and_then(|run| run.targets.iter().find(|target| target.target == subject.name()));
    let request = pinned(subject.request.clone(), then);
    let base = source::obtain(&work, &lab.cache, &request, &lab.progress)?;
    lab.record().version.clone_from(&base.version);
    lab.record().origin.clone_from(&base.origin);
    lab.run.describe(&lab.info)?;
    let borrowed = match subject.target {
        Some(_) => None,
        None => Some(Target::nearest(&lab.checkout.join("patches"), &base.version)?),
    };
    let target = subject.target.or(borrowed.as_ref()).context("no target lends its configuration")?;
    // All kernels first: a series that does not build is told before anything boots.
    let mut built = Vec::new();
    for side in &subject.sides {
        let patches = side.patches(target, subject.upto)?;
        built.push(build(lab, target, &work, &base, side, &patches)?);
    }
    Ok((work, built))
}

/// What the record says of a side.
pub(crate) fn describe(built: &Built) -> SideInfo {
    SideInfo {
        side: built.side.name().to_owned(),
        commit: built.commit.to_string(),
        release: built.kernel.release.clone(),
        compiler: built.kernel.compiler.clone(),
        config: built.kernel.config.display().to_string(),
        kernel_hash: built.kernel.hash.clone(),
        patchset: Some(built.patchset.clone()),
    }
}

fn build(
    lab: &Lab,
    target: &Target,
    work: &Work,
    base: &Base,
    side: &Side,
    patches: &[PathBuf],
) -> Result<Built, Error> {
    let repository = Repository::open_bare(work.git())
        .with_context(|| format!("cannot open our repository {}", work.git().display()))?;
    let patches = series::load(patches)?;
    let commit = series::commit_side(&repository, base.commit, &patches)?;
    let tree = repository.find_commit(commit).and_then(|commit| commit.tree()).context("a commit has no tree")?.id();
    let place = Place {
        src: work.src(),
        build: lab.dress.build(work, lab.variant),
        kernels: work.kernels(),
        logs: work.logs(),
    };
    let over = lab.dress.fragment().map(|name| lab.checkout.join("kconfigs").join(format!("{name}.config")));
    let spec = BuildSpec { over: over.into_iter().collect(), ..spec(&lab.checkout, target, lab.variant) };
    let put = || {
        let phase = lab.progress.phase(format!("{} {}: source", base.version, side.name()));
        let switched = worktree::switch(&repository, &work.src(), commit)?;
        phase.done(format!("{} files written, {} removed", switched.written, switched.removed));
        Ok(())
    };
    let id = tree.to_string();
    let tree = kbuild::Tree { id: &id, since: &|before| worktree::changed(&repository, before, tree) };
    let kernel = kbuild::build(&place, &spec, side.name(), &tree, put, &lab.progress)?;
    Ok(Built { side: side.clone(), commit, patchset: series::digest(&patches), kernel, place, spec })
}

/// What decides how a target's kernels are built in this variant.
pub(crate) fn spec(checkout: &Path, target: &Target, variant: Variant) -> BuildSpec {
    let fragment = |name: &str| checkout.join("kconfigs").join(format!("{name}.config"));
    let names = target.config.fragments.iter().map(String::as_str).chain(variant.fragment());
    let lacks = target.variant.get(&variant).map(|variant| variant.absent.clone()).unwrap_or_default();
    BuildSpec {
        base: target.config.base.as_str().to_owned(),
        fragments: names.map(fragment).collect(),
        over: Vec::new(),
        absent: target.config.absent.clone().into_iter().chain(lacks).collect(),
        make_args: target.make.args.clone(),
    }
}

/// Boots a kernel, under the name `side` in the record.
///
/// # Errors
/// As [`Error`] lists.
pub(crate) fn boot(
    lab: &Lab,
    subject: &Subject<'_>,
    built: &Built,
    side: &str,
) -> Result<(SideOutcome, Transcript), Error> {
    let dir = lab.run.boot_dir(subject.name(), side)?;
    let archive = dir.join("initramfs.cpio");
    initramfs::write(&archive, &lab.init, &lab.plan)?;
    let order = boot::Order {
        kernel: &built.kernel.image,
        initramfs: &archive,
        accel: &lab.accel,
        memory_mib: lab.variant.memory_mib(),
        plan: &lab.plan,
        append: &lab.append,
    };
    let transcript = match &lab.vng {
        Some(vng) => vng::boot(vng, &order, &lab.init, &dir, &lab.progress)?,
        None => boot::boot(&order, &dir, &lab.progress)?,
    };
    lab.run.transcript(subject.name(), side, &transcript)?;
    same_kernel(&transcript, &built.kernel)?;
    let tolerate = subject.target.map_or(&[][..], |target| &target.tolerate);
    let outcome = judge::side(side, &transcript, &lab.plan, tolerate);
    lab.progress.say(format!("{} {side}: {}", subject.name(), outcome.verdict));
    Ok((outcome, transcript))
}

/// The kernel that says hello must be the one that was built.
pub(crate) fn same_kernel(transcript: &Transcript, kernel: &Kernel) -> Result<(), Error> {
    let said = transcript.frames.iter().find_map(|envelope| match &envelope.frame {
        Frame::Hello { kernel, .. } => Some(kernel),
        _ => None,
    });
    match said {
        Some(said) if *said != kernel.release => Err(Error::Infra(anyhow!(
            "built was Linux {}, but the machine runs {said}: the boot proves nothing about it",
            kernel.release
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use selftests::protocol::{Envelope, PROTOCOL};

    use super::*;
    use crate::transcript::Ending;

    #[test]
    fn another_kernel_than_the_built_one_is_noticed() {
        let hello = |kernel: &str| {
            let kernel = kernel.to_owned();
            Frame::Hello { protocol: PROTOCOL, kernel, nested: "svm".to_owned(), uptime_ms: 800 }
        };
        let transcript = |frame| Transcript {
            frames: vec![Envelope { seq: 0, frame }],
            stream_error: None,
            findings: Vec::new(),
            ending: Ending::Exited { code: 0 },
            boot_ms: Some(900),
            total_ms: 1000,
        };
        let kernel = Kernel {
            image: PathBuf::new(),
            config: PathBuf::new(),
            system_map: PathBuf::new(),
            release: "6.1.192".to_owned(),
            compiler: String::new(),
            seconds: 0.0,
            rebuilt: false,
            whole: false,
            hash: String::new(),
        };
        same_kernel(&transcript(hello("6.1.192")), &kernel).unwrap();
        let error = same_kernel(&transcript(hello("6.1.191")), &kernel).unwrap_err().to_string();
        assert!(error.contains("built was Linux 6.1.192, but the machine runs 6.1.191"), "{error}");
    }
}
