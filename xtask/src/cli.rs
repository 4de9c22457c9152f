// SPDX-License-Identifier: GPL-2.0-only
//! The command line.
//!
//! Owns: names, defaults and help texts of all arguments. Must not: do anything
//! with them; one file a subcommand in `cmd` does.

mod bisect;
mod desk;
mod nightly;
mod report;
mod review;
mod series;

use clap::{Args, Parser, Subcommand};
use selftests::plan::Stress;

use crate::accel::AccelChoice;
use crate::variant::Variant;

pub use bisect::{BisectArgs, Find, ProbeName};
pub use desk::{
    CleanArgs, CompletionsArgs, DebugArgs, DuArgs, Everywhere, KernelArgs, LogsArgs, ManArgs, OpenArgs, Runner,
    ShellArgs, WatchArgs,
};
pub use nightly::NightlyArgs;
pub use report::{DiffArgs, Format, ListArgs, MergeArgs, ReportArgs, RerunArgs, ResultsArgs, ResultsVerb, ShowArgs};
pub use review::ReviewArgs;
pub use series::{CheckArgs, ExportArgs, ImportArgs, OnTree, RefreshArgs, SeriesArgs, SeriesVerb, VerifyArgs};

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
  100  a patched kernel held the lock where it must release it
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
    pub vng: Option<std::path::PathBuf>,

    /// How it is measured and told.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

/// What the commands take that measure cells of a target.
#[derive(Debug, Clone, Args)]
pub struct MeasureArgs {
    /// What the kernels are built for
    ///
    /// `debug` adds kconfigs/debug.config: a search for splats on the patched side, with fewer trials and a longer
    /// hold.
    #[arg(long, value_name = "CONFIG", value_enum, default_value_t = Variant::Measure)]
    pub config: Variant,

    /// Measure only cells that match, e.g. 'anon.*' or 'shmem.sync.read@1'; may be given often
    ///
    /// The two controls always run: without them nothing is proved. `selftests --list` names all cells.
    #[arg(long, value_name = "GLOB")]
    pub cell: Vec<String>,

    /// Trials of each cell [default: 10; 5 with --config debug]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub trials: Option<u32>,

    /// After the cells, stress guest memory for this many seconds of the guest's time [default: 0; 60 with --config debug]
    ///
    /// Two vCPUs fill and check pages while they are paged out, discarded, protected, unmapped and forked. A wrong page,
    /// or a task that hangs, is exit code 103; a stress in which nothing was swapped in proves nothing, and is 104.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub stress: Option<u32>,

    /// What the stress does is decided by this number [default: another one each time]
    #[arg(long, value_name = "SEED")]
    pub stress_seed: Option<u64>,

    /// How it boots, and how that is told.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// What every command takes that boots kernels.
#[derive(Debug, Clone, Args)]
pub struct BootArgs {
    /// Withhold each IO for at most this many milliseconds [default: 100; 400 with --config debug]
    ///
    /// A hold ends at once when nobody waits any more. On a busy host a longer hold tells held from late more clearly.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(10..=5_000))]
    pub hold: Option<u32>,

    /// How the virtual machine runs
    ///
    /// `auto` boots a canary: KVM only if that is fast and offers nesting, else emulation (TCG). The states are right at
    /// any speed.
    #[arg(long, value_name = "ACCEL", value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,

    /// Add a kernel parameter to every boot; may be given often
    ///
    /// NAME=VALUE pairs that the kernel does not know reach PID 1's environment, e.g.
    /// KVM_GUP_IO_INJECT=blind:control.held@1, which disables a control: the run must then be invalid.
    #[arg(long, value_name = "PARAMETER")]
    pub append: Vec<String>,

    /// How it is told.
    #[command(flatten)]
    pub manners: Manners,
}

/// What every command takes that measures, and what does not change what is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Manners {
    /// Install what is missing without asking
    #[arg(long, short)]
    pub yes: bool,

