// SPDX-License-Identifier: GPL-2.0-only
//! Arguments of `cargo xtask storm`.
//!
//! Owns: as its parent.

use clap::{Args, ValueEnum};
use selftests::latency::Latency;
use selftests::storms::{MOST_SHOTS, MOST_VCPUS, Storm, StormBacking};

use super::{BootArgs, MeasureArgs};
use crate::variant::Variant;

/// `cargo xtask storm`.
#[derive(Debug, Args)]
#[command(after_help = ANSWER, after_long_help = ANSWER)]
pub struct StormArgs {
    /// A folder of patches/, e.g. v6.1 or v7.3
    #[arg(default_value = super::DEFAULT_TARGET)]
    pub target: String,

    /// Take the kernel from here instead of the package archive; as in `test`
    #[arg(long, value_name = "PATH[@REV]")]
    pub linux: Option<String>,

    /// What guest memory is made of
    #[arg(long, value_name = "BACKING", value_enum, default_value_t = BackingName::Anon)]
    pub backing: BackingName,

    /// How late the swap device answers a read
    ///
    /// fixed:10ms, lognormal:MEDIAN,SIGMA or bimodal:USUAL,RARE,SHARE. Writes are answered at once.
    #[arg(long, value_name = "LATENCY", default_value = "bimodal:1ms,50ms,0.01")]
    pub latency: Latency,

    /// Virtual CPUs that touch memory
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_VCPUS)))]
    pub vcpus: u32,

    /// Length of a boot's storm
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub seconds: u32,

    /// Shots of each probe in a second
    #[arg(long, value_name = "HZ", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rate: u32,

    /// Guest memory; it may have half of it
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=14))]
    pub memory: u32,

    /// Boots of each side, in the order baseline, patched, patched, baseline, …
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub boots: u32,

    /// Decides the pages that are touched and each reply's delay, in all boots alike
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,

    /// Keep a passed storm as committed evidence: results/reference/storm-TARGET-BACKING.json and .svg
    #[arg(long)]
    pub reference: bool,

    /// How it boots, and how that is told.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// What guest memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackingName {
    /// Private anonymous memory
    Anon,
    /// A memfd
    Shmem,
}

const ANSWER: &str = "\
Waits are counted from the time at which a shot was to begin. Each figure is one a boot; its ratio, baseline to patched, has a \
bootstrap's 95 % interval over boots. A ratio is decided if that lies above 1, below 1, or between 0.8 and 1.25.

Examples:
  cargo xtask storm v6.1                                       private memory, one read in a hundred takes 50 ms
  cargo xtask storm v7.3 --backing shmem --latency fixed:10ms  a memfd, all reads take 10 ms

Exit codes:
    0  the boots are sound, and the writer's p99 and longest wait are decided, whatever the ratio
  104  a boot proves nothing: a control failed, or something has never happened
  125  more boots are needed; the last lines say how many
  and as of all commands";

impl StormArgs {
    /// What each boot is asked for; `None` if one frame cannot carry so many shots.
    #[must_use]
    pub fn storm(&self) -> Option<Storm> {
        let backing = match self.backing {
            BackingName::Anon => StormBacking::Anon,
            BackingName::Shmem => StormBacking::Shmem,
        };
        let Self { seconds, vcpus, latency, rate, seed, .. } = *self;
        let storm = Storm { seconds, vcpus, backing, pages: self.memory * 256, latency, rate, seed };
        (storm.shots() <= MOST_SHOTS).then_some(storm)
    }

    /// What else each boot measures: the controls.
    #[must_use]
    pub fn measure(&self) -> MeasureArgs {
        MeasureArgs {
            config: Variant::Measure,
            cell: vec!["control.*".to_owned()],
            trials: Some(5),
            repeat: 1,
            seed: 0,
            stress: None,
            stress_seed: None,
            storm: None,
            boot: self.boot.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(words: &[&str]) -> Command {
        Cli::try_parse_from(["xtask"].iter().chain(words)).unwrap().command
    }

    #[test]
    fn the_storm_of_a_night_is_the_usual_one() {
        let Command::Storm(args) = parsed(&["storm", "--backing", "shmem", "--seconds", "30"]) else {
            panic!("not storm")
        };
        assert_eq!(args.storm(), Some(Storm::usual(30)));
        let Command::Nightly(args) = parsed(&["nightly", "--storm", "30"]) else { panic!("not nightly") };
        assert_eq!(args.measure.storm(), Some(Storm::usual(30)));
        let Command::Test(args) = parsed(&["test"]) else { panic!("not test") };
        assert_eq!(args.measure.storm(), None);
        assert!(Storm::usual(240).shots() <= MOST_SHOTS);
        assert!(Cli::try_parse_from(["xtask", "test", "--storm", "241"]).is_err());
    }

    #[test]
    fn more_shots_than_a_frame_carries_are_refused() {
        let Command::Storm(args) = parsed(&["storm", "--seconds", "13", "--rate", "1000"]) else { panic!("not storm") };
        assert_eq!(args.storm(), None);
    }
}
