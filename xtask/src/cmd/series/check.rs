// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask series check`: every prefix of a series.
//!
//! Owns: the order of the checks. A prefix that fails does not stop the next one.
//! Each boot is a run with a record of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use git2::Repository;

use super::load;
use crate::cache::Work;
use crate::cli::CheckArgs;
use crate::cmd::lab;
use crate::error::Error;
use crate::kbuild::{self, Place};
use crate::measure::{self, Lab, Subject};
use crate::patch::{Patch, PatchFit};
use crate::proc::{Cmd, describe, tail};
use crate::report::prefixes::{self, Row};
use crate::report::table::Look;
use crate::series::{self, checkpatch, warnings};
use crate::side::Side;
use crate::source::{self, Base, Request};
use crate::target::Target;
use crate::verdict::Verdict;
use crate::worktree;

/// What each boot measures unless the user says more: with the controls enough to
/// know that KVM, swap and the fault path work.
const CELLS: [&str; 2] = ["anon.sync.read@1", "shmem.apf-halt.write@1"];
const TRIALS: u32 = 3;

/// The log of the objects that are made only for their warnings.
const OBJECTS: &str = "objects";

/// Checks the prefixes; the exit code is that of the worst.
pub(super) fn run(args: &CheckArgs, checkout: &Path) -> Result<u8, Error> {
    let (target, linux) = load(&args.on, checkout)?;
    let patches = series::load(&target.series()?)?;
    let last = args.upto.unwrap_or(patches.len());
    if patches.is_empty() || args.from == 0 || args.from > last || last > patches.len() {
        let (name, count) = (&target.name, patches.len());
        return Err(Error::NothingSelected(anyhow!(
            "the series of {name} has {count} patches: --from {} --upto {last} selects none",
            args.from
        )));
    }
    let request = measure::request(Some(&target), linux.as_ref())?;
    let mut short = args.measure.clone();
    if short.cell.is_empty() {
        short.cell = CELLS.map(str::to_owned).to_vec();
    }
    short.trials.get_or_insert(TRIALS);
    let mut lab = lab::open(&short, checkout, lab::Record::New)?;
    let mut rows = Vec::new();
    let (version, ended) = all(&mut lab, &target, &request, &patches[..last], args, &mut rows);
    if args.no_boot {
        lab.run.discard()?;
    }
    // What is known of the prefixes before an interruption is worth telling to a person.
    if ended.is_ok() && short.boot.manners.json {
        println!("{}", prefixes::json(&target.name, &version, &rows));
    } else if !rows.is_empty() && !short.boot.manners.json {
        print!("{}", prefixes::render(&format!("{} ({version})", target.name), &rows, Look::of_stdout()));
    }
    ended.map(|()| prefixes::verdict(&rows).exit_code())
}

/// Checks one prefix after the other, as long as there is sense in it. Says also
/// which version it was, as far as that is known.
fn all(
    lab: &mut Lab,
    target: &Target,
    request: &Request,
    patches: &[Patch],
    args: &CheckArgs,
    rows: &mut Vec<Row>,
) -> (String, Result<(), Error>) {
    let (version, fits) = match fits(lab, target, request, patches) {
        Ok(known) => known,
        Err(error) => return (String::new(), Err(error)),
    };
    let (known, tried) = (BTreeMap::new(), BTreeSet::new());
    let mut check = Check { lab, target, request, patches, known, tried };
    for number in args.from..=patches.len() {
        let started = std::time::Instant::now();
        let mut row = Row::new(number, &patches[number - 1].subject);
        row.applies = applies(&fits[number - 1]);
        if let Err(error) = check.prefix(!args.no_boot, &mut row) {
            return (version, Err(error));
        }
        row.seconds = started.elapsed().as_secs_f64();
        let (count, verdict, seconds) = (patches.len(), row.verdict, row.seconds);
        check.lab.progress.say(format!("{} {number}/{count}: {verdict} ({seconds:.0} s)", target.name));
        rows.push(row);
    }
    (version, Ok(()))
}

/// The tree's version, and how each patch fits on it behind the ones before.
fn fits(lab: &Lab, target: &Target, request: &Request, patches: &[Patch]) -> Result<(String, Vec<PatchFit>), Error> {
    let (_work, repository, base) = open(lab, request)?;
    let compat = series::commit_side(&repository, base.commit, &series::load(&target.compat()?)?)?;
    Ok((base.version, series::fits(&repository, compat, patches)?))
}

