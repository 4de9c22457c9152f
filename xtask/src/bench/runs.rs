// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test` as a child: what a user would wait for.
//!
//! Owns: the command line, the wait, and what is read from its result. Must not:
//! judge; a run without a verdict about the kernel is an error here.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill};

use crate::error::Error;
use crate::interrupt;
use crate::outcome::Outcome;
use crate::proc::{Child, Cmd, describe, tail};
use crate::store::{self, RunInfo};
use crate::verdict::Verdict;

/// Every step of a test has a deadline of its own; this is against a wait for a
/// lock, and two cold builds on a slow machine stay below it.
const DEADLINE: Duration = Duration::from_secs(3 * 60 * 60);

/// The child ends its makes and machines before itself.
const GRACE: Duration = Duration::from_secs(20);

/// Small beside what is measured.
const POLL: Duration = Duration::from_millis(5);

/// Starts runs.
#[derive(Debug)]
pub(super) struct Runner {
    /// This very program.
    pub(super) program: PathBuf,
    /// The checkout of this project.
    pub(super) checkout: PathBuf,
    /// The target's name.
    pub(super) target: String,
}

/// What a run was.
#[derive(Debug)]
pub(super) struct Ran {
    /// Start to end, in seconds.
    pub(super) wall: f64,
    /// The boots' QEMUs, start to end, together, in seconds.
    pub(super) qemu: f64,
    /// QEMU's start to the first frame of each boot, in seconds.
    pub(super) boots: Vec<f64>,
    /// How the run was made.
    pub(super) info: RunInfo,
}

