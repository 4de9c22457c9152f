// SPDX-License-Identifier: GPL-2.0-only
//! The boots of a review: the tree without and with the series, and what is between.
//!
//! Owns: which kernels are booted, how often one that proves nothing is tried again,
//! and what of it goes where. Must not: say what states mean (`review::effect`).

use super::Bench;
use crate::error::Error;
use crate::judge;
use crate::measure::{self, Lab, Subject};
use crate::outcome::{SideOutcome, TargetOutcome};
use crate::report::prefixes::Row;
use crate::review::Review;
use crate::review::effect::{Booted, effects};
use crate::side::Side;
use crate::verdict::Verdict;

/// Trials of each cell, at most, where a prefix only has to say since when.
const TRIALS: u32 = 3;

/// Boots of one kernel that may be invalid: a busy host can spoil one.
const BOOTS: usize = 3;

/// Boots what has to be booted, and fills rows and review; the verdict about the whole.
pub(super) fn boot(
    bench: &Bench<'_>,
    lab: &mut Lab,
    kernels: &[Option<String>],
    rows: &mut [Row],
    review: &mut Review,
) -> Result<Verdict, Error> {
    let Some(tip) = (1..kernels.len()).rev().find(|&prefix| kernels[prefix].is_some()) else {
        review.not_booted = Some("no prefix of it builds".to_owned());
        lab.run.discard()?;
        return Ok(Verdict::Pass);
    };
    if kernels.iter().flatten().all(|hash| Some(hash) == kernels[0].as_ref()) {
        review.not_booted = Some("its kernels are, byte for byte, that of the tree without it".to_owned());
        lab.run.discard()?;
        return Ok(Verdict::Pass);
    }
    review.accel = Some(lab.info.accel.clone());
    let main = measured(bench, lab, vec![Side::Baseline, Side::Patched], tip)?;
    review.run = Some(lab.run.name().to_owned());
    let [baseline, patched] = &main.sides[..] else {
        review.reasons.extend(main.reasons);
        return Ok(main.verdict.max(Verdict::Inconclusive));
    };
    if !sound(baseline) {
        review.reasons.extend(baseline.reasons.iter().map(|reason| format!("without the series: {reason}")));
        return Ok(if baseline.verdict == Verdict::Crashed { Verdict::Invalid } else { baseline.verdict });
    }
    let trials = lab.plan.trials;
    lab.plan.trials = trials.min(TRIALS);
    lab.info.plan = lab.plan.clone();
    let between = between(bench, lab, kernels, tip);
    lab.plan.trials = trials;
    lab.info.plan = lab.plan.clone();
    let mut boots = between?;
    boots.push((tip, patched.clone()));
    conclude(bench, baseline, &boots, kernels, rows, review);
    Ok(Verdict::Pass)
}

/// The prefixes before the tip, in order, each that is another kernel than the one before.
fn between(
    bench: &Bench<'_>,
    lab: &mut Lab,
    kernels: &[Option<String>],
    tip: usize,
) -> Result<Vec<(usize, SideOutcome)>, Error> {
    let mut boots = Vec::new();
    let mut last = &kernels[0];
    for (prefix, kernel) in kernels.iter().enumerate().take(tip).skip(1) {
        if kernel.is_none() || kernel == last || *kernel == kernels[tip] {
            continue;
        }
        last = kernel;
        let outcome = measured(bench, lab, vec![Side::Patched], prefix)?;
        boots.extend(outcome.sides.into_iter().map(|side| (prefix, side)));
    }
    Ok(boots)
}

/// One record; begun anew as long as a boot in it proves nothing.
fn measured(bench: &Bench<'_>, lab: &mut Lab, sides: Vec<Side>, prefix: usize) -> Result<TargetOutcome, Error> {
    let mut tried = 0;
    loop {
        lab.begin_anew()?;
        let request = bench.request.clone();
        let subject = Subject { target: Some(&bench.target), request, sides: sides.clone(), upto: Some(prefix) };
        let outcome = measure::kernel(lab, &subject)?;
        let run = Some(lab.run.name().to_owned());
        lab.run.finish(&judge::outcome(&lab.info.accel, vec![outcome.clone()], run))?;
        tried += 1;
        if tried >= BOOTS || outcome.sides.iter().all(|side| side.verdict != Verdict::Invalid) {
            return Ok(outcome);
        }
        lab.progress.say("a boot proves nothing, as on a busy host: again");
    }
}

/// Does it prove something about states?
fn sound(side: &SideOutcome) -> bool {
    matches!(side.verdict, Verdict::Pass | Verdict::Inconclusive | Verdict::Fail)
}

fn conclude(
    bench: &Bench<'_>,
    baseline: &SideOutcome,
    boots: &[(usize, SideOutcome)],
    kernels: &[Option<String>],
    rows: &mut [Row],
    review: &mut Review,
) {
    let mut compared = vec![Booted { patch: 0, side: baseline }];
    for (prefix, kernel) in kernels.iter().enumerate().skip(1).filter(|(_, kernel)| kernel.is_some()) {
        let number = bench.number(prefix);
        let Some(row) = number.checked_sub(1).and_then(|at| rows.get_mut(at)) else { continue };
        // The same kernel shows the same, whichever prefix it was booted as.
        let booted = boots.iter().find(|(other, _)| kernels[*other] == *kernel);
        let (from, side) = match booted {
            Some((other, side)) => (*other, side),
            None if *kernel == kernels[0] => (0, baseline),
            None => continue,
        };
        row.boot = match bench.number(from) {
            0 => "same kernel as without".to_owned(),
            other if other == number => side.verdict.to_string(),
            other => format!("{}, same kernel as {other}", side.verdict),
        };
        row.worst(side.verdict, side.reasons.iter().map(|reason| format!("its kernel: {reason}")));
        if sound(side) {
            compared.push(Booted { patch: number, side });
        }
    }
    let (known, tip) =
        (compared.last().map_or(0, |last| last.patch), boots.last().map_or(0, |(tip, _)| bench.number(*tip)));
    if known != tip {
        let what = if known == 0 {
            "nothing is known of cells".to_owned()
        } else {
            format!("cells are told of as far as patch {known}")
        };
        review.reasons.push(format!("{what}: the boot of patch {tip} shows no states"));
    }
    (review.effects, review.unchanged) = effects(&compared);
}
