// SPDX-License-Identifier: GPL-2.0-only
//! What the commands that measure have in common on their command lines.
//!
//! Owns: the three layers, each flattened into the next: how it is told, how it
//! boots, what is measured.

use clap::Args;
use selftests::plan::Stress;
use selftests::storms::Storm;

use crate::accel::AccelChoice;
use crate::variant::Variant;

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

    /// Make all trials of each cell so often, each time in a new process
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub repeat: u32,

    /// Which pages are accessed, and what is in them, is decided by this number
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,

    /// After the cells, stress guest memory for this many seconds of the guest's time [default: 0; 60 with --config debug]
    ///
    /// Two vCPUs fill and check pages while they are paged out, discarded, protected, unmapped and forked. A wrong page,
    /// or a task that hangs, is exit code 103; a stress in which nothing was swapped in proves nothing, and is 104.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub stress: Option<u32>,

    /// What the stress does is decided by this number [default: another one each time]
    #[arg(long, value_name = "SEED")]
    pub stress_seed: Option<u64>,

    /// After the cells, a storm of this many seconds [default: none]
    ///
    /// As that of `storm --backing shmem`, once on each side, without ratios; `nightly` compares its waits with those of
    /// other nights. A 99th percentile takes 2 seconds, a steady one 20.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=240))]
    pub storm: Option<u32>,

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

    /// The storm after the cells, if there is to be one.
    #[must_use]
    pub fn storm(&self) -> Option<Storm> {
        self.storm.map(Storm::usual)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use selftests::plan::{HOLD_MS, TRIALS};

    use super::*;
    use crate::cli::{Cli, Command, DEFAULT_TARGET};

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
    fn nonsense_is_refused() {
        for words in [["--trials", "0"], ["--hold", "1"], ["--config", "debgu"], ["--accel", "fast"]] {
            assert!(Cli::try_parse_from(["xtask", "test"].iter().chain(&words)).is_err(), "{words:?}");
        }
    }
}
