// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask series check`: every prefix of a series.
//!
//! Owns: the order of the checks. A prefix that fails does not stop the next one.
//! Each boot is a run with a record of its own.

use std::path::Path;

use anyhow::anyhow;

use super::load;
use crate::cli::CheckArgs;
use crate::cmd::lab;
use crate::error::Error;
use crate::measure::{self, Lab, Subject};
use crate::patch::Patch;
use crate::prefix::{self, Prefixes, Shop};
use crate::report::prefixes::{self, Row};
use crate::report::table::Look;
use crate::series;
use crate::side::Side;
use crate::source::Request;
use crate::target::Target;
use crate::times;
use crate::verdict::Verdict;

/// What each boot measures unless the user says more: with the controls enough to
/// know that KVM, swap and the fault path work.
const CELLS: [&str; 2] = ["anon.sync.read@1", "shmem.apf-halt.write@1"];
const TRIALS: u32 = 3;

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
    let (version, fits) = match prefix::fits(&Shop::from(&*lab), target, request, patches) {
        Ok(known) => known,
        Err(error) => return (String::new(), Err(error)),
    };
    let mut check = Check { lab, target, request, patches, prefixes: Prefixes::new(target, request, patches) };
    for number in args.from..=patches.len() {
        let started = std::time::Instant::now();
        let mut row = Row::new(number, &patches[number - 1].subject);
        row.applies = prefix::applies(&fits[number - 1].fit);
        if let Err(error) = check.prefix(!args.no_boot, &mut row) {
            return (version, Err(error));
        }
        row.seconds = started.elapsed().as_secs_f64();
        let (count, verdict, seconds) = (patches.len(), row.verdict, row.seconds);
        rows.push(row);
        let took: Vec<f64> = rows.iter().map(|row| row.seconds).collect();
        let rest = times::rest(&took, count - number).map_or_else(String::new, |rest| format!("; the others {rest}"));
        check.lab.progress.say(format!("{} {number}/{count}: {verdict} ({seconds:.0} s){rest}", target.name));
    }
    (version, Ok(()))
}

struct Check<'a> {
    lab: &'a mut Lab,
    target: &'a Target,
    request: &'a Request,
    patches: &'a [Patch],
    prefixes: Prefixes<'a>,
}

impl Check<'_> {
    fn prefix(&mut self, boot: bool, row: &mut Row) -> Result<(), Error> {
        let built = self.build_and_boot(boot, row)?;
        if row.verdict == Verdict::ApplyFailed {
            return Ok(());
        }
        let (shop, number) = (Shop::from(&*self.lab), row.number);
        if let Err(error) =
            self.prefixes.checkpatch(&shop, &self.patches[number - 1], (number, Verdict::ApplyFailed), row)
        {
            row.fail(error)?;
        }
        if built && let Err(error) = self.prefixes.warnings(&shop, number, number - 1, row) {
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
            built.map(drop).or_else(|error| row.fail(error))?;
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
}
