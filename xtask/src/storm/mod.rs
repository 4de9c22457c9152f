// SPDX-License-Identifier: GPL-2.0-only
//! Storms: how long others wait for the lock of a guest that swaps, on both sides.
//!
//! ```text
//! boots in the order A B B A … ─transcripts→ boots ─ratios→ report ─→ text · JSON · SVG
//! ```
//!
//! Owns: what a storm's report says. Pure but for [`run`]. Waits are sizes, which depend on
//! the host: no ratio is a failure, one that is not decided is `inconclusive`, and a boot
//! whose controls are not seen, or in which not everything has happened, proves nothing.

pub mod histogram;
pub mod plot;
pub mod ratio;
pub mod readme;
pub mod run;
pub mod seen;
pub mod text;

use anyhow::{Context, anyhow};
use selftests::plan::Plan;
use selftests::protocol::Frame;
use selftests::storms::{PROBES, Storm, StormEnd};
use serde::{Deserialize, Serialize};

use crate::judge;
use crate::outcome::{SideOutcome, TargetOutcome};
use crate::stats::thousandths;
use crate::transcript::Transcript;
use crate::verdict::Verdict;
use histogram::Quantiles;
use ratio::{Ratio, ratio};
use seen::{Seen, Waits};

/// Version of the JSON; a reader refuses a larger one.
pub const SCHEMA: u32 = 1;

/// The sides, in the order of a ratio.
pub const SIDES: [&str; 2] = ["baseline", "patched"];

/// What a storm showed: the JSON of `cargo xtask storm --json`, and of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Folder below `patches/`.
    pub target: String,
    /// The exact version.
    pub version: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// `pass`: all boots are sound, and the writer's p99 and longest wait are decided.
    pub verdict: Verdict,
    /// The process's exit code.
    pub exit: u8,
    /// What each boot was asked for; the seed is the first boot's.
    pub storm: Storm,
    /// In the order in which they ran.
    pub boots: Vec<BootReport>,
    /// Of each probe's quantiles, and of the guest's faults in a second.
    pub ratios: Vec<Row>,
    /// Folder of the record below the checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Why there is no better verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// One boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootReport {
    /// Its name in the record: `baseline.1`.
    pub boot: String,
    /// What it showed.
    #[serde(flatten)]
    pub seen: Seen,
}

/// A ratio of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `writer`, `reader` or `guest`.
    pub of: String,
    /// `p99`, or `faults/s`.
    pub figure: String,
    /// Geometric mean of the baseline's boots.
    pub baseline: f64,
    /// Of the patched side's boots.
    pub patched: f64,
    /// Of both.
    #[serde(flatten)]
    pub ratio: Ratio,
}

/// What is kept of one boot to compare it.
pub struct Boot {
    /// What it showed by the rules of every boot.
    pub side: SideOutcome,
    /// Its storm.
    pub report: BootReport,
    /// All waits.
    pub waits: Waits,
}

/// The side of a boot's name.
#[must_use]
pub fn side_of(boot: &str) -> &str {
    boot.split_once('.').map_or(boot, |(side, _)| side)
}

/// Reads the storm of a boot; an error for one that proves nothing, which its side's own
/// verdict says, too.
///
/// # Errors
/// There is no complete storm in it.
pub fn read(side: SideOutcome, transcript: &Transcript) -> anyhow::Result<Boot> {
    let tally = transcript.frames.iter().find_map(|envelope| match &envelope.frame {
        Frame::StormResult { outcome: StormEnd::Complete { tally } } => Some(tally),
        _ => None,
    });
    let tally = tally.with_context(|| format!("{} has no complete storm", side.side))?;
    let (seen, waits) = Seen::of(tally)?;
    let report = BootReport { boot: side.side.clone(), seen };
    Ok(Boot { side, report, waits })
}

