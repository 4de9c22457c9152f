// SPDX-License-Identifier: GPL-2.0-only
//! Who borrows the terminal gives it back, and leaves no process: this test starts
//! itself again, on a terminal of its own, as what lends it to a script.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do ends its test")]

use std::io::stdin;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use xtask::error::Error;
use xtask::proc::Cmd;

/// Names the folder of the ids; only the lender has it.
const FOLDER: &str = "FOREGROUND_FOLDER";
/// What the script does when its own child runs.
const THEN: &str = "FOREGROUND_THEN";
const INTERRUPTED: i32 = 99;
const ENDED: i32 = 98;
const NOT_GIVEN_BACK: i32 = 97;

/// Not a test of its own: the lender, if the environment says so.
#[test]
fn lender() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    xtask::interrupt::install().unwrap();
    // Like a guest's console, it makes the terminal raw.
    let script = format!("stty raw -echo; sleep 60 & echo {} $$ $! >new; mv new ids; {}", std::process::id(), then());
    let ended = Cmd::new("sh").arg("-c").arg(script).dir(&dir).foreground();
    let modes = tcgetattr(stdin()).unwrap().local_flags;
    let ours = tcgetpgrp(stdin()) == Ok(getpgrp()) && modes.contains(LocalFlags::ECHO | LocalFlags::ICANON);
    std::process::exit(match ended {
        _ if !ours => NOT_GIVEN_BACK,
        Err(Error::Interrupted) => INTERRUPTED,
        Ok(status) if status.code() == Some(7) => ENDED,
        _ => 1,
    });
}

fn then() -> String {
    std::env::var(THEN).unwrap()
}

/// A lender on a terminal; ids of the lender, the script, and the script's own child.
fn start(dir: &Path, then: &str) -> (Child, [Pid; 3]) {
    let exe = std::env::current_exe().unwrap();
    let line = shell_words::join([exe.to_str().unwrap(), "lender", "--exact", "--nocapture"]);
    let terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .envs([(FOLDER, dir.as_os_str()), (THEN, then.as_ref())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ids = within(|| std::fs::read_to_string(dir.join("ids")).ok()).unwrap();
    let ids: Vec<Pid> = ids.split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap())).collect();
    (terminal, ids.try_into().unwrap())
}

fn within<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
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

fn ends_with(mut terminal: Child, ids: [Pid; 3], code: i32) {
    assert_eq!(terminal.wait().unwrap().code(), Some(code));
    for id in ids {
        assert!(within(|| gone(id)).is_some(), "process {id} is an orphan");
    }
}

#[test]
fn a_signal_ends_all_and_the_terminal_is_as_it_was() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let dir = tempfile::tempdir().unwrap();
        let (terminal, ids) = start(dir.path(), "wait");
        kill(ids[0], signal).unwrap();
        ends_with(terminal, ids, INTERRUPTED);
    }
}

#[test]
fn a_good_end_leaves_nothing_either() {
    let dir = tempfile::tempdir().unwrap();
    let (terminal, ids) = start(dir.path(), "exit 7");
    ends_with(terminal, ids, ENDED);
}

#[test]
fn kill_9_of_the_lender_ends_what_it_lent_to() {
    let dir = tempfile::tempdir().unwrap();
    let (mut terminal, ids) = start(dir.path(), "wait");
    kill(ids[0], Signal::SIGKILL).unwrap();
    assert!(within(|| gone(ids[1])).is_some(), "process {} is an orphan", ids[1]);
    drop(terminal.wait());
    // The terminal's end is that of whoever is in its foreground.
    assert!(within(|| gone(ids[2])).is_some(), "process {} is an orphan", ids[2]);
}