fn open(lab: &Lab, request: &Request) -> Result<(Work, Repository, Base), Error> {
    let work = lab.cache.work(&measure::key(request), &lab.progress)?;
    let base = source::obtain(&work, &lab.cache, request, &lab.progress)?;
    let git = work.git();
    let repository = Repository::open_bare(&git).with_context(|| format!("cannot open {}", git.display()))?;
    Ok((work, repository, base))
}

fn applies(fit: &PatchFit) -> String {
    match fit {
        PatchFit::Applies { offsets: 0, .. } => "exact".to_owned(),
        PatchFit::Applies { offsets, .. } => format!("{offsets} hunks moved"),
        _ => "no".to_owned(),
    }
}

struct Check<'a> {
    lab: &'a mut Lab,
    target: &'a Target,
    request: &'a Request,
    patches: &'a [Patch],
    /// Warnings of each file as the patch before left it.
    known: BTreeMap<String, Vec<String>>,
    /// Files that were given to make by themselves.
    tried: BTreeSet<String>,
}

impl Check<'_> {
    fn prefix(&mut self, boot: bool, row: &mut Row) -> Result<(), Error> {
        let built = self.build_and_boot(boot, row)?;
        if row.verdict == Verdict::ApplyFailed {
            return Ok(());
        }
        if let Err(error) = self.checkpatch(row) {
            row.fail(error)?;
        }
        if built && let Err(error) = self.warnings(row) {
            row.fail(error)?;
        }
        Ok(())
    }

    /// Builds the prefix; boots it, too, if that is asked for. The whole series up to
    /// here is `patched`, whose states nobody expects anything of. Says whether there
    /// is a kernel.
    fn build_and_boot(&mut self, boot: bool, row: &mut Row) -> Result<bool, Error> {
        if !boot {
            let built = measure::build_only(self.lab, self.target, self.request, &Side::Patched, Some(row.number));
            let is_built = built.is_ok();
            built.or_else(|error| row.fail(error))?;
            return Ok(is_built);
        }
        self.lab.begin_anew()?;
        let (request, upto) = (self.request.clone(), Some(row.number));
        let subject = Subject { target: Some(self.target), request, sides: vec![Side::Patched], upto };
        let outcome = measure::kernel(self.lab, &subject)?;
        self.lab.run.finish(&crate::judge::outcome(&self.lab.info.accel, vec![outcome.clone()], None))?;
        if let Some(side) = outcome.sides.first() {
            row.boot = side.verdict.to_string();
            row.worst(side.verdict, side.reasons.clone());
            return Ok(true);
        }
        row.worst(outcome.verdict, outcome.reasons);
        Ok(false)
    }

    /// The work area with the tree of a prefix put into place.
    fn tree(&self, number: usize) -> Result<Tree, Error> {
        let (work, repository, base) = open(self.lab, self.request)?;
        let files = Side::Patched.patches(self.target, Some(number))?;
        let commit = series::commit_side(&repository, base.commit, &series::load(&files)?)?;
        worktree::switch(&repository, &work.src(), commit)?;
        let (src, build) = (work.src(), work.build(self.lab.variant));
        Ok(Tree { place: Place { src, build, kernels: work.kernels(), logs: work.logs() }, _work: work })
    }

    fn checkpatch(&self, row: &mut Row) -> Result<(), Error> {
        let patch = &self.patches[row.number - 1];
        let tree = self.tree(row.number)?;
        let name = patch.path.file_name().unwrap_or_default().to_string_lossy();
        let (declared, open): (Vec<_>, Vec<_>) = complain(&tree.place.src, patch)?
            .into_iter()
            .partition(|complaint| self.target.excused(&complaint.class, &name));
        row.checkpatch = match (open.len(), declared.len()) {
            (0, 0) => "clean".to_owned(),
            (0, declared) => format!("clean, {declared} declared"),
            (open, _) => format!("{open} complaints"),
        };
        if !open.is_empty() {
            let told = open.into_iter().map(|complaint| format!("checkpatch {name} {}", complaint.text));
            row.worst(Verdict::ApplyFailed, told);
        }
        Ok(())
    }

    /// Compares the warnings of the files that the patch touches with those that
    /// they had before it.
    fn warnings(&mut self, row: &mut Row) -> Result<(), Error> {
        let touched: BTreeSet<String> =
            self.patches[row.number - 1].files.iter().filter_map(|file| file.new.clone()).collect();
        self.make_objects(row.number, &touched)?;
        let unknown: Vec<&String> = touched.iter().filter(|file| !self.known.contains_key(*file)).collect();
        if !unknown.is_empty() {
            let tree = self.tree(row.number - 1)?;
            for file in unknown {
                // A file that the patch makes has no warnings before it.
                let there = tree.place.src.join(file).exists();
                let found = if there { compile(&tree.place.build, file)?.unwrap_or_default() } else { Vec::new() };
                self.known.insert(file.clone(), found);
            }
        }
        let tree = self.tree(row.number)?;
        let (mut fresh, mut compiled, mut declared) = (Vec::new(), 0, 0);
        for file in touched {
            let Some(after) = compile(&tree.place.build, &file)? else {
                if self.target.leaves_out(&file) {
                    declared += 1;
                } else if warnings::command_file(&file).is_some() {
                    row.worst(
                        Verdict::Inconclusive,
                        [format!("{file} is not compiled in this configuration: nothing is known of its warnings")],
                    );
                }
                continue;
            };
            compiled += 1;
            let before = self.known.insert(file, after.clone()).unwrap_or_default();
            fresh.extend(warnings::new(&before, &after));
        }
        row.warnings = format!("{} new in {compiled} files", fresh.len());
        if declared > 0 {
            row.warnings += &format!(", {declared} declared");
        }
        if !fresh.is_empty() {
            row.worst(Verdict::BuildFailed, fresh.into_iter().map(|warning| format!("new warning: {warning}")));
        }
        Ok(())
    }

    /// A kept kernel says nothing about its build folder, which may have been
    /// emptied since. Whatever of the touched files has never been compiled there is
    /// compiled now, if it can be.
    fn make_objects(&mut self, number: usize, touched: &BTreeSet<String>) -> Result<(), Error> {
        let tree = self.tree(number)?;
        let lacks = |file: &&String| {
            warnings::command_file(file).is_some_and(|name| !tree.place.build.join(name).exists())
                && !self.tried.contains(*file)
        };
        let missing: Vec<String> = touched.iter().filter(lacks).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let spec = measure::spec(&self.lab.checkout, self.target, self.lab.variant);
        let objects: Vec<String> =
            missing.iter().filter_map(|file| Some(format!("{}.o", file.strip_suffix(".c")?))).collect();
        // The tree is put into place before `put`: it is that of a kernel which has been built.
        kbuild::objects(&tree.place, &spec, OBJECTS, &objects, || Ok(()), &self.lab.progress)?;
        self.tried.extend(missing);
        Ok(())
    }
}

