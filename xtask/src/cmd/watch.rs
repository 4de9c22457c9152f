// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask watch`: a verdict for each save.
//!
//! Owns: the loop. Every measurement is one of `measure`, with a record of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use super::finish;
use super::lab::{self, Record};
use crate::cli::WatchArgs;
use crate::error::Error;
use crate::judge;
use crate::measure::{self, Lab, Subject};
use crate::outcome::TargetOutcome;
use crate::report::table::Look;
use crate::report::watch::{line, measured};
use crate::side::Side;
use crate::source::LinuxArg;
use crate::watch::Watch;

/// Measures the tree, then again after each save, until a signal comes.
///
/// # Errors
/// [`Error::Interrupted`] at the end; [`Error::Usage`] for what is no kernel tree; the
/// host fails us.
pub fn run(args: &WatchArgs, checkout: &Path) -> Result<u8, Error> {
    // Before the first measurement: what is saved meanwhile counts.
    let watch = Watch::begin(&args.linux)?;
    let linux = LinuxArg { path: args.linux.clone(), rev: None };
    let request = measure::request(None, Some(&linux))?;
    let subject = Subject { target: None, request, sides: vec![Side::Tree], upto: None };
    let mut lab = lab::open(&args.measure, checkout, Record::New)?;
    let (mut what, mut since) = ("as it is".to_owned(), Instant::now());
    let mut before = None;
    loop {
        let now = measure(&mut lab, &subject)?;
        tell(&what, &now, before.as_ref(), since.elapsed());
        if measured(&now) {
            before = Some(now);
        }
        let save = watch.next()?;
        what = named(save.files.iter().map(|file| file.display().to_string()));
        since = save.at;
    }
}

/// One measurement with its record; one that is cut off leaves none.
fn measure(lab: &mut Lab, subject: &Subject<'_>) -> Result<TargetOutcome, Error> {
    lab.begin_anew()?;
    let outcome = match measure::kernel(lab, subject) {
        Err(error @ (Error::Interrupted | Error::Usage(_) | Error::NothingSelected(_))) => {
            lab.run.discard()?;
            return Err(error);
        }
        outcome => outcome?,
    };
    let whole = judge::outcome(&lab.info.accel, vec![outcome.clone()], Some(lab.run.name().to_owned()));
    finish(lab, whole);
    Ok(outcome)
}

fn tell(what: &str, now: &TargetOutcome, before: Option<&TargetOutcome>, took: Duration) {
    let time = jiff::Zoned::now().strftime("%H:%M:%S");
    println!("{time} {what}: {} ({:.1} s)", line(now, before, Look::of_stdout()), took.as_secs_f64());
}

/// The first names; an empty list is what ran over.
fn named(files: impl Iterator<Item = String>) -> String {
    let files: Vec<String> = files.collect();
    match files.as_slice() {
        [] => "many files".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
