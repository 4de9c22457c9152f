// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask review`: anybody's series, looked at.
//!
//! Owns: the order of it, and what is printed where. What a patch or a boot means is
//! decided in `review`; how a prefix is asked, in `prefix`.

mod boots;
mod desk;
mod input;

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::cache::Cache;
use crate::cli::{DEFAULT_TARGET, ReviewArgs};
use crate::cmd::lab;
use crate::error::Error;
use crate::file;
use crate::measure::{self, Lab};
use crate::patch::{Fitted, Patch};
use crate::prefix::{self, Prefixes, Shop};
use crate::progress::Progress;
use crate::report::prefixes::Row;
use crate::report::review as told;
use crate::report::table::Look;
use crate::review::plan::{self, Plan};
use crate::review::submission::Submission;
use crate::review::{Review, SCHEMA, effect::Unchanged};
use crate::series;
use crate::side::Side;
use crate::source::{LinuxArg, Request};
use crate::target::Target;
use crate::times;
use crate::verdict::Verdict;
use desk::Desk;

/// Runs it; the exit code is that of the worst.
///
/// # Errors
/// As [`Error`] lists. With `--json` or `--b4` an error that stands for a verdict is an
/// object on standard output too.
pub fn run(args: &ReviewArgs, checkout: &Path) -> Result<u8, Error> {
    let (json, b4) = (args.measure.boot.manners.json, args.b4);
    match review(args, checkout) {
        Ok((review, desk)) => {
            let markdown = told::markdown(&review);
            let mut text = serde_json::to_vec_pretty(&review).context("cannot encode the review")?;
            text.push(b'\n');
            desk.write("review.json", &text)?;
            desk.write("review.md", markdown.as_bytes())?;
            print(args, &review, &markdown)?;
            Ok(review.exit)
        }
        Err(error) => {
            if let (true, Some(verdict)) = (json || b4, error.verdict()) {
                let (exit, reason) = (error.exit_code(), error.to_string());
                let object =
                    serde_json::json!({ "schema": SCHEMA, "verdict": verdict, "exit": exit, "reasons": [reason] });
                println!("{}", if b4 { told::b4_error(&reason) } else { object });
            }
            Err(error)
        }
    }
}

fn print(args: &ReviewArgs, review: &Review, markdown: &str) -> Result<(), Error> {
    if args.measure.boot.manners.json {
        println!("{}", serde_json::to_string(review).context("cannot encode the review")?);
    } else if args.b4 {
        println!("{}", told::b4(review));
    } else if args.markdown.as_deref() == Some(Path::new("-")) {
        std::io::stdout().write_all(markdown.as_bytes()).context("cannot write to standard output")?;
    } else {
        print!("{}", told::table(review, Look::of_stdout()));
    }
    match &args.markdown {
        Some(path) if path != Path::new("-") => Ok(file::write(path, markdown.as_bytes())?),
        _ => Ok(()),
    }
}

/// What the review is of, and on what.
struct Bench<'a> {
    args: &'a ReviewArgs,
    checkout: &'a Path,
    cache: Cache,
    progress: Progress,
    /// With the series in place of its own.
    target: Target,
    request: Request,
    version: String,
    submission: Submission,
    /// Every patch that could be read, by its place.
    sent: Vec<Option<Patch>>,
    plan: Plan,
}

