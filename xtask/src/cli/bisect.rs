// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask bisect`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use selftests::cell::Probe;

use super::{BootArgs, MeasureArgs};
use crate::bisect::effect::Quantity;
use crate::variant::Variant;

/// How often, in percent, one boot's number is on the wrong side of the threshold.
const NOISE: u32 = 5;

/// Trials of a cell in a boot that only has to say held or released.
const TRIALS: u32 = 1;

/// `cargo xtask bisect`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct BisectArgs {
    /// Search the history of this git clone; its checkout, index, refs and `git bisect` state stay untouched
    #[arg(long, value_name = "PATH")]
    pub linux: Option<PathBuf>,

    /// A revision at which nobody waits; may be given often
    #[arg(long, value_name = "REV", requires = "linux")]
    pub good: Vec<String>,

    /// A revision at which others are made to wait; may be given often with --find fix
    #[arg(long, value_name = "REV", requires = "linux")]
    pub bad: Vec<String>,

    /// Which patch of this target's series has the effect, and then which hunk of it
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["linux", "releases"])]
    pub series: Option<String>,

    /// Which hunk of this patch of the series, counted from 1
    #[arg(long, value_name = "N", requires = "series")]
    pub patch: Option<usize>,

    /// Which of the kernels that can be fetched was the first, e.g. v6.1..v7.3
    #[arg(long, value_name = "FROM..TO", conflicts_with = "linux")]
    pub releases: Option<String>,

    /// Which Kconfig symbol, of those in which two configurations differ: .config files or fragments, of --linux or v6.1
    ///
    /// GOOD is one with which nobody waits. What a measurement needs is added to both. The order of the search is that of
    /// the newer one's file.
    #[arg(long, value_names = ["GOOD", "BAD"], num_args = 2, conflicts_with_all = ["good", "bad", "series", "releases"])]
    pub config: Vec<PathBuf>,

    /// What is looked for: who brought the effect, or who mended it [default: break; fix with --series]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub find: Option<Find>,

    /// Look only at cells that match, e.g. 'anon.*'; may be given often
    ///
    /// The effect is there if the lock was held in any trial of any of them. The two controls always run: a boot that does
    /// not see them proves nothing.
    #[arg(long, value_name = "GLOB")]
    pub cell: Vec<String>,

    /// Look only at what this probe met; may be given often
    #[arg(long, value_name = "NAME", value_enum)]
    pub probe: Vec<ProbeName>,

    /// Look at the longest of these times in any cell, instead of at held locks
    #[arg(long, value_name = "NAME", value_enum, requires = "threshold")]
    pub metric: Option<Quantity>,

    /// More than this is the effect, e.g. 10ms
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "metric")]
    pub threshold: Option<Duration>,

    /// How often one boot may fall on the wrong side of the threshold, in percent
    ///
    /// The search repeats boots until the culprit is wrong in at most 5 of 100 cases. It counts the boots that disagree with
    /// it, and where those are more than this makes credible, the culprit is not confirmed.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = NOISE,
        value_parser = clap::value_parser!(u32).range(1..=40),
        requires = "metric"
    )]
    pub noise: u32,

    /// Go on with a bisection that was put down, the newest if none is named
    ///
    /// The other arguments are those that it was begun with. At most the boot that was under way is repeated.
    #[arg(long, value_name = "ID", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub resume: Option<String>,

    /// Begin with the answers of a `git bisect log`, or of a bisect.log of ours
    #[arg(long, value_name = "LOG", requires = "linux")]
    pub replay: Option<PathBuf>,

    /// Begin no test after this time, e.g. 90m or 8h; --resume goes on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,

    /// Do not test the ends themselves
    #[arg(long)]
    pub trust_endpoints: bool,

    /// Name the culprit without a clean build, its parents, and the newest kernel without it
    #[arg(long)]
    pub no_confirm: bool,

    /// Trials of each cell in one boot
    #[arg(long, value_name = "N", default_value_t = TRIALS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub trials: u32,

    /// How it boots, and how that is told.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Find {
    /// The first with the effect.
    Break,
    /// The first without it.
    Fix,
}

