// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask test`.

use std::path::PathBuf;

use clap::Args;

use super::{DEFAULT_TARGET, MeasureArgs, Runner};

/// `cargo xtask test`.
#[derive(Debug, Args)]
#[command(after_long_help = TEST_EXAMPLES)]
pub struct TestArgs {
    /// A folder of patches/, e.g. v6.1 or v7.3 [default: v6.1, or none with --linux]
    pub target: Option<String>,

    /// Take the kernel from here instead of the package archive
    ///
    /// A git clone (its checkout, index and refs stay untouched), a directory, or a .tar.xz, .tar.gz or .tar.zst.
    /// REV is any revision of a clone; without it, its HEAD and what is changed in its tracked files. With a TARGET the target's series is applied to it and
    /// its expectations hold; without one the tree is only measured.
    #[arg(long, value_name = "PATH[@REV]")]
    pub linux: Option<String>,

    /// Boot only this side of a TARGET, e.g. patched; may be given often
    ///
    /// Besides `baseline` and `patched` a target may have others, such as an earlier version of its series. Without
    /// both of those two the verdict is `inconclusive` at best; with `--config debug`, without `patched`.
    #[arg(long, value_name = "SIDE", requires = "target")]
    pub side: Vec<String>,

    /// Let `patched` have only the first N patches of the series, e.g. those before the RFCs
    #[arg(long, value_name = "N", requires = "target")]
    pub series_upto: Option<usize>,

    /// What boots the kernels; the verdicts are the same
    #[arg(long, value_name = "RUNNER", value_enum, default_value_t = Runner::Own)]
    pub runner: Runner,

    /// This vng for --runner vng [default: that of PATH, or of pipx]
    #[arg(long, value_name = "PROGRAM")]
    pub vng: Option<PathBuf>,

    /// How it is measured and told.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

impl TestArgs {
    /// The target that is asked for; `None` if a tree is to be measured by itself.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match (&self.target, &self.linux) {
            (Some(target), _) => Some(target),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TARGET),
        }
    }
}

const TEST_EXAMPLES: &str = "\
Examples:
  cargo xtask test                        Linux 6.1 from the package archive, both sides
  cargo xtask test v7.3 --cell 'shmem.*'  only memfd-backed guests, on 7.3
  cargo xtask test --linux ~/linux@v6.9   what does this tree do?
  cargo xtask test v6.1 --linux ~/linux   does our 6.1 series cure this tree?";

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    #[test]
    fn a_tree_without_target_has_no_target() {
        let cli = Cli::try_parse_from(["xtask", "test", "--linux", "/src/linux@v6.9"]).unwrap();
        let Command::Test(args) = cli.command else { panic!("not test") };
        assert_eq!((args.target(), args.linux.as_deref()), (None, Some("/src/linux@v6.9")));
    }
}
