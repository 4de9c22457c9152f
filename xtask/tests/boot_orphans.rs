// SPDX-License-Identifier: GPL-2.0-only
//! No machine outlives its supervisor: this test starts itself again as the
//! supervisor of a script that would sleep for minutes, and ends that supervisor.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do ends its test")]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use selftests::plan::Plan;
use xtask::boot::{Deadlines, Machine, supervise};
use xtask::error::Error;
use xtask::progress::Progress;

/// Names the folder of the machine; only the supervisor has it.
const FOLDER: &str = "BOOT_ORPHANS_FOLDER";
/// The supervisor's exit status if it saw the interrupt.
const INTERRUPTED: i32 = 99;

/// Not a test of its own: the supervisor, if the environment says so.
#[test]
fn supervisor() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    xtask::interrupt::install().unwrap();
    let script = "echo hello > console.raw; echo $$ > pid.new; mv pid.new pid; exec sleep 300";
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let plan = Plan { trials: 1, hold_ms: 1, ..Plan::of(Vec::new()) };
    let deadlines = Deadlines { hello: Duration::from_secs(200), ..Deadlines::new(6.0, &plan) };
    let ended = supervise(&Machine { argv, dir: dir.into(), deadlines }, 0, Progress::silent().phase("a guest"));
    std::process::exit(if matches!(ended, Err(Error::Interrupted)) { INTERRUPTED } else { 1 });
}

/// A supervisor and its machine's process id.
fn start(dir: &Path) -> (Child, Pid) {
    let supervisor = Command::new(std::env::current_exe().unwrap())
        .args(["supervisor", "--exact", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = within(Duration::from_secs(20), || std::fs::read_to_string(dir.join("pid")).ok());
    (supervisor, Pid::from_raw(pid.unwrap().trim().parse().unwrap()))
}

fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Is it gone, or dead and not yet collected?
fn gone(pid: Pid) -> Option<()> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
}

#[test]
fn kill_9_of_the_supervisor_ends_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let (mut supervisor, machine) = start(dir.path());
    assert!(gone(machine).is_none());
    supervisor.kill().unwrap();
    assert_eq!(supervisor.wait().unwrap().signal(), Some(9));
    assert!(within(Duration::from_secs(10), || gone(machine)).is_some(), "process {machine} is an orphan");
}

#[test]
fn ctrl_c_ends_the_machine_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (mut supervisor, machine) = start(dir.path());
    kill(Pid::from_raw(i32::try_from(supervisor.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(supervisor.wait().unwrap().code(), Some(INTERRUPTED));
    assert!(gone(machine).is_some(), "process {machine} outlived its supervisor");
    assert!(dir.path().join("argv.json").exists(), "the record of an interrupted boot stays");
}
