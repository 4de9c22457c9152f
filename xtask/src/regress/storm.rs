// SPDX-License-Identifier: GPL-2.0-only
//! The waits of a night's storm against those of the nights before it.
//!
//! A slow night is not what is usual: the nights are read from the oldest on, and each is
//! compared with the good ones before it. Owns: that. Must not: know when a wait has grown.

use selftests::cell::Probe;
use selftests::storms::{PROBES, Storm};

use super::{Compared, Night};
use crate::diff::{Change, Seen};
use crate::sizes::{Distribution, Grown, grown};
use crate::storm::seen::ProbeReport;
use crate::verdict::Verdict;

/// What a night says of a probe.
struct Read<'a> {
    run: &'a str,
    report: &'a ProbeReport,
    grown: Option<Grown>,
}

impl Read<'_> {
    fn seen(&self) -> Seen {
        if self.grown.is_some() { Seen::Bad } else { Seen::Good }
    }

    /// One of two: figures differ each night, and are no change of state.
    fn word(&self) -> &'static str {
        if self.grown.is_some() { "slower" } else { "usual" }
    }

    fn told(&self) -> String {
        let waits = self.report.wait_ms;
        match &self.grown {
            Some(grown) => format!("{}, {}", self.word(), grown.is()),
            None => format!("{}, median {:.3} ms, p99 {:.3} ms", self.word(), waits.p50, waits.p99),
        }
    }
}

impl<'a> Compared<'a> {
    /// Says what became of the storm of a sound boot.
    pub(super) fn storm(&mut self, side: &'a str) {
        if !self.asked.storm {
            return;
        }
        let newest_first = [self.night].into_iter().chain(self.past.iter().rev().copied());
        let Some((asked, _)) = newest_first.into_iter().find_map(|night| sound(night, self.target, side)) else {
            return;
        };
        for probe in PROBES {
            let read = self.read(side, asked, probe);
            let of = |night: &'a Night| {
                let read = read.iter().find(|read| read.run == night.run)?;
                Some((Some(read.seen()), read.word().to_owned()))
            };
            let lines = self.told.lines.len();
            self.place(Some(side), &format!("storm.{probe}"), &of);
            // The line has words; a reader wants figures.
            let now = read.iter().find(|read| read.run == self.night.run);
            if let (Some(line), Some(now)) = (self.told.lines.get_mut(lines), now) {
                let before = read.iter().find(|read| Some(read.run) == line.was_run.as_deref());
                line.was = match (&now.grown, before) {
                    (Some(grown), _) if line.change != Change::Persistent => format!("usual, {}", grown.was()),
                    (_, before) => before.map_or_else(|| line.was.clone(), Read::told),
                };
                line.now = now.told();
            }
        }
    }

    /// The nights that made this storm, tonight's last.
    fn read(&self, side: &str, asked: &Storm, probe: Probe) -> Vec<Read<'a>> {
        let mut usual = Vec::new();
        let mut read = Vec::new();
        for night in self.past.iter().copied().chain([self.night]) {
            let alike = night.accel == self.night.accel;
            let same = sound(night, self.target, side).filter(|(of, _)| alike && *of == asked);
            let Some(report) = same.and_then(|(_, seen)| seen.probe(probe)) else { continue };
            let now = distribution(report);
            let grown = grown(&usual, &now);
            if grown.is_none() {
                usual.push(now);
            }
            read.push(Read { run: &night.run, report, grown });
        }
        read
    }
}

/// The storm of a sound boot.
fn sound<'a>(night: &'a Night, target: &str, side: &str) -> Option<(&'a Storm, &'a crate::storm::seen::Seen)> {
    let side = night.side(target, side).filter(|side| side.verdict == Verdict::Pass)?;
    let storm = side.storm.as_ref()?;
    Some((&storm.asked, storm.seen.as_ref()?))
}

/// Median, p90 and p99. Beyond them a boot has a handful of waits, which is noise.
fn distribution(report: &ProbeReport) -> Distribution {
    let waits = report.wait_ms;
    let n = u32::try_from(report.n).unwrap_or(u32::MAX);
    Distribution { n, quantiles: vec![(500, waits.p50), (900, waits.p90), (990, waits.p99)] }
}
