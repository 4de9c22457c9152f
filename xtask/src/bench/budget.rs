// SPDX-License-Identifier: GPL-2.0-only
//! The budgets, and the arithmetic over what was measured against them.
//!
//! Owns: what is measured and how much it may be, as data; spread and answer as
//! functions of samples. Must not: measure, or render.

use serde::Serialize;

use crate::stats;

/// What a sample is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Wall time.
    Seconds,
    /// Wall time over the wall time of something else, measured in turns.
    Ratio,
}

/// One thing that is measured.
#[derive(Debug, PartialEq)]
pub struct Budget {
    /// Its name in the machine-readable report.
    pub key: &'static str,
    /// Its name for people.
    pub what: &'static str,
    /// What its samples are counted in.
    pub unit: Unit,
    /// The median may be this much; `None` for what only explains the others.
    pub limit: Option<f64>,
}

/// `test` with an empty cache but for the downloads, over one clean make.
pub const COLD: Budget = Budget {
    key: "cold",
    what: "test, cold, sources downloaded, over one clean make",
    unit: Unit::Ratio,
    limit: Some(1.3),
};
/// `test` of what was tested before.
pub const AGAIN: Budget =
    Budget { key: "again", what: "test again, nothing changed", unit: Unit::Seconds, limit: Some(15.0) };
/// What is left of that without QEMU and cargo.
pub const OWN_SHARE: Budget =
    Budget { key: "own-share", what: "  of it without QEMU and cargo", unit: Unit::Seconds, limit: Some(1.0) };
/// From one changed file to a verdict.
pub const EDIT: Budget =
    Budget { key: "edit", what: "one edited mm/ file to verdict", unit: Unit::Seconds, limit: Some(30.0) };
/// A boot without the measurement.
pub const BOOT: Budget =
    Budget { key: "boot", what: "QEMU's start to first frame", unit: Unit::Seconds, limit: Some(2.5) };
/// A boot without a measurement, start to end, over virtme-ng's.
pub const BOOT_VNG: Budget = Budget {
    key: "boot-over-vng",
    what: "boot to a command and back, over virtme-ng",
    unit: Unit::Ratio,
    // 2.5 times faster.
    limit: Some(0.4),
};
/// Writing the archive that a boot needs.
pub const INITRAMFS: Budget =
    Budget { key: "initramfs", what: "initramfs assembled", unit: Unit::Seconds, limit: None };
/// The commits of a patched side, for the first time.
pub const SIDE_NEW: Budget =
    Budget { key: "side-new", what: "side prepared, its objects new", unit: Unit::Seconds, limit: None };
/// The commits of a patched side, which the repository has.
pub const SIDE_KNOWN: Budget =
    Budget { key: "side-known", what: "side prepared, its objects known", unit: Unit::Seconds, limit: None };
/// The source folder, from one side to the other.
pub const SWITCH_PATCHED: Budget =
    Budget { key: "switch-patched", what: "source switched, baseline to patched", unit: Unit::Seconds, limit: None };
/// And back.
pub const SWITCH_BASELINE: Budget =
    Budget { key: "switch-baseline", what: "source switched, patched to baseline", unit: Unit::Seconds, limit: None };

/// What has no budget, and explains the rest.
pub const STEPS: [&Budget; 5] = [&INITRAMFS, &SIDE_NEW, &SIDE_KNOWN, &SWITCH_PATCHED, &SWITCH_BASELINE];

/// Every row.
pub const ALL: [&Budget; 11] = [
    &COLD,
    &AGAIN,
    &OWN_SHARE,
    &EDIT,
    &BOOT,
    &BOOT_VNG,
    &INITRAMFS,
    &SIDE_NEW,
    &SIDE_KNOWN,
    &SWITCH_PATCHED,
    &SWITCH_BASELINE,
];

/// How samples lie, in their own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many there are.
    pub n: usize,
}

/// The spread of `samples`; `None` of none.
#[must_use]
pub fn spread(samples: &[f64]) -> Option<Spread> {
    Some(Spread {
        median: stats::median(samples)?,
        min: stats::percentile(samples, 0)?,
        max: stats::max(samples)?,
        n: samples.len(),
    })
}

/// What the samples say about the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The median is within the limit.
    Met,
    /// It is not.
    NotMet,
    /// There is no limit.
    Measured,
    /// Nobody asked for it.
    Skipped,
    /// It was asked for and gave no sample.
    Failed,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::NotMet => "NOT MET",
            Self::Measured => "-",
            Self::Skipped => "skipped",
            Self::Failed => "NOT MEASURED",
        })
    }
}

/// One budget with what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The budget.
    pub budget: &'static Budget,
    /// In the order of the measurements.
    pub samples: Vec<f64>,
    /// What explains the samples, or why there are not more; a sentence each.
    pub notes: Vec<String>,
    /// Why it was left out on purpose.
    pub skipped: Option<String>,
}

impl Row {
    /// A row without samples yet.
    #[must_use]
    pub fn new(budget: &'static Budget) -> Self {
        Self { budget, samples: Vec::new(), notes: Vec::new(), skipped: None }
    }

    /// A row that is left out on purpose.
    #[must_use]
    pub fn skipped(budget: &'static Budget, why: &str) -> Self {
        Self { skipped: Some(why.to_owned()), ..Self::new(budget) }
    }

    /// A row that could not be measured.
    #[must_use]
    pub fn failed(budget: &'static Budget, why: impl Into<String>) -> Self {
        Self { notes: vec![why.into()], ..Self::new(budget) }
    }

    /// The median decides; one slow run on a busy machine is in the spread.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match (&self.skipped, stats::median(&self.samples), self.budget.limit) {
            (Some(_), ..) => Answer::Skipped,
            (None, None, _) => Answer::Failed,
            (None, Some(_), None) => Answer::Measured,
            (None, Some(median), Some(limit)) if median <= limit => Answer::Met,
            (None, Some(_), Some(_)) => Answer::NotMet,
        }
    }

    /// The median over the limit: below 1 the budget is met.
    #[must_use]
    pub fn used(&self) -> Option<f64> {
        Some(stats::median(&self.samples)? / self.budget.limit?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(budget: &'static Budget, samples: &[f64]) -> Row {
        Row { samples: samples.to_vec(), ..Row::new(budget) }
    }

    #[test]
    fn the_median_decides_and_the_limit_itself_is_within() {
        assert_eq!(row(&AGAIN, &[14.0, 15.0, 99.0]).answer(), Answer::Met);
        assert_eq!(row(&AGAIN, &[14.0, 15.1, 99.0]).answer(), Answer::NotMet);
        assert_eq!(row(&INITRAMFS, &[99.0]).answer(), Answer::Measured);
    }

    #[test]
    fn nothing_measured_is_no_budget_met() {
        assert_eq!(row(&BOOT, &[]).answer(), Answer::Failed);
        assert_eq!(row(&INITRAMFS, &[]).answer(), Answer::Failed);
        assert_eq!(Row::skipped(&COLD, "why").answer(), Answer::Skipped);
        assert_eq!(Row::failed(&EDIT, "why").answer(), Answer::Failed);
        assert_eq!(spread(&[]), None);
        assert_eq!(row(&BOOT, &[]).used(), None);
    }

    #[test]
    fn spread_and_use() {
        let row = row(&BOOT, &[2.0, 1.0, 4.0, 3.0]);
        assert_eq!(spread(&row.samples), Some(Spread { median: 2.5, min: 1.0, max: 4.0, n: 4 }));
        assert_eq!(row.used(), Some(1.0));
    }
}
