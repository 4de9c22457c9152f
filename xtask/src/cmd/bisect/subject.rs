// SPDX-License-Identifier: GPL-2.0-only
//! From arguments to items and how each of them becomes a kernel.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::direction;
use crate::bisect::evidence::{Direction, Observation, Seen};
use crate::bisect::items::commits::{self, Ends};
use crate::bisect::items::configs::{Values, between};
use crate::bisect::items::{Items, releases, series as prefixes};
use crate::bisect::kernels::Recipe;
use crate::bisect::log::Log;
use crate::cache::Cache;
use crate::cli::{BisectArgs, DEFAULT_TARGET};
use crate::error::Error;
use crate::file;
use crate::measure;
use crate::series;
use crate::source::{LinuxArg, Request};
use crate::target::Target;
use crate::variant::Variant;

/// What is searched.
pub(super) struct Subject {
    pub(super) items: Items,
    pub(super) recipes: Vec<Recipe>,
    /// By item: the newest without it, where that is no matter of patches.
    pub(super) without: Vec<Recipe>,
    /// Answers of a log.
    pub(super) replayed: Vec<Observation>,
}

/// What the arguments ask for.
pub(super) fn of(args: &BisectArgs, checkout: &Path) -> Result<Subject, Error> {
    if let [good, bad] = &args.config[..] {
        return configurations(args, good, bad, checkout);
    }
    match (&args.linux, &args.series, &args.releases) {
        (Some(linux), ..) => history(args, linux),
        (_, Some(name), _) => of_series(args, &Target::load(&checkout.join("patches"), name)?),
        (.., Some(range)) => of_releases(range, checkout),
        _ => Err(Error::Usage(anyhow!("needed is one of --linux, --series, --releases, --config and --resume"))),
    }
}

fn history(args: &BisectArgs, linux: &Path) -> Result<Subject, Error> {
    let linux = std::fs::canonicalize(linux)
        .map_err(|error| Error::Usage(anyhow!("--linux: there is nothing at {}: {error}", linux.display())))?;
    let direction = direction(args);
    let log = args.replay.as_deref().map(read_log).transpose()?;
    let (mut good, mut bad) = (args.good.clone(), args.bad.clone());
    if let Some(log) = &log {
        let (old, new) = log_ends(log);
        let (theirs_good, theirs_bad) = match direction {
            Direction::Break => (old, new),
            Direction::Fix => (new, old),
        };
        if good.is_empty() {
            good = theirs_good;
        }
        if bad.is_empty() {
            bad = theirs_bad;
        }
    }
    let items = commits::read(&linux, Ends { good: &good, bad: &bad }, direction, &[])?;
    let replayed = log.map_or_else(Vec::new, |log| {
        let item = |id: &str| items.list.iter().position(|item| item.id == id);
        let marks = log.marks.iter().filter_map(|mark| Some(Observation::fresh(item(&mark.id)?, mark.seen)));
        marks.collect()
    });
    let recipe = |id: &str| Recipe {
        request: Request::Linux(LinuxArg { path: linux.clone(), rev: Some(id.to_owned()) }),
        patches: Vec::new(),
        target: None,
        fragments: Vec::new(),
    };
    let recipes = items.list.iter().map(|item| recipe(&item.id)).collect();
    Ok(Subject { items, recipes, without: Vec::new(), replayed })
}

