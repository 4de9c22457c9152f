// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask series`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::MeasureArgs;

/// `cargo xtask series`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SeriesArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: SeriesVerb,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask series verify v6.1                     are these patches what their index lines say?
  cargo xtask series verify v3.17                    without a tree: do they agree with each other?
  cargo xtask series check v6.1                      every prefix: applies, checkpatch, builds, boots
  cargo xtask series check v6.1 --from 3 --no-boot   only the compiler's part, from the third patch on
  cargo xtask series refresh v6.1 --dry-run          would it move to the newest 6.1.y?
  cargo xtask series export v6.1 --mbox | git am     onto the branch that is checked out
  cargo xtask series export v6.1 --output v6.1.mbox  the same as a file, and v6.1.mbox.cover, its cover letter
  cargo xtask series import v6.1.mbox --into /tmp/x  the inverse";

/// What can be done with a series.
#[derive(Debug, Subcommand)]
pub enum SeriesVerb {
    /// Recompute the blob before and after every patch, and compare with its index lines
    ///
    /// Without a tree, for a target that is in no package archive, the patches are only compared with each other.
    Verify(VerifyArgs),
    /// For every prefix of the series: does it apply, pass checkpatch, build without new warnings, and boot?
    Check(CheckArgs),
    /// Move the series to a newer release of its kernel
    ///
    /// Each patch is merged with three versions: the file that it was made for, what it makes of that, and the file as
    /// it is now. The patches are rewritten only if all of them can be merged.
    Refresh(RefreshArgs),
    /// Write the series as an mbox with a cover letter
    Export(ExportArgs),
    /// Take the patches out of an mbox
    Import(ImportArgs),
}

/// Which series, on which tree.
#[derive(Debug, Args)]
pub struct OnTree {
    /// A folder of patches/
    pub target: String,

    /// Take the kernel from here instead of the package archive; as in `test`
    #[arg(long, value_name = "PATH[@REV]")]
    pub linux: Option<String>,
}

/// `cargo xtask series verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Which.
    #[command(flatten)]
    pub on: OnTree,

    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,

    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
}

/// `cargo xtask series check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which.
    #[command(flatten)]
    pub on: OnTree,

    /// Begin with the prefix that ends with patch N
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub from: usize,

    /// End with the prefix that ends with patch N [default: the whole series]
    #[arg(long, value_name = "N")]
    pub upto: Option<usize>,

    /// Do not boot
    #[arg(long)]
    pub no_boot: bool,

    /// How each is booted and told; a boot has few trials of few cells unless these say more.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

/// `cargo xtask series refresh`.
#[derive(Debug, Args)]
pub struct RefreshArgs {
    /// Which.
    #[command(flatten)]
    pub on: OnTree,

    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,

    /// Drop patches that the new release has already
    #[arg(long)]
    pub drop_merged: bool,

    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
}

/// `cargo xtask series export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A folder of patches/
    pub target: String,

    /// The file to write; `-` for standard output
    ///
    /// The cover letter goes into a file of its own beside it, FILE.cover: `git am` would stop at a message without patch.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,

    /// As an mbox: `git am` and b4 take it. There is no other format yet
    #[arg(long)]
    pub mbox: bool,

    /// Put the cover letter in front of the patches, as in a mail thread
    #[arg(long)]
    pub with_cover: bool,
}

/// `cargo xtask series import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// As a mail client, b4 or `series export` saves it; `-` for standard input
    pub mbox: PathBuf,

    /// The folder for the patches; it must be empty or not there
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
}
