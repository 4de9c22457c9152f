// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask series check`: every prefix of a series.
//!
//! Owns: the order of the checks, and the table. A prefix that fails does not stop
//! the next one. Each boot is a run with a record of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use git2::Repository;

use super::load;
use crate::cache::Work;
use crate::cli::CheckArgs;
use crate::cmd::lab;
use crate::error::Error;
use crate::measure::{self, Lab, Subject};
use crate::patch::Patch;
use crate::proc::Cmd;
use crate::report::table::{self, Look};
use crate::series::{self, checkpatch, warnings};
use crate::side::Side;
use crate::source::{self, LinuxArg, Request};
use crate::target::Target;
use crate::verdict::Verdict;
use crate::worktree;

/// What each boot measures unless the user says more: with the controls enough to
/// know that KVM, swap and the fault path work.
const CELLS: [&str; 2] = ["anon.sync.read@1", "shmem.apf-halt.write@1"];
const TRIALS: u32 = 3;

/// The class under which `target.toml` declares that its tree's script cannot be run.
const UNRUNNABLE: &str = "UNRUNNABLE";

/// What was found out about one prefix.
struct Row {
    number: usize,
    subject: String,
    verdict: Verdict,
    checkpatch: String,
    warnings: String,
    boot: String,
    seconds: f64,
    problems: Vec<String>,
}

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
    let mut short = args.measure.clone();
    if short.cell.is_empty() {
        short.cell = CELLS.map(str::to_owned).to_vec();
    }
    short.trials.get_or_insert(TRIALS);
    let mut lab = lab::open(&short, checkout, None)?;
    let mut known = BTreeMap::new();
    let mut rows = Vec::new();
    for number in args.from..=last {
        let started = std::time::Instant::now();
        let mut check =
            Check { lab: &mut lab, target: &target, linux: linux.as_ref(), patches: &patches, known: &mut known };
        let mut row = check.prefix(number, !args.no_boot)?;
        row.seconds = started.elapsed().as_secs_f64();
        lab.progress.say(format!("{} {number}/{}: {} ({:.0} s)", target.name, patches.len(), row.verdict, row.seconds));
        rows.push(row);
    }
    if args.no_boot {
        lab.run.discard()?;
    }
    Ok(tell(&target, &rows, short.json)?.exit_code())
}

struct Check<'a> {
    lab: &'a mut Lab,
    target: &'a Target,
    linux: Option<&'a LinuxArg>,
    patches: &'a [Patch],
    /// Warnings of each file as the patch before left it.
    known: &'a mut BTreeMap<String, Vec<String>>,
}