/// All ratios of these boots.
#[must_use]
pub fn ratios(boots: &[BootReport], seed: u64) -> Vec<Row> {
    let row = |of: String, figure: &str, value: &dyn Fn(&BootReport) -> Option<f64>| {
        let side = |name: &str| -> Vec<f64> {
            boots.iter().filter(|boot| side_of(&boot.boot) == name).filter_map(value).collect()
        };
        let [baseline, patched] = SIDES.map(side);
        let ratio = ratio(&baseline, &patched, seed)?;
        let [baseline, patched] = [baseline, patched].map(|figures| thousandths(geometric_mean(&figures)));
        Some(Row { of, figure: figure.to_owned(), baseline, patched, ratio })
    };
    let mut rows = Vec::new();
    for probe in PROBES {
        for (place, name) in Quantiles::NAMES.into_iter().enumerate() {
            let value = |boot: &BootReport| boot.seen.probe(probe)?.wait_ms.values().get(place).copied();
            rows.extend(row(probe.to_string(), name, &value));
        }
    }
    rows.extend(row("guest".to_owned(), "faults/s", &|boot| Some(boot.seen.faults_per_s)));
    rows
}

#[expect(clippy::cast_precision_loss, reason = "numbers of boots")]
fn geometric_mean(figures: &[f64]) -> f64 {
    (figures.iter().map(|figure| figure.ln()).sum::<f64>() / figures.len() as f64).exp()
}

/// What remains to be decided: the writer's tail is what a storm is for.
#[must_use]
pub fn doubts(ratios: &[Row]) -> Vec<String> {
    let doubt = |figure: &str| match ratios.iter().find(|row| row.of == "writer" && row.figure == figure) {
        None => Some(format!("the writer's {figure} is not there on both sides")),
        Some(row) => row.ratio.more_boots.map(|more| {
            format!("the ratio of the writer's {figure} is undecided: about {more} more boots of each side are needed")
        }),
    };
    ["p99", "max"].into_iter().filter_map(doubt).collect()
}

/// The verdict, the report, and the sound boots.
pub type Judged = (TargetOutcome, Option<Report>, Vec<Boot>);

/// Judges boots by their names and transcripts; pure, so that a stored run gives the same again.
#[must_use]
pub fn judge(name: &str, version: &str, accel: &str, plan: &Plan, boots: Vec<(SideOutcome, Transcript)>) -> Judged {
    let sides: Vec<SideOutcome> = boots.iter().map(|(side, _)| side.clone()).collect();
    // A boot that proves nothing is in no ratio; its side's verdict says so.
    let sound = boots.into_iter().filter(|(side, _)| side.verdict == Verdict::Pass);
    let boots: Vec<Boot> = sound.filter_map(|(side, transcript)| read(side, &transcript).ok()).collect();
    let Some(storm) = plan.storm else {
        return (judge::stormy(name, version, sides, vec!["no storm was asked for".to_owned()]), None, boots);
    };
    let reports: Vec<BootReport> = boots.iter().map(|boot| boot.report.clone()).collect();
    let ratios = ratios(&reports, storm.seed);
    let outcome = judge::stormy(name, version, sides, doubts(&ratios));
    let report = Report {
        schema: SCHEMA,
        target: name.to_owned(),
        version: version.to_owned(),
        accel: accel.to_owned(),
        verdict: outcome.verdict,
        exit: outcome.verdict.exit_code(),
        storm,
        boots: reports,
        ratios,
        run: None,
        reasons: outcome.reasons.clone(),
    };
    (outcome, Some(report), boots)
}

/// Boots, first baseline, then patched, patched, baseline, and so on: what drifts with time
/// meets both alike. Names as in the record.
#[must_use]
pub fn order(boots: u32) -> Vec<(&'static str, String)> {
    let round = |round: u32| {
        let [first, second] = if round % 2 == 1 { SIDES } else { [SIDES[1], SIDES[0]] };
        [first, second].map(|side| (side, format!("{side}.{round}")))
    };
    (1..=boots).flat_map(round).collect()
}

/// An error if the report may not become evidence.
///
/// # Errors
/// It is no pass.
pub fn evidence(report: &Report) -> anyhow::Result<()> {
    if report.verdict == Verdict::Pass {
        return Ok(());
    }
    Err(anyhow!("{} is {}, and only a pass becomes a reference", report.target, report.verdict))
}

#[cfg(test)]
mod tests;