fn review(args: &ReviewArgs, checkout: &Path) -> Result<(Review, Desk), Error> {
    let linux = args.linux.as_deref();
    let linux: Option<LinuxArg> = linux.map(|text| text.parse().unwrap_or_else(|never: Infallible| match never {}));
    // Refused before anything is fetched, if it is to be refused.
    let submission = input::read(args, linux.as_ref())?;
    let (cache, progress) = (Cache::open()?, Progress::new(args.measure.boot.manners.quiet));
    for passed in &submission.passed_over {
        progress.say(format!("passed over: {passed}"));
    }
    let name = args.on.as_deref().or(linux.is_none().then_some(DEFAULT_TARGET));
    let named = name.map(|name| Target::load(&checkout.join("patches"), name)).transpose()?;
    let request = measure::request(named.as_ref(), linux.as_ref())?;
    let shop = Shop { checkout, cache: &cache, progress: &progress, variant: args.measure.config };
    let target = match named {
        Some(target) => target,
        None => Target::nearest(&checkout.join("patches"), &prefix::open(&shop, &request)?.2.version)?,
    };
    let parsed: Vec<Patch> = submission.entries.iter().filter_map(|entry| entry.parsed.clone().ok()).collect();
    let (version, fits) = prefix::fits(&shop, &target, &request, &parsed)?;
    let plan = plan::plan(&submission.entries, &fits, args.trust);
    let desk = Desk::create(checkout, &cache.root, !args.no_build)?;
    let files = desk.keep(&submission)?;
    let own = desk.lay_out(&target, &submission, &plan)?;
    let sent = submission.entries.iter().zip(files).map(|(entry, path)| {
        let patch = entry.parsed.as_ref().ok()?;
        Some(Patch { path, ..patch.clone() })
    });
    let sent = sent.collect();
    let rows = rows(&submission, &fits, &plan);
    let bench = Bench { args, checkout, cache, progress, target: own, request, version, submission, sent, plan };
    Ok((bench.review(rows)?, desk))
}

/// What is known before anything is built.
fn rows(submission: &Submission, fits: &[Fitted], plan: &Plan) -> Vec<Row> {
    let mut fits = fits.iter();
    let mut rows = Vec::new();
    for ((entry, step), number) in submission.entries.iter().zip(&plan.steps).zip(1..) {
        let mut row = Row::new(number, &entry.subject);
        match (&entry.parsed, entry.parsed.as_ref().ok().and_then(|_| fits.next())) {
            (Ok(_), Some(fitted)) => {
                row.applies = prefix::applies(&fitted.fit);
                if !fitted.fit.applies() {
                    let all = if fitted.refused.is_empty() { vec![fitted.fit.clone()] } else { fitted.refused.clone() };
                    row.worst(Verdict::ApplyFailed, all.iter().map(ToString::to_string));
                }
            }
            (Err(why), _) => {
                row.applies = "unreadable".to_owned();
                row.worst(Verdict::ApplyFailed, why.iter().cloned());
            }
            (Ok(_), None) => row.worst(Verdict::Infra, ["it was not tried on the tree".to_owned()]),
        }
        if let Some(why) = &step.not_built
            && step.prefix.is_some()
        {
            row.worst(Verdict::Inconclusive, [format!("not built: {why}")]);
        }
        rows.push(row);
    }
    rows
}

