// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask bench`.

use clap::Args;

use super::DEFAULT_TARGET;

/// `cargo xtask bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH_ANSWER, after_long_help = BENCH_ANSWER)]
pub struct BenchArgs {
    /// A folder of patches/
    #[arg(default_value = DEFAULT_TARGET)]
    pub target: String,

    /// Samples of each row
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,

    /// Also measure a test with an empty cache over one clean make, N times [default: not at all; --cold alone: 1]
    ///
    /// Each takes three kernel builds without ccache, and 4 GB in the cache folder while it runs.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub cold: Option<u32>,

    /// Measure only this row, by its key in --json, e.g. boot-over-vng; may be given often
    #[arg(long, value_name = "KEY")]
    pub row: Vec<String>,

    /// Print the figures as one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,

    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
}

const BENCH_ANSWER: &str = "\
Run it on a quiet machine. A budget that is not met is a printed fact, no failure.

Exit codes:
    0  everything was measured, whatever the figures
  110  something could not be measured; the rest is printed
  130  interrupted";

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command, DEFAULT_TARGET};

    #[test]
    fn the_cold_bench_is_opt_in_and_takes_no_target_for_its_number() {
        let cold = |words: &[&str]| {
            let cli = Cli::try_parse_from(["xtask", "bench"].iter().chain(words)).unwrap();
            let Command::Bench(args) = cli.command else { panic!("not bench") };
            (args.cold, args.target)
        };
        assert_eq!(cold(&[]), (None, DEFAULT_TARGET.to_owned()));
        assert_eq!(cold(&["--cold", "v7.3"]), (Some(1), "v7.3".to_owned()));
        assert_eq!(cold(&["--cold=3"]), (Some(3), DEFAULT_TARGET.to_owned()));
    }
}