/// A prefix's tree in a work area that is ours as long as this lives.
struct Tree {
    place: Place,
    _work: Work,
}

/// What the tree's own checkpatch says.
fn complain(src: &Path, patch: &Patch) -> Result<Vec<checkpatch::Complaint>, Error> {
    let script = src.join("scripts/checkpatch.pl");
    let file = std::path::absolute(&patch.path).context("cannot resolve the patch's path")?;
    let cmd = Cmd::new("perl").arg(script).arg(format!("--root={}", src.display())).args(checkpatch::ARGS).arg(file);
    let cmd = cmd.dir(src).env("LC_ALL", "C");
    // 1 says that it has something to say; to die of itself perl takes other numbers.
    let finished = cmd.output().map_err(|error| match error {
        Error::Infra(error) => Error::Infra(error.context("checkpatch.pl needs perl: apt-get install perl")),
        error => error,
    })?;
    let complaints = checkpatch::complaints(&String::from_utf8_lossy(&finished.stdout));
    match finished.status.code() {
        Some(0) => Ok(complaints),
        Some(1) if !complaints.is_empty() => Ok(complaints),
        _ => {
            let (ended, said) = (describe(finished.status), tail(&finished.stderr));
            Err(Error::Infra(anyhow!("`{cmd}` {ended} and says nothing about the patch{said}")))
        }
    }
}

/// The warnings about one file, all of them; `None` if this configuration does not
/// compile it.
fn compile(build: &Path, file: &str) -> Result<Option<Vec<String>>, Error> {
    let path: Option<PathBuf> = warnings::command_file(file).map(|name| build.join(name));
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let command =
        warnings::command(&text).with_context(|| format!("{} does not say how its object was made", path.display()))?;
    let finished = Cmd::new("sh").arg("-c").arg(&command).dir(build).env("LC_ALL", "C").output()?;
    let output = String::from_utf8_lossy(&finished.stderr).into_owned();
    if !finished.status.success() {
        return Err(Error::Build(anyhow!("`{command}` {}\n{output}", describe(finished.status))));
    }
    Ok(Some(warnings::warnings(&output)))
}
