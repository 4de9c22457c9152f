// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`: from a target to a verdict.
//!
//! Owns: what the arguments mean, and what is printed where. Nothing is decided
//! here but what comes next.

use std::convert::Infallible;
use std::path::Path;

use super::lab::{self, Record};
use super::{finish, print};
use crate::cli::{Runner, TestArgs};
use crate::dress::Dress;
use crate::error::Error;
use crate::judge;
use crate::measure::{self, Subject};
use crate::outcome::Outcome;
use crate::side::Side;
use crate::source::LinuxArg;
use crate::target::Target;
use crate::vng::{self, Places};

/// Runs it; the exit code is the outcome's.
///
/// # Errors
/// As [`Error`] lists. With `--json` an error that stands for a verdict is an
/// object on standard output too, so that a reader always finds one.
pub fn run(args: &TestArgs, checkout: &Path) -> Result<u8, Error> {
    let result = measure(args, checkout, Record::New).and_then(|outcome| {
        print(&outcome, args.measure.boot.manners.json)?;
        Ok(outcome.exit)
    });
    if let (true, Err(error)) = (args.measure.boot.manners.json, &result)
        && let Some(outcome) = judge::without_kernel(error)
    {
        print(&outcome, true)?;
    }
    result
}

/// From the arguments to the outcome, which is stored.
///
/// # Errors
/// As [`Error`] lists.
pub(super) fn measure(args: &TestArgs, checkout: &Path, record: Record<'_>) -> Result<Outcome, Error> {
    let linux = args
        .linux
        .as_deref()
        .map(|text| -> LinuxArg { text.parse().unwrap_or_else(|never: Infallible| match never {}) });
    let target = args.target().map(|name| Target::load(&checkout.join("patches"), name)).transpose()?;
    let request = measure::request(target.as_ref(), linux.as_ref())?;
    let sides = sides(args, target.as_ref())?;

    // Before anything is built.
    let vng = match args.runner {
        Runner::Own => None,
        Runner::Vng => Some(vng::find(&Places::here(args.vng.as_deref()))?),
    };

    let mut lab = lab::open(&args.measure, checkout, record)?;
    if let Some(vng) = vng {
        lab.info.runner = Some(vng.version.clone());
        (lab.dress, lab.vng) = (Dress::Vng, Some(vng));
    }
    let subject = Subject { target: target.as_ref(), request, sides, upto: args.series_upto };
    let measured = match measure::kernel(&mut lab, &subject) {
        // What makes no sense was not run: it leaves no record.
        Err(error @ (Error::Usage(_) | Error::NothingSelected(_))) => {
            lab.run.discard()?;
            return Err(error);
        }
        measured => measured?,
    };
    let outcome = judge::outcome(&lab.info.accel, vec![measured], Some(lab.run.name().to_owned()));
    Ok(finish(&lab, outcome))
}

/// Of a named target those that its comparison needs, unless the user says which;
/// a tree is measured by itself.
fn sides(args: &TestArgs, target: Option<&Target>) -> Result<Vec<Side>, Error> {
    let Some(target) = target else { return Ok(vec![Side::Tree]) };
    if args.side.is_empty() {
        return Ok(Side::usual(target, args.measure.config));
    }
    let mut sides = Vec::new();
    for name in &args.side {
        let side = Side::of(target, name)?;
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    Ok(sides)
}
