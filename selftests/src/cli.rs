// SPDX-License-Identifier: GPL-2.0-only
//! The command line, and what it runs.
//!
//! Owns: options and the run on a host. Must not: measure.

use std::io::Write;
use std::os::fd::RawFd;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use selftests::behaviour::behaviours;
use selftests::cell::{Access, Backing, Cell, Control, Path, Situation, catalogue};
use selftests::plan::{HOLD_MS, Plan, Selection, Stress, TRIALS, select};

use crate::ktap::Ktap;
use crate::subject::Threads;
use crate::wire::Channel;
use crate::{conductor, init, leftovers, nbd, probes, roles, storm, stress, subject, supervise};

/// Sees who waits for mmap_lock while a KVM guest's fault waits for IO.
///
/// Needs root, /dev/kvm that can run a guest, and a free network block device
/// (`modprobe nbd`). Prints KTAP; what cannot be measured here is a SKIP.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// List the cells and behaviours instead of measuring them
    #[arg(long)]
    list: bool,
    /// With --list: say what each is
    #[arg(long, short, requires = "list")]
    verbose: bool,
    /// Measure only the cells and behaviours that match one of these globs; the controls always run
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    filter: Vec<String>,
    /// Trials of each cell
    #[arg(long, default_value_t = TRIALS, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// Make all trials of each cell so often, each time in a new process
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Which pages are accessed, and what is in them, is decided by this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// How long a probe must wait for the lock to count as held, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = HOLD_MS, value_parser = clap::value_parser!(u32).range(1..))]
    hold: u32,
    /// Factor on every deadline, for slow machines
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    patience: f64,
    /// After the cells, do to a guest's memory all that may happen to it for this many seconds; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3600))]
    stress: u32,
    /// What the stress does is decided by this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    stress_seed: u64,
    #[command(subcommand)]
    inner: Option<Inner>,
}

/// What this program starts of itself; no commands for users.
#[derive(Debug, Subcommand)]
enum Inner {
    /// Measure a plan, given as JSON, and write frames to standard output
    #[command(hide = true)]
    Run { plan: String },
    /// Measure the plan in this file, and send frames through the port that they have: for a guest whose PID 1 is another
    #[command(hide = true)]
    Guest { plan: std::path::PathBuf },
    /// One process of a measurement, with the descriptors it inherits
    #[command(hide = true)]
    Role { role: RoleName, descriptors: Vec<RawFd> },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Nbd,
    Subject,
    Reader,
    Accessor,
    Stress,
    Storm,
}