    /// Print the result as one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,

    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
}

const TEST_EXAMPLES: &str = "\
Examples:
  cargo xtask test                        Linux 6.1 from the package archive, both sides
  cargo xtask test v7.3 --cell 'shmem.*'  only memfd-backed guests, on 7.3
  cargo xtask test --linux ~/linux@v6.9   what does this tree do?
  cargo xtask test v6.1 --linux ~/linux   does our 6.1 series cure this tree?";

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

/// `cargo xtask doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the findings as one JSON object
    #[arg(long)]
    pub json: bool,
}

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

impl MeasureArgs {
    /// Trials of each cell.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.trials.unwrap_or(self.config.trials())
    }

    /// The longest hold, in milliseconds.
    #[must_use]
    pub fn hold_ms(&self) -> u32 {
        self.boot.hold.unwrap_or(self.config.hold_ms())
    }

    /// The stress after the cells, if there is to be one.
    #[must_use]
    pub fn stress(&self) -> Option<Stress> {
        let seconds = self.stress.unwrap_or(self.config.stress_s());
        let seed = || u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs());
        (seconds > 0).then(|| Stress { seconds, seed: self.stress_seed.unwrap_or_else(seed) })
    }
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use selftests::plan::{HOLD_MS, TRIALS};

    use super::*;

    #[test]
    fn the_tree_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let cli = Cli::try_parse_from(["xtask", "test"]).unwrap();
        let Command::Test(args) = cli.command else { panic!("not test") };
        assert_eq!(args.target(), Some(DEFAULT_TARGET));
        assert_eq!((args.measure.trials(), args.measure.hold_ms()), (TRIALS, HOLD_MS));
        let help = Cli::command().find_subcommand_mut("test").unwrap().render_long_help().to_string();
        assert!(help.contains(&format!("default: {DEFAULT_TARGET}")), "{help}");
        let both = |measure, debug| format!("[default: {measure}; {debug} with --config debug]");
        let (measure, debug) = (Variant::Measure, Variant::Debug);
        assert!(help.contains(&both(measure.trials(), debug.trials())), "{help}");
        assert!(help.contains(&both(measure.hold_ms(), debug.hold_ms())), "{help}");
    }

    #[test]
    fn only_a_debug_kernel_is_stressed_unasked() {
        let stress = |words: &[&str]| {
            let cli = Cli::try_parse_from(["xtask", "test"].iter().chain(words)).unwrap();
            let Command::Test(args) = cli.command else { panic!("not test") };
            args.measure.stress()
        };
        assert_eq!(stress(&[]), None);
        assert_eq!(stress(&["--config", "debug", "--stress", "0"]), None);
        assert_eq!(stress(&["--config", "debug"]).unwrap().seconds, Variant::Debug.stress_s());
        let seeded = stress(&["--stress", "5", "--stress-seed", "77"]);
        assert_eq!(seeded, Some(Stress { seconds: 5, seed: 77 }));
        let help = Cli::command().find_subcommand_mut("test").unwrap().render_long_help().to_string();
        assert!(help.contains(&format!("[default: 0; {} with --config debug]", Variant::Debug.stress_s())), "{help}");
    }

    #[test]
    fn a_tree_without_target_has_no_target() {
        let cli = Cli::try_parse_from(["xtask", "test", "--linux", "/src/linux@v6.9"]).unwrap();
        let Command::Test(args) = cli.command else { panic!("not test") };
        assert_eq!((args.target(), args.linux.as_deref()), (None, Some("/src/linux@v6.9")));
    }

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

    #[test]
    fn nonsense_is_refused() {
        for words in [["--trials", "0"], ["--hold", "1"], ["--config", "debgu"], ["--accel", "fast"]] {
            assert!(Cli::try_parse_from(["xtask", "test"].iter().chain(&words)).is_err(), "{words:?}");
        }
    }
}