impl Check<'_> {
    fn request(&self) -> Result<Request, Error> {
        measure::request(Some(self.target), self.linux)
    }

    fn prefix(&mut self, number: usize, boot: bool) -> Result<Row, Error> {
        let patch = &self.patches[number - 1];
        let mut row = Row {
            number,
            subject: patch.subject.clone(),
            verdict: Verdict::Pass,
            checkpatch: String::new(),
            warnings: "-".to_owned(),
            boot: "-".to_owned(),
            seconds: 0.0,
            problems: Vec::new(),
        };
        self.build_and_boot(number, boot, &mut row)?;
        if row.verdict < Verdict::ApplyFailed {
            self.checkpatch(number, &mut row)?;
            self.warnings(number, &mut row)?;
        }
        Ok(row)
    }

    /// Builds the prefix; boots it, too, if that is asked for. The whole series up to
    /// here is `patched`, whose states nobody expects anything of.
    fn build_and_boot(&mut self, number: usize, boot: bool, row: &mut Row) -> Result<(), Error> {
        let request = self.request()?;
        if !boot {
            return match measure::build_only(self.lab, self.target, &request, &Side::Patched, Some(number)) {
                Ok(()) => Ok(()),
                Err(error) => row.fail(error),
            };
        }
        self.lab.begin_anew()?;
        let subject = Subject { target: Some(self.target), request, sides: vec![Side::Patched], upto: Some(number) };
        let outcome = measure::kernel(self.lab, &subject)?;
        self.lab.run.finish(&crate::judge::outcome(&self.lab.info.accel, vec![outcome.clone()], None))?;
        match outcome.sides.first() {
            Some(side) => {
                row.boot = side.verdict.to_string();
                row.worst(side.verdict);
                row.problems.extend(side.reasons.clone());
            }
            None => {
                row.worst(outcome.verdict);
                row.problems.extend(outcome.reasons);
            }
        }
        Ok(())
    }

    /// The work area with the tree of this prefix put into place.
    fn tree(&self, number: usize) -> Result<(Work, PathBuf, PathBuf), Error> {
        let request = self.request()?;
        let work = self.lab.cache.work(&measure::key(&request), &self.lab.progress)?;
        let base = source::obtain(&work, &self.lab.cache, &request, &self.lab.progress)?;
        let git = work.git();
        let repository = Repository::open_bare(&git).with_context(|| format!("cannot open {}", git.display()))?;
        let files = Side::Patched.patches(self.target, Some(number))?;
        let commit = series::commit_side(&repository, base.commit, &series::load(&files)?)?;
        worktree::switch(&repository, &work.src(), commit)?;
        let (src, build) = (work.src(), work.build(self.lab.variant));
        Ok((work, src, build))
    }

    fn checkpatch(&self, number: usize, row: &mut Row) -> Result<(), Error> {
        let patch = &self.patches[number - 1];
        let (_work, src, _) = self.tree(number)?;
        let script = src.join("scripts/checkpatch.pl");
        let file = std::path::absolute(&patch.path).context("cannot resolve the patch's path")?;
        let cmd =
            Cmd::new("perl").arg(script).arg(format!("--root={}", src.display())).args(checkpatch::ARGS).arg(file);
        let cmd = cmd.dir(&src).env("LC_ALL", "C");
        let finished = cmd.run()?;
        let complaints = checkpatch::complaints(&String::from_utf8_lossy(&finished.stdout));
        let name = patch.path.file_name().unwrap_or_default().to_string_lossy();
        if !finished.status.success() && complaints.is_empty() {
            // An old script under a new perl.
            let said = String::from_utf8_lossy(&finished.stderr).lines().next().unwrap_or_default().to_owned();
            "does not run".clone_into(&mut row.checkpatch);
            if !self.target.excused(UNRUNNABLE, &name) {
                row.worst(Verdict::Infra);
                row.problems.push(format!("`{cmd}` gave up without a word about the patch: {said}"));
            }
            return Ok(());
        }
        let (declared, open): (Vec<_>, Vec<_>) =
            complaints.into_iter().partition(|complaint| self.target.excused(&complaint.class, &name));
        row.checkpatch = match (open.len(), declared.len()) {
            (0, 0) => "clean".to_owned(),
            (0, declared) => format!("clean, {declared} declared"),
            (open, _) => format!("{open} complaints"),
        };
        if !open.is_empty() {
            row.worst(Verdict::ApplyFailed);
            row.problems.extend(open.into_iter().map(|complaint| format!("checkpatch {name} {}", complaint.text)));
        }
        Ok(())
    }

    /// Compares the warnings of the files that the patch touches with those that
    /// they had before it.
    fn warnings(&mut self, number: usize, row: &mut Row) -> Result<(), Error> {
        let touched: Vec<String> = self.patches[number - 1].files.iter().map(|file| file.path().to_owned()).collect();
        let unknown: Vec<&String> = touched.iter().filter(|file| !self.known.contains_key(*file)).collect();
        if !unknown.is_empty() {
            let (_work, _, build) = self.tree(number - 1)?;
            for file in unknown {
                let found = compile(&build, file)?.unwrap_or_default();
                self.known.insert(file.clone(), found);
            }
        }
        let (_work, _, build) = self.tree(number)?;
        let mut fresh = Vec::new();
        let mut compiled = 0;
        for file in touched {
            let Some(after) = compile(&build, &file)? else { continue };
            compiled += 1;
            let before = self.known.insert(file, after.clone()).unwrap_or_default();
            fresh.extend(warnings::new(&before, &after));
        }
        row.warnings = format!("{} new in {compiled} files", fresh.len());
        if !fresh.is_empty() {
            row.worst(Verdict::BuildFailed);
            row.problems.extend(fresh.into_iter().map(|warning| format!("new warning: {warning}")));
        }
        Ok(())
    }
}

impl Row {
    fn worst(&mut self, verdict: Verdict) {
        self.verdict = self.verdict.max(verdict);
    }

    /// An error about this prefix alone; others end everything.
    fn fail(&mut self, error: Error) -> Result<(), Error> {
        match error.verdict() {
            Some(verdict) if !matches!(error, Error::Interrupted) => {
                self.worst(verdict);
                self.problems.push(error.to_string());
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// The warnings about one file, all of them; `None` if this configuration does not
/// compile it.
fn compile(build: &Path, file: &str) -> Result<Option<Vec<String>>, Error> {
    let Some(path) = warnings::command_file(file).map(|name| build.join(name)).filter(|path| path.exists()) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let command =
        warnings::command(&text).with_context(|| format!("{} does not say how its object was made", path.display()))?;
    let finished = Cmd::new("sh").arg("-c").arg(&command).dir(build).env("LC_ALL", "C").run()?;
    let output = String::from_utf8_lossy(&finished.stderr).into_owned();
    if !finished.status.success() {
        return Err(Error::Build(anyhow!("`{command}` failed:\n{output}")));
    }
    Ok(Some(warnings::warnings(&output)))
}

fn tell(target: &Target, rows: &[Row], json: bool) -> Result<Verdict, Error> {
    let worst = rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Inconclusive);
    if json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!("{}", serde_json::json!({ "target": target.name, "verdict": worst, "prefixes": rows }));
        return Ok(worst);
    }
    let mut grid = table::grid(Look::of_stdout());
    grid.set_header(["", "patch", "checkpatch", "warnings", "boot", "verdict", "seconds"]);
    for row in rows {
        grid.add_row([
            row.number.to_string(),
            row.subject.clone(),
            row.checkpatch.clone(),
            row.warnings.clone(),
            row.boot.clone(),
            row.verdict.to_string(),
            format!("{:.0}", row.seconds),
        ]);
    }
    println!("{}: {}\n{grid}", target.name, worst);
    for row in rows {
        for problem in &row.problems {
            println!("  {}: {}", row.number, problem.replace('\n', "\n    "));
        }
    }
    Ok(worst)
}

impl Row {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "number": self.number,
            "subject": self.subject,
            "verdict": self.verdict,
            "checkpatch": self.checkpatch,
            "warnings": self.warnings,
            "boot": self.boot,
            "seconds": self.seconds,
            "problems": self.problems,
        })
    }
}