impl Cli {
    /// Runs what was asked for.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.inner {
            Some(Inner::Run { ref plan }) => run_plan(plan),
            Some(Inner::Guest { ref plan }) => guest(plan),
            Some(Inner::Role { role, ref descriptors }) => run_role(role, descriptors),
            None if self.list => list(self.verbose),
            None => self.on_host(),
        }
    }

    fn on_host(&self) -> anyhow::Result<ExitCode> {
        if !self.patience.is_finite() || self.patience <= 0.0 {
            bail!("--patience {}: must be a number above 0", self.patience);
        }
        let Selection { cells, behaviours } = select(&self.filter)?;
        let stress = (self.stress > 0).then_some(Stress { seconds: self.stress, seed: self.stress_seed });
        let (seed, hold_ms, patience) = (self.seed, self.hold, self.patience);
        let plan =
            Plan { behaviours, seed, hold_ms, patience, stress, ..Plan::of(cells) }.of_trials(self.trials, self.repeat);
        // Without root nothing is changed, so there is nothing to lock or to take back.
        let lock = nix::unistd::geteuid().is_root().then(leftovers::lock).transpose()?;
        let mut ktap =
            Ktap::begin(std::io::stdout(), plan.cells.len() + plan.behaviours.len() + usize::from(stress.is_some()))?;
        supervise::catch_interrupts()?;
        nix::sys::prctl::set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")?;
        supervise::supervise(&plan, &mut ktap)?;
        drop(lock);
        if supervise::interrupted() {
            ktap.bail_out("interrupted")?;
        }
        Ok(if ktap.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn run_plan(json: &str) -> anyhow::Result<ExitCode> {
    roles::die_with_parent()?;
    let plan: Plan = serde_json::from_str(json).context("the argument of `run` is no plan")?;
    let code = conductor::run(&plan, &mut std::io::stdout())?;
    Ok(ExitCode::from(code))
}

fn guest(plan: &std::path::Path) -> anyhow::Result<ExitCode> {
    nix::sys::prctl::set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")?;
    let lock = leftovers::lock()?;
    init::report(plan, Vec::new())?;
    drop(lock);
    Ok(ExitCode::SUCCESS)
}

fn run_role(role: RoleName, descriptors: &[RawFd]) -> anyhow::Result<ExitCode> {
    roles::die_with_parent()?;
    let count = match role {
        RoleName::Reader | RoleName::Accessor => 1,
        RoleName::Nbd | RoleName::Stress | RoleName::Storm => 2,
        RoleName::Subject => 7,
    };
    let mut fds = roles::inherited(descriptors, count)?.into_iter();
    let mut next = || fds.next().context("a descriptor is missing");
    let control = Channel::from(next()?);
    match role {
        RoleName::Nbd => nbd::server::serve(&control, next()?.into())?,
        RoleName::Subject => subject::serve(&control, Threads::try_new(|| next().map(Channel::from))?)?,
        RoleName::Reader => probes::reader(&control)?,
        RoleName::Accessor => probes::accessor(&control)?,
        RoleName::Stress => stress::serve(&control, &next()?)?,
        RoleName::Storm => storm::serve(&control, &next()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(verbose: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let cells = catalogue().into_iter().map(|cell| (cell.to_string(), describe(cell)));
    let behaviours = behaviours().into_iter().map(|behaviour| (behaviour.to_string(), behaviour.sentence()));
    for (name, sentence) in cells.chain(behaviours) {
        let line = if verbose { format!("{name:33}  {sentence}") } else { name };
        writeln!(out, "{line}").context("writing the list")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One sentence about a cell.
fn describe(cell: Cell) -> String {
    let (backing, path, access) = match cell.situation {
        Situation::Control(Control::Held) => {
            return "reads swapped-out memory through /proc/PID/mem, which holds the lock in every kernel".to_owned();
        }
        Situation::Control(Control::Released) => {
            return "reads the block device without any fault, which holds no lock in any kernel".to_owned();
        }
        Situation::Fault(backing, path, access) => (backing, path, access),
    };
    let backing = match backing {
        Backing::Anon => "swapped-out private anonymous memory",
        Backing::Shmem => "swapped-out memfd memory",
        Backing::ShmemWriteback => "memfd memory that is still being written to swap",
        Backing::ZramWriteback => "private anonymous memory that zram swap has written back to its backing device",
        Backing::Uffd => "a missing page of private anonymous memory, which userfaultfd asks another thread for",
        Backing::File => "a shared mapping of a block device that is not in memory",
        Backing::FileRandom => "such a mapping under MADV_RANDOM",
        Backing::PrivateFile => "a private mapping of a block device that is not in memory",
    };
    let loads = access == Access::Read;
    let verb = |load, store| if loads { load } else { store };
    let (who, does, path) = match path {
        Path::Sync => ("a guest", verb("loads from", "stores to"), "the vCPU thread waits"),
        Path::ApfHalt => {
            let halts = "the vCPU halts and a kworker waits, if the kernel lets it";
            ("a guest", verb("loads from", "stores to"), halts)
        }
        Path::ApfGuest => {
            let told = "the guest is told and runs another task while a kworker waits, if the kernel lets it";
            ("a guest in long mode", verb("loads from", "stores to"), told)
        }
        Path::User => ("a thread", verb("loads from", "stores to"), "no KVM: the ordinary fault to compare with"),
        Path::ProcessVm => {
            let does = verb("reads with process_vm_readv()", "writes with process_vm_writev()");
            ("another process", does, "get_user_pages_remote() waits")
        }
        Path::Odirect => {
            let does = verb("writes to a disk with O_DIRECT from", "reads from a disk with O_DIRECT to");
            ("a thread", does, "the slow path of get_user_pages_fast() waits")
        }
    };
    format!("{who} {does} {backing}, readahead window {}; {path}", cell.window)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn filters_take_several_globs() {
        let cli = Cli::try_parse_from(["selftests", "--filter", "anon.*", "shmem.sync.*", "--trials", "3"]).unwrap();
        assert_eq!(cli.filter, ["anon.*", "shmem.sync.*"]);
        assert_eq!(cli.trials, 3);
        assert!(Cli::try_parse_from(["selftests", "--trials", "0"]).is_err());
    }

    #[test]
    fn every_cell_has_a_description_of_its_own() {
        let mut seen: Vec<_> = catalogue().into_iter().map(describe).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), catalogue().len());
    }
}