/// A probe, as it is named in results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProbeName {
    /// `mmap` + `munmap` of an unrelated mapping.
    Writer,
    /// A read of `/proc/PID/maps`.
    Reader,
    /// `mprotect` of a page of the guest memory's own mapping.
    WriterSameVma,
    /// `mmap` + `munmap` behind that one.
    Bystander,
}

impl ProbeName {
    /// The probe.
    #[must_use]
    pub fn probe(self) -> Probe {
        match self {
            Self::Writer => Probe::Writer,
            Self::Reader => Probe::Reader,
            Self::WriterSameVma => Probe::WriterSameVma,
            Self::Bystander => Probe::Bystander,
        }
    }
}

impl BisectArgs {
    /// How often one boot may be wrong, from 0 to 1.
    #[must_use]
    pub fn noise(&self) -> f64 {
        f64::from(self.noise) / 100.0
    }

    /// What each boot measures.
    #[must_use]
    pub fn measure(&self) -> MeasureArgs {
        MeasureArgs {
            config: Variant::Measure,
            cell: self.cell.clone(),
            trials: Some(self.trials),
            stress: None,
            repeat: 1,
            seed: 0,
            stress_seed: None,
            storm: None,
            boot: self.boot.clone(),
        }
    }
}

/// `250ms`, `10s`, `90m`, `8h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("needed is a number with ms, s, m or h, e.g. 90m".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "it does not begin with a number".to_owned())?;
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}

const EXIT_CODES: &str = "\
Exit codes:
    0  the culprit is found and confirmed
    2  the arguments make no sense, or the history has changed since the bisection was begun
  125  not found, not confirmed, or put down: the report says which, and what it can be
  130  interrupted; --resume goes on";

const EXAMPLES: &str = "\
Examples:
  cargo xtask bisect --linux ~/linux --good v6.1 --bad HEAD --cell 'anon.*'
                                         the commit that made others wait for a page of a guest
  cargo xtask bisect --linux ~/linux --bad v6.1 --good v6.12 --find fix --cell 'anon.*'
                                         the commit that mended it
  cargo xtask bisect --series v6.1 --cell 'shmem.*'
                                         the patch of the series that does it, and the hunk
  cargo xtask bisect --releases v6.1..v7.3 --find fix --cell 'anon.*'
                                         the first kernel without it
  cargo xtask bisect --resume            after Ctrl-C, a crash, or the end of --budget

The record is below results/bisect: journal.jsonl, bisect.log for `git bisect replay`, every boot, report.md for a mail.";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(words: &[&str]) -> Result<BisectArgs, clap::Error> {
        match Cli::try_parse_from(["xtask", "bisect"].iter().chain(words))?.command {
            Command::Bisect(args) => Ok(*args),
            _ => panic!("not bisect"),
        }
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("10ms"), Ok(Duration::from_millis(10)));
        for wrong in ["10", "ms", "-1s", "1d", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn noise_is_told_in_percent() {
        let metric = ["--linux", "/l", "--metric", "wait.max", "--threshold", "10ms"];
        assert_eq!(parse(&metric).unwrap().noise(), 0.05);
        assert_eq!(parse(&[&metric[..], &["--noise", "20"]].concat()).unwrap().noise(), 0.2);
    }

    #[test]
    fn modes_do_not_mix() {
        assert!(parse(&["--linux", "/l", "--good", "a", "--bad", "b"]).is_ok());
        assert!(parse(&["--linux", "/l", "--series", "v6.1"]).is_err());
        assert!(parse(&["--series", "v6.1", "--releases", "v6.1..v7.3"]).is_err());
        assert!(parse(&["--good", "a"]).is_err());
        assert!(parse(&["--linux", "/l", "--metric", "wait.max"]).is_err());
        assert!(parse(&["--linux", "/l", "--noise", "9"]).is_err());
        assert!(parse(&["--config", "a"]).is_err());
        assert_eq!(parse(&["--config", "a", "b", "--linux", "/l"]).unwrap().config.len(), 2);
        assert_eq!(parse(&["--resume"]).unwrap().resume.as_deref(), Some(""));
        assert_eq!(parse(&["--resume=x"]).unwrap().resume.as_deref(), Some("x"));
    }
}