/// The symbols in which two configurations differ.
fn configurations(args: &BisectArgs, good: &Path, bad: &Path, checkout: &Path) -> Result<Subject, Error> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("--config: cannot read {}", path.display()));
        text.map(|text| Values::parse(&text)).map_err(Error::Usage)
    };
    let target = Target::load(&checkout.join("patches"), DEFAULT_TARGET)?;
    let linux = args.linux.clone().map(|path| LinuxArg { path, rev: None });
    let request = measure::request(Some(&target), linux.as_ref())?;
    let mut own = String::new();
    for fragment in measure::spec(checkout, &target, Variant::Measure).fragments {
        own += &std::fs::read_to_string(&fragment).with_context(|| format!("cannot read {}", fragment.display()))?;
    }
    let (old, new) = match direction(args) {
        Direction::Break => (read(good)?, read(bad)?),
        Direction::Fix => (read(bad)?, read(good)?),
    };
    let same = || Error::NothingSelected(anyhow!("--config: {} and {} do not differ", good.display(), bad.display()));
    let between = between(&old, &new, &Values::parse(&own)).ok_or_else(same)?;
    let last = between.items.list.last().map_or("", |item| &item.id);
    // kbuild wants files; they are the same for the same two configurations.
    let folder = Cache::open()?.root.join("bisect-configs").join(last);
    file::make_dir(&folder)?;
    let recipe = |name: String, text: &String| -> Result<Recipe, Error> {
        let path = folder.join(name);
        file::write(&path, text.as_bytes())?;
        let (request, target) = (request.clone(), args.linux.is_none().then(|| target.clone()));
        Ok(Recipe { request, patches: Vec::new(), target, fragments: vec![path] })
    };
    let all = between.fragments.iter().enumerate().map(|(at, text)| recipe(format!("{at}.config"), text));
    let recipes = all.collect::<Result<_, _>>()?;
    let all = between.without.iter().enumerate().map(|(at, text)| recipe(format!("without-{at}.config"), text));
    let without = all.collect::<Result<_, _>>()?;
    Ok(Subject { items: between.items, recipes, without, replayed: Vec::new() })
}

fn read_log(path: &Path) -> Result<Log, Error> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--replay: cannot read {}", path.display()))
        .map_err(Error::Usage)?;
    Log::parse(&text).map_err(|error| Error::Usage(anyhow!("--replay {}: {error}", path.display())))
}

/// Old and new ends: the first mark of each side.
fn log_ends(log: &Log) -> (Vec<String>, Vec<String>) {
    let first = |seen| log.marks.iter().find(|mark| mark.seen == seen).map(|mark| mark.id.clone());
    let of = |seen| first(seen).into_iter().collect();
    (of(Seen::Good), of(Seen::Bad))
}

fn of_series(args: &BisectArgs, target: &Target) -> Result<Subject, Error> {
    let request = measure::request(Some(target), None)?;
    let patches = series::load(&target.series()?)?;
    let recipe =
        |patches| Recipe { request: request.clone(), patches, target: Some(target.clone()), fragments: Vec::new() };
    let Some(number) = args.patch else {
        let items = prefixes::patches(&target.name, &patches);
        let recipes = (0..=patches.len()).map(|count| recipe(patches[..count].to_vec())).collect();
        return Ok(Subject { items, recipes, without: Vec::new(), replayed: Vec::new() });
    };
    let Some(patch) = number.checked_sub(1).and_then(|at| patches.get(at)) else {
        let (name, count) = (&target.name, patches.len());
        return Err(Error::NothingSelected(anyhow!("--patch {number}: the series of {name} has {count} patches")));
    };
    let (items, parts) = prefixes::hunks(patch);
    let before = &patches[..number - 1];
    // Without any hunk there is no patch.
    let with = |(count, part)| recipe(before.iter().cloned().chain(Some(part).filter(|_| count > 0)).collect());
    let recipes = parts.into_iter().enumerate().map(with).collect();
    Ok(Subject { items, recipes, without: Vec::new(), replayed: Vec::new() })
}

fn of_releases(range: &str, checkout: &Path) -> Result<Subject, Error> {
    let (items, targets, left_out) = releases::read(&checkout.join("patches"), range)?;
    for name in left_out {
        eprintln!("{name} is in no package archive, and is left out");
    }
    let recipe = |target: Target| -> Result<Recipe, Error> {
        let request = measure::request(Some(&target), None)?;
        Ok(Recipe { request, patches: Vec::new(), target: Some(target), fragments: Vec::new() })
    };
    let recipes = targets.into_iter().map(recipe).collect::<Result<_, _>>()?;
    Ok(Subject { items, recipes, without: Vec::new(), replayed: Vec::new() })
}
