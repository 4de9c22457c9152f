// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask review`.

use std::path::PathBuf;

use clap::Args;

use super::MeasureArgs;

/// `cargo xtask review`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ReviewArgs {
    /// A mailbox, a single mail, a folder of patches, `-` for standard input, or a range of commits A..B
    ///
    /// Of a mailbox the newest complete revision is taken, whatever else is in it; what was passed over is said.
    pub series: String,

    /// The folder of patches/ whose kernel and configuration is used [default: v6.1, or the nearest with --linux]
    #[arg(long, value_name = "TARGET")]
    pub on: Option<String>,

    /// Take the kernel from here instead of the package archive; as in `test`
    #[arg(long, value_name = "PATH[@REV]")]
    pub linux: Option<String>,

    /// The repository that a range is of [default: that of --linux]
    #[arg(long, value_name = "PATH")]
    pub git: Option<PathBuf>,

    /// Do not build, and do not boot: does it apply, and what does checkpatch say?
    #[arg(long)]
    pub no_build: bool,

    /// Do not boot
    #[arg(long)]
    pub no_boot: bool,

    /// Build the series although it changes what a build runs on this machine
    ///
    /// Makefiles, Kconfig files, scripts and host programs run with your rights, before any virtual machine is there. A
    /// series that changes one of them is not built, and its tree's checkpatch.pl is not run, unless you have read it.
    #[arg(long)]
    pub trust: bool,

    /// Also write the review as Markdown, ready for a reply; `-` for standard output instead of the table
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub markdown: Option<PathBuf>,

    /// Print what b4 takes from a check command (b4.review-perpatch-check-cmd), and nothing else
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    pub b4: bool,

    /// How it is measured and told.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask review series.mbox --on v6.1               every patch and the whole, on the newest 6.1.y
  cargo xtask review series.mbox --on v6.1 --no-boot     without virtual machines
  b4 am -o- MESSAGE-ID | cargo xtask review - --on v7.3  from b4
  cargo xtask review master..topic --linux ~/linux@master
  cargo xtask review x.mbox --markdown reply.md          for a reply
  git config b4.review-perpatch-check-cmd 'cargo xtask review --b4 --quiet --no-boot --on v7.3 -'";
