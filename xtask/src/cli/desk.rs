// SPDX-License-Identifier: GPL-2.0-only
//! The command lines of the small commands of a desk, and the manners of all.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use clap_complete::Shell;

use super::{BootArgs, MeasureArgs};
use crate::manners::{ColorChoice, Level, Manners};

/// What every command takes, before its name or behind it.
#[derive(Debug, Clone, Copy, Args)]
pub struct Everywhere {
    /// No progress on standard error
    // By the same name as in the commands that have had it: one value.
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// Show each command that is run, and lines instead of bars
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Colours on standard output; `auto` heeds NO_COLOR
    #[arg(long, value_name = "WHEN", value_enum, global = true, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

impl Everywhere {
    /// In one value.
    #[must_use]
    pub fn manners(&self) -> Manners {
        let level = match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (false, true) => Level::Verbose,
            (false, false) => Level::Usual,
        };
        Manners { level, color: self.color }
    }
}

/// What boots the kernels of a test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Runner {
    /// QEMU, from an initramfs of our own
    #[default]
    Own,
    /// virtme-ng, on a copy-on-write view of the host's files
    Vng,
}

/// One kernel, for a person.
#[derive(Debug, Args)]
pub struct KernelArgs {
    /// A folder of patches/ [default: v6.1, or none with --linux]
    pub target: Option<String>,

    /// Take the kernel from here instead of the package archive; as in `test`
    #[arg(long, value_name = "PATH[@REV]")]
    pub linux: Option<String>,

    /// Which side of the target [default: patched]
    #[arg(long, value_name = "SIDE", requires = "target")]
    pub side: Option<String>,
}

/// `cargo xtask shell`.
#[derive(Debug, Args)]
#[command(after_long_help = SHELL_RULES)]
pub struct ShellArgs {
    /// Which kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,

    /// This vng [default: that of PATH, or of pipx]
    #[arg(long, value_name = "PROGRAM")]
    pub vng: Option<PathBuf>,

    /// How it boots, and how that is told.
    #[command(flatten)]
    pub boot: BootArgs,
}

const SHELL_RULES: &str = "\
Root's shell in that kernel, by virtme-ng, whose files are the host's: what is written there goes away with the guest. The
selftests' program is named at the start. Needs a terminal, and virtme-ng (`pipx install virtme-ng`).";

/// `cargo xtask debug`.
#[derive(Debug, Args)]
#[command(after_long_help = DEBUG_RULES)]
pub struct DebugArgs {
    /// Which kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,

    /// What the guest will measure; as in `test`
    #[arg(long, value_name = "GLOB", default_value = "anon.sync.read@1")]
    pub cell: Vec<String>,

    /// How it boots, and how that is told.
    #[command(flatten)]
    pub boot: BootArgs,
}

const DEBUG_RULES: &str = "\
Builds the kernel with debug information and the kernel's own gdb commands, starts a guest that is paused before its first
instruction, and prints the command that looks at it. Nothing in the guest or here has a deadline. Use `hbreak`: where the
kernel is not in memory yet, an ordinary breakpoint cannot be written. Ctrl-C here, or `kill` in gdb, ends the guest.";

/// `cargo xtask watch`.
#[derive(Debug, Args)]
#[command(after_long_help = WATCH_RULES)]
pub struct WatchArgs {
    /// The source folder, or a git clone with its work tree; it is only read
    #[arg(long, value_name = "PATH")]
    pub linux: PathBuf,

    /// How it is measured and told.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

const WATCH_RULES: &str = "\
Measures the tree as it is, then again whenever a source below mm/ or virt/kvm/ was saved, until Ctrl-C. One line each:
when, which file, the verdict, how many cells make others wait, which of them did not before, and the seconds from the save
to the line. A tree that does not compile is one line, too: the compiler's. Fewer --cell and --trials answer sooner.

  cargo xtask watch --linux ~/linux --cell 'anon.*' --trials 5";

/// `cargo xtask doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the findings as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `cargo xtask logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A folder, or an id below results/runs [default: the newest run]
    pub run: Option<String>,

    /// Only of this boot, e.g. v6.1-patched; may be given often
    #[arg(long, value_name = "BOOT")]
    pub boot: Vec<String>,

    /// Print only where they are
    #[arg(long)]
    pub paths: bool,
}

/// `cargo xtask open`.
#[derive(Debug, Args)]
#[command(after_long_help = OPEN_RULES)]
pub struct OpenArgs {
    /// As in `report` [default: the newest run]
    pub run: Option<String>,
}

const OPEN_RULES: &str = "\
The page is that of `report --format html`. It is shown by $BROWSER, else by xdg-open; without either, the file's name is
all that is said.";

/// `cargo xtask du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Print it as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `cargo xtask clean`.
#[derive(Debug, Args)]
#[command(after_long_help = CLEAN_RULES, group = ArgGroup::new("what").required(true).multiple(true))]
pub struct CleanArgs {
    /// Build folders, source trees and finished kernels: made again from what the cache has
    #[arg(long, group = "what")]
    pub builds: bool,

    /// Downloads, and the repositories that they were unpacked into: fetched again
    #[arg(long, group = "what")]
    pub sources: bool,

    /// Runs, but for the newest in which each target passed, and reviews: gone for good
    #[arg(long, group = "what")]
    pub runs: bool,

    /// All three
    #[arg(long, group = "what")]
    pub all: bool,

    /// Say what would go, and how much that frees; remove nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

const CLEAN_RULES: &str = "\
What another xtask works with is left alone, and said. Never removed: the newest run in which a target passed in a
configuration, a run that may still be at work, the committed evidence.

Exit codes:
    0  it is gone, or there was nothing
    2  it was not agreed to: say --yes where nobody can be asked";

/// `cargo xtask completions`.
#[derive(Debug, Args)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
They complete `cargo xtask …` beside cargo's own completions:
  cargo xtask completions bash >> ~/.bashrc
  cargo xtask completions zsh >> ~/.zshrc       behind compinit
  cargo xtask completions fish > ~/.config/fish/completions/xtask.fish, and source it in config.fish";

/// `cargo xtask man`.
#[derive(Debug, Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// Write a page for each command into this folder, instead of the first one to standard output
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  cargo xtask man | man -l -                        to read
  cargo xtask man --into ~/.local/share/man/man1    then `man cargo-xtask`, `man cargo-xtask-test`";
