// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask matrix`.

use clap::Args;

use super::MeasureArgs;

/// `cargo xtask matrix`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = MATRIX_EXAMPLES)]
pub struct MatrixArgs {
    /// Folders of patches/ [default: all that can be fetched, and those with a --linux]
    pub targets: Vec<String>,

    /// Take the kernel of a target from here; as in `test`, may be given often
    #[arg(long, value_name = "TARGET=PATH[@REV]")]
    pub linux: Vec<String>,

    /// Go on with a run that was interrupted, the newest if none is named
    ///
    /// What it had finished is kept, unless patches, configuration or selftests have changed since. The other arguments
    /// are those of that run.
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub resume: Option<String>,

    /// Measure nothing: print the independent jobs of the matrix as one JSON object
    ///
    /// One for each target and configuration, with an estimate of its minutes, as a CI engine's matrix takes it. Each machine
    /// runs one with --job, and `cargo xtask results merge` makes their records one.
    #[arg(long, conflicts_with_all = ["resume", "job"])]
    pub plan: bool,

    /// Do this job of the plan, e.g. v6.1-debug: that target in that configuration
    #[arg(long, value_name = "ID", conflicts_with_all = ["resume", "targets", "config"])]
    pub job: Option<String>,

    /// How each is measured and told.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

const MATRIX_EXAMPLES: &str = "\
Examples:
  cargo xtask matrix                                every kernel of the package archive, both sides
  cargo xtask matrix --linux v3.17=~/linux@v3.17    and one that the archive lacks
  cargo xtask matrix v6.12 v6.18 --cell 'shmem.*'   only these
  cargo xtask matrix --config debug                 no splat on any patched side?
  cargo xtask matrix --resume                       where it was interrupted
  cargo xtask matrix --plan                         its jobs, for several machines
  cargo xtask matrix --job v6.12-measure            one of them";