impl Bench<'_> {
    fn review(&self, mut rows: Vec<Row>) -> Result<Review, Error> {
        let mut review = Review {
            schema: SCHEMA,
            verdict: Verdict::Pass,
            exit: 0,
            title: self.submission.title.clone(),
            revision: self.submission.revision,
            passed_over: self.submission.passed_over.clone(),
            target: self.target.name.clone(),
            version: self.version.clone(),
            accel: None,
            not_booted: self.not_booted(),
            patches: Vec::new(),
            effects: Vec::new(),
            unchanged: Unchanged::default(),
            trailers: self.submission.trailers.clone(),
            reasons: Vec::new(),
            run: None,
        };
        let patches = series::load(&self.target.series()?)?;
        let mut prefixes = Prefixes::new(&self.target, &self.request, &patches);
        let mut whole = Verdict::Pass;
        if self.args.no_build || self.plan.nothing.is_some() || self.plan.longest == 0 {
            self.read_only(&prefixes, &mut rows)?;
        } else {
            let mut lab = lab::open(&self.args.measure, self.checkout, lab::Record::New)?;
            let kernels = self.build(&mut lab, &mut prefixes, &mut rows)?;
            if review.not_booted.is_none() {
                whole = boots::boot(self, &mut lab, &kernels, &mut rows, &mut review)?;
            } else {
                lab.run.discard()?;
            }
        }
        review.patches = rows;
        Ok(review.concluded(whole))
    }

    /// Why nothing is booted, if that is known before anything is built.
    fn not_booted(&self) -> Option<String> {
        let asked = |flag: bool, name: &str| flag.then(|| format!("{name} was given"));
        asked(self.args.no_build, "--no-build")
            .or_else(|| self.plan.nothing.clone())
            .or_else(|| (self.plan.longest == 0).then(|| "no patch of it can be built here".to_owned()))
            .or_else(|| asked(self.args.no_boot, "--no-boot"))
    }

    fn shop(&self) -> Shop<'_> {
        let variant = self.args.measure.config;
        Shop { checkout: self.checkout, cache: &self.cache, progress: &self.progress, variant }
    }

    /// checkpatch alone.
    fn read_only(&self, prefixes: &Prefixes<'_>, rows: &mut [Row]) -> Result<(), Error> {
        for (at, row) in rows.iter_mut().enumerate() {
            self.checkpatch(prefixes, at, row)?;
        }
        Ok(())
    }

    /// In the tree of the longest prefix that may be put into place.
    fn checkpatch(&self, prefixes: &Prefixes<'_>, at: usize, row: &mut Row) -> Result<(), Error> {
        let Some(patch) = &self.sent[at] else { return Ok(()) };
        let before = self.plan.steps[..=at].iter().filter_map(|step| step.prefix).max().unwrap_or(0);
        let tree = (before.min(self.plan.longest), Verdict::Inconclusive);
        prefixes.checkpatch(&self.shop(), patch, tree, row).or_else(|error| row.fail(error))
    }

    /// Builds every prefix that may be; the kernel's digest of each, that of the tree
    /// without the series first. One that does not build has none.
    fn build(
        &self,
        lab: &mut Lab,
        prefixes: &mut Prefixes<'_>,
        rows: &mut [Row],
    ) -> Result<Vec<Option<String>>, Error> {
        let hash = |lab: &Lab, upto: usize| {
            let side = if upto == 0 { Side::Baseline } else { Side::Patched };
            measure::build_only(lab, &self.target, &self.request, &side, (upto > 0).then_some(upto))
        };
        let baseline = hash(lab, 0).map_err(|error| match error {
            Error::Build(error) => Error::Infra(error.context("the tree does not build without the series")),
            error => error,
        })?;
        let mut kernels = vec![Some(baseline.hash)];
        let (mut good, mut took) = (0, Vec::new());
        for (at, (row, step)) in rows.iter_mut().zip(&self.plan.steps).enumerate() {
            let started = std::time::Instant::now();
            let prefix = step.prefix.filter(|_| step.not_built.is_none());
            if let Some(prefix) = prefix {
                match hash(lab, prefix) {
                    Ok(kernel) => kernels.push(Some(kernel.hash)),
                    Err(error) => {
                        row.fail(error)?;
                        kernels.push(None);
                    }
                }
            }
            self.checkpatch(prefixes, at, row)?;
            if let Some(prefix) = prefix.filter(|&prefix| kernels[prefix].is_some()) {
                prefixes.warnings(&self.shop(), prefix, good, row).or_else(|error| row.fail(error))?;
                good = prefix;
            }
            row.seconds = started.elapsed().as_secs_f64();
            let (count, verdict, seconds) = (self.plan.steps.len(), row.verdict, row.seconds);
            took.push(seconds);
            let rest =
                times::rest(&took, count - took.len()).map_or_else(String::new, |rest| format!("; the others {rest}"));
            self.progress.say(format!("patch {}/{count}: {verdict} ({seconds:.0} s){rest}", at + 1));
        }
        Ok(kernels)
    }

    /// The number, among all patches, of the one that a prefix ends with.
    fn number(&self, prefix: usize) -> usize {
        self.plan.steps.iter().position(|step| step.prefix == Some(prefix)).map_or(0, |at| at + 1)
    }
}
