// SPDX-License-Identifier: GPL-2.0-only
//! The command lines of `cargo xtask report` and `cargo xtask results`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Manners;
use crate::sizes;

/// `cargo xtask judge`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// A folder, or an id below results/runs [default: the newest run]
    pub run: Option<String>,

    /// Print the result as one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,

    /// Keep a passed run as committed evidence: results/reference/, and the table in README.md
    #[arg(long)]
    pub reference: bool,
}

/// `cargo xtask report`.
#[derive(Debug, Args)]
#[command(after_long_help = REPORT_EXAMPLES)]
pub struct ReportArgs {
    /// A folder or an id below results/runs, told as when it ended, or a committed reference: `reference`, `reference/v6.1` [default: the newest run]
    pub run: Option<String>,

    /// For whom
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Markdown)]
    pub format: Format,

    /// Write it to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The kernel's own test format: `kunit.py parse` reads it
    Ktap,
    /// XML for CI engines
    Junit,
    /// JSON, version 5, of the kernel's CI systems; nothing is sent
    Kcidb,
    /// For a mail or a pull request
    Markdown,
    /// One page for a browser, with nothing to load
    Html,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  cargo xtask report                                          the newest run, for a mail
  cargo xtask report --format html --output report.html       with each wait, and the runs before it
  cargo xtask report reference --format html -o evidence.html all kernels, from the committed evidence
  cargo xtask report RUN --format ktap | kunit.py parse       as the kernel's own tests are read

Exit codes:
    0  it was written, whatever the verdict
    4  there is no such run";

/// `cargo xtask results`.
#[derive(Debug, Args)]
#[command(after_long_help = RESULTS_EXAMPLES)]
pub struct ResultsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub verb: ResultsVerb,
}

const RESULTS_EXAMPLES: &str = "\
Examples:
  cargo xtask results list                  all runs below results/runs, the newest first
  cargo xtask results show RUN              as the run itself told it
  cargo xtask results diff RUN              what changed from that run to the newest?
  cargo xtask results diff reference RUN    and from the committed evidence to a run?
  cargo xtask results rerun RUN             the same again: is it still so?
  cargo xtask results merge ~/from-ci/*     the runs of other machines, and one table of them";

/// What can be done with results.
#[derive(Debug, Subcommand)]
pub enum ResultsVerb {
    /// One line a run, the newest first
    List(ListArgs),
    /// The result of one run
    Show(ShowArgs),
    /// What changed between two runs: new, missing, flaky, fixed, persistent
    Diff(DiffArgs),
    /// Make a run again from its record, and compare
    Rerun(RerunArgs),
    /// Take over the runs of other machines, and make the jobs of one matrix one run
    Merge(MergeArgs),
}

/// `cargo xtask results merge`.
#[derive(Debug, Args)]
#[command(after_long_help = MERGE_RULES)]
pub struct MergeArgs {
    /// `results` folders of other checkouts
    #[arg(required = true, value_name = "DIR")]
    pub stores: Vec<PathBuf>,

    /// Print the results, one for each configuration, as one JSON array on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

const MERGE_RULES: &str = "\
Every run that ended is copied to results/runs under its own name, unless it is there. Those among them that were made by the
same xtask, in the same configuration, with the same cells, trials and accelerator are folded into one run more: of each
target its newest run. Merging twice is merging once.

Exit codes:
    0  all that was merged passed
    4  there is no run in any of the folders
  125  a folder has no run in it, or a run that did not end
    otherwise that of the worst run";

/// `cargo xtask results rerun`.
#[derive(Debug, Args)]
#[command(after_long_help = RERUN_RULES)]
pub struct RerunArgs {
    /// A folder, or an id below results/runs [default: the newest run]
    pub run: Option<String>,

    /// How it is told.
    #[command(flatten)]
    pub manners: Manners,
}

const RERUN_RULES: &str = "\
The same command with the same cells, trials, hold and seed, and the same kernel source: the package's version, or the clone's
commit, that the run was made of, if it is still to be had. What is not the same any more is said: the source, the series, the
expectations, the tool, what runs in the guest, the compiler, the host. The new run names the one that it repeats. At the end
the two are compared as `results diff` does.

Exit codes:
    2  that run was made by a command that is no `test`, `matrix` or `nightly`
    4  there is no such run
    otherwise that of the new run; if that is 0, that of the comparison";

/// `cargo xtask results list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print them as one JSON array
    #[arg(long)]
    pub json: bool,
}

/// `cargo xtask results show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// As in `report` [default: the newest run]
    pub run: Option<String>,

    /// Print the result as one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

/// `cargo xtask results diff`.
#[derive(Debug, Args)]
#[command(after_long_help = diff_rules())]
pub struct DiffArgs {
    /// The run before; as in `report`
    pub before: String,

    /// The run after; as in `report` [default: the newest run]
    pub after: Option<String>,

    /// Print the differences as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The words, and the rule for noise, with the numbers that are in force.
fn diff_rules() -> String {
    format!(
        "\
Words, for each cell, boot and target:
  new         was released (sound, pass), and is held or disagrees with itself (crashed, fail …), or is much slower
  missing     was measured, and is not, or only in a boot that proves nothing
  flaky       differs, but the very same kernel has shown both, or its trials disagreed before
  fixed       was held (crashed, fail …), and is released (sound, pass)
  persistent  held (crashed, fail …) in both; on a stock kernel that is its known defect

Noise: states rest on stacks, are right at any speed, and any change counts. Waits are noisy: a released cell is `new` as
slower only if its median is more than {} times the highest median of at least {} earlier passed runs of the same cell,
side, configuration, accelerator and hold, and at least {} ms above it. The 99th percentile is compared likewise where
every run has {} trials or more. With fewer runs nothing is said of sizes.

Exit codes:
    0  nothing is new, and nothing is missing
    4  there is no such run
  100  something is new: a regression
  125  nothing is new, but something is missing",
        sizes::TIMES,
        sizes::SAMPLES,
        sizes::MORE_MS,
        sizes::TAIL_TRIALS
    )
}
