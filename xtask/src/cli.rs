// SPDX-License-Identifier: GPL-2.0-only
//! The command line.
//!
//! Owns: names, defaults and help texts of all arguments, one file a group of
//! subcommands. Must not: do anything with them; one file a subcommand in `cmd` does.

mod bench;
mod bisect;
mod desk;
mod matrix;
mod measure;
mod nightly;
mod report;
mod review;
mod series;
mod storm;
mod test;

use clap::{Parser, Subcommand};

pub use bench::BenchArgs;
pub use bisect::{BisectArgs, Find, ProbeName};
pub use desk::{
    CleanArgs, CompletionsArgs, DebugArgs, DoctorArgs, DuArgs, Everywhere, KernelArgs, LogsArgs, ManArgs, OpenArgs,
    Runner, ShellArgs, WatchArgs,
};
pub use matrix::MatrixArgs;
pub use measure::{BootArgs, Manners, MeasureArgs};
pub use nightly::NightlyArgs;
pub use report::{
    DiffArgs, Format, JudgeArgs, ListArgs, MergeArgs, ReportArgs, RerunArgs, ResultsArgs, ResultsVerb, ShowArgs,
};
pub use review::ReviewArgs;
pub use series::{CheckArgs, ExportArgs, ImportArgs, OnTree, RefreshArgs, SeriesArgs, SeriesVerb, VerifyArgs};
pub use storm::{BackingName, StormArgs};
pub use test::TestArgs;

/// The target that `test` takes if none is named.
pub const DEFAULT_TARGET: &str = "v6.1";

/// Does a KVM guest fault that waits for IO make others wait for mmap_lock?
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = EXIT_CODES,
    after_long_help = EXIT_CODES,
    arg_required_else_help = true
)]
pub struct Cli {
    /// How it is told, whatever is done.
    #[command(flatten)]
    pub everywhere: Everywhere,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  every cell showed what the target expects
    2  the command line, or a target.toml, makes no sense
    4  a target or a filter selects nothing
  100  a patched kernel held the lock where it must release it, or behaved wrongly
  101  a kernel does not build
  102  a series does not apply
  103  a kernel crashed or hung, or corrupted its guest's memory
  104  invalid: a control failed, or the baseline did not show what is expected
  110  the host, a tool or the network failed: nothing is said about the kernel
  125  not enough evidence either way
  130  interrupted";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a kernel without and with its series, boot both, and compare
    Test(TestArgs),
    /// Test every target, and show all kernels in one table
    Matrix(MatrixArgs),
    /// Test every target at its newest, and compare with the nights before
    Nightly(Box<NightlyArgs>),
    /// Let a guest swap on a slow device, and compare how long others wait on both sides
    Storm(Box<StormArgs>),
    /// Look after a series: verify, check, refresh, export, import
    Series(SeriesArgs),
    /// Look at anybody's series: does it apply, build, boot, and what does it do to the lock?
    Review(Box<ReviewArgs>),
    /// Find the commit, patch or kernel that made others wait
    Bisect(Box<BisectArgs>),
    /// Say what this machine lacks, and how to get it
    Doctor(DoctorArgs),
    /// Measure this tool's own budgets: builds, boots, overhead
    Bench(BenchArgs),
    /// Judge the record of a run again, without a kernel
    Judge(JudgeArgs),
    /// Write a run's result for CI engines, for a mail, or as a page
    Report(ReportArgs),
    /// What is stored: list runs, show one, compare two
    Results(ResultsArgs),
    /// Measure a kernel tree again at each save
    Watch(Box<WatchArgs>),
    /// A shell in a kernel, on the host's own files, by virtme-ng
    Shell(ShellArgs),
    /// Start a guest paused, for gdb
    Debug(DebugArgs),
    /// What the boots of a run wrote: console and QEMU's own words
    Logs(LogsArgs),
    /// Show a run as a page in the browser
    Open(OpenArgs),
    /// What lies on the disk, and how much it takes
    Du(DuArgs),
    /// Remove builds, sources or runs that nothing depends on
    Clean(CleanArgs),
    /// Write what completes command lines in bash, zsh or fish
    Completions(CompletionsArgs),
    /// Write the manual page
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tree_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }
}