impl Runner {
    /// Runs `test` with further arguments on this cache folder. The record of a run
    /// that was good for a measurement is removed: it is nobody's result.
    ///
    /// # Errors
    /// The run ended without a verdict that a time can be given for; its record is
    /// kept and named. Or we are interrupted.
    pub(super) fn test(&self, cache: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Ran, Error> {
        let cmd = Cmd::new(&self.program).args(["test", &self.target]).args(args).arg("--json").dir(&self.checkout);
        let cmd = env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
        let cmd = cmd.env("KVM_GUP_IO_CACHE", cache);
        let ended = wait(&cmd)?;
        let Ok(outcome) = serde_json::from_slice::<Outcome>(&ended.stdout) else {
            return Err(Error::Infra(anyhow!("`{cmd}` {}{}", describe(ended.status), tail(&ended.stderr))));
        };
        let kept = outcome.run.clone().context("a run has no record")?;
        if !matches!(outcome.verdict, Verdict::Pass | Verdict::Fail | Verdict::Inconclusive) {
            let Outcome { verdict, exit, reasons, .. } = &outcome;
            let reasons = tail(reasons.join("\n").as_bytes());
            return Err(Error::Infra(anyhow!("`{cmd}` says {verdict} ({exit}), see {kept}{reasons}")));
        }
        let dir = self.checkout.join(&kept);
        let ran = read(&dir, &outcome, ended.wall)?;
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        Ok(ran)
    }
}

fn read(dir: &Path, outcome: &Outcome, wall: Duration) -> anyhow::Result<Ran> {
    let mut ran = Ran { wall: wall.as_secs_f64(), qemu: 0.0, boots: Vec::new(), info: store::read_info(dir)? };
    for target in &outcome.targets {
        for side in &target.sides {
            let transcript = store::read_transcript(dir, &target.target, &side.side)?;
            ran.qemu += transcript.total_ms as f64 / 1e3;
            ran.boots.push(side.boot_ms as f64 / 1e3);
        }
    }
    Ok(ran)
}

/// How a child ended.
struct Ended {
    status: ExitStatus,
    wall: Duration,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Waits for the child. One that has to end early is asked to: killed at once, it
/// would leave the makes and compilers below it behind.
fn wait(cmd: &Cmd) -> Result<Ended, Error> {
    let started = Instant::now();
    let mut child = Child::start(cmd)?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupt::pending() {
            end(&mut child)?;
            return Err(Error::Interrupted);
        }
        if started.elapsed() > DEADLINE {
            end(&mut child)?;
            let text = tail(&child.stderr()?);
            return Err(Error::Infra(anyhow!("`{cmd}` had not ended after {} s{text}", DEADLINE.as_secs())));
        }
        std::thread::sleep(POLL);
    };
    let wall = started.elapsed();
    // A terminal's Ctrl-C does not reach the child; somebody else's signal may.
    interrupt::check()?;
    Ok(Ended { status, wall, stdout: child.stdout()?, stderr: child.stderr()? })
}

fn end(child: &mut Child) -> anyhow::Result<()> {
    if child.try_wait()?.is_none() {
        kill(child.pid(), Signal::SIGTERM).context("cannot end a run")?;
    }
    let asked = Instant::now();
    while child.try_wait()?.is_none() {
        if asked.elapsed() > GRACE {
            child.kill()?;
            break;
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Takes up to `n` samples. A run may fail for the machine's reasons: the row goes
/// on with what the others gave, and gives up at the second failure.
///
/// # Errors
/// Only [`Error::Interrupted`].
pub(super) fn sample<T>(n: u32, mut take: impl FnMut(u32) -> Result<T, Error>) -> Result<(Vec<T>, Vec<String>), Error> {
    let (mut samples, mut troubles) = (Vec::new(), Vec::new());
    for index in 0..n {
        interrupt::check()?;
        match take(index) {
            Ok(sample) => samples.push(sample),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => troubles.push(error.to_string()),
        }
        if troubles.len() > 1 {
            break;
        }
    }
    Ok((samples, troubles))
}

#[cfg(test)]
mod tests {
    use selftests::plan::{Plan, select};

    use super::*;
    use crate::judge;
    use crate::variant::Variant;

    /// A program that answers like `test` does, with the record that it names.
    fn runner(checkout: &Path, outcome: &Outcome) -> Runner {
        let record = checkout.join(outcome.run.as_deref().unwrap());
        std::fs::create_dir_all(&record).unwrap();
        let plan = Plan { trials: 1, ..Plan::of(select(&[]).unwrap().cells) };
        let info = RunInfo::new(&["xtask".to_owned()], "tcg", Variant::Measure, &plan, None);
        std::fs::write(record.join("run.json"), serde_json::to_vec(&info).unwrap()).unwrap();
        let answer = serde_json::to_string(outcome).unwrap();
        script(checkout, &format!("echo '{answer}'; echo words >&2; exit {}", outcome.exit))
    }

    /// The shell takes the first word, `test`, for the name of a script.
    fn script(checkout: &Path, text: &str) -> Runner {
        std::fs::write(checkout.join("test"), text).unwrap();
        Runner { program: "sh".into(), checkout: checkout.to_owned(), target: "v6.1".to_owned() }
    }

    fn outcome() -> Outcome {
        judge::outcome("tcg", Vec::new(), Some("results/runs/one".to_owned()))
    }

    #[test]
    fn a_verdict_is_a_sample_and_its_record_goes() {
        let dir = tempfile::tempdir().unwrap();
        let ran = runner(dir.path(), &outcome()).test(dir.path(), &["--side", "patched"], &[]).unwrap();
        assert!(ran.wall > 0.0 && ran.boots.is_empty() && ran.info.accel == "tcg");
        assert!(!dir.path().join("results/runs/one").exists());
    }

    #[test]
    fn an_invalid_run_is_no_sample_and_its_record_stays() {
        let dir = tempfile::tempdir().unwrap();
        let reasons = vec!["a control was not seen".to_owned()];
        let invalid = Outcome { verdict: Verdict::Invalid, exit: 104, reasons, ..outcome() };
        let error = runner(dir.path(), &invalid).test(dir.path(), &[], &[]).unwrap_err().to_string();
        assert!(error.contains("says invalid (104), see results/runs/one"), "{error}");
        assert!(error.contains("a control was not seen") && error.contains("sh test v6.1 --json"), "{error}");
        assert!(dir.path().join("results/runs/one/run.json").exists());
    }

    #[test]
    fn a_run_without_a_result_is_told_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let runner = script(dir.path(), "echo 'error: no QEMU' >&2; exit 110");
        let error = runner.test(dir.path(), &[], &[]).unwrap_err().to_string();
        assert!(error.contains("exited with status 110") && error.contains("error: no QEMU"), "{error}");
    }

    #[test]
    fn one_failure_is_survived_and_two_are_not() {
        let taken = |failing: &[u32]| {
            sample(5, |index| if failing.contains(&index) { Err(anyhow!("{index}").into()) } else { Ok(index) })
                .unwrap()
        };
        assert_eq!(taken(&[1]), (vec![0, 2, 3, 4], vec!["1".to_owned()]));
        assert_eq!(taken(&[1, 2]), (vec![0], vec!["1".to_owned(), "2".to_owned()]));
        assert!(matches!(sample(2, |_| Err::<(), _>(Error::Interrupted)), Err(Error::Interrupted)));
    }
}
