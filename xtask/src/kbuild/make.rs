// SPDX-License-Identifier: GPL-2.0-only
//! Running kbuild: the command line, the log, the progress, the errors.
//!
//! Owns: every argument that make gets, and a folder of notes in `O=` that
//! kbuild does not look at. Must not: decide what to build.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::diagnose::{Cause, diagnose};
use super::image::Image;
use super::meter::{Meter, USUAL_STEPS};
use super::narrow::Narrow;
use super::{BuildSpec, Place, notes, recover};
use crate::error::Error;
use crate::file;
use crate::proc::{Cmd, Finished, describe, tail};
use crate::progress::Progress;

/// The same tree must give the same bytes, wherever and whenever it is built,
/// and whatever the user's environment says: make's arguments beat it.
pub(super) const FIXED: &[&str] = &[
    "ARCH=x86_64",
    "CROSS_COMPILE=",
    "LLVM=",
    "KCFLAGS=",
    "KCPPFLAGS=",
    "KAFLAGS=",
    // Set but empty: setlocalversion then adds no "+" for an untagged tree either.
    "LOCALVERSION=",
    "KBUILD_BUILD_TIMESTAMP=1970-01-01 00:00:00 UTC",
    "KBUILD_BUILD_USER=kvm-gup-io",
    "KBUILD_BUILD_HOST=localhost",
    "KBUILD_BUILD_VERSION=1",
];

/// A debug configuration on two slow cores stays well below; a hung make ends.
const DEADLINE: Duration = Duration::from_secs(60 * 60);

/// kbuild as it is called for one side.
#[derive(Debug)]
pub(super) struct Make {
    pub(super) src: PathBuf,
    pub(super) build: PathBuf,
    pub(super) base: String,
    log: PathBuf,
    args: Vec<String>,
}

impl Make {
    /// Empties the side's log; runs nothing.
    pub(super) fn new(place: &Place, spec: &BuildSpec, side: &str) -> anyhow::Result<Self> {
        let log = place.logs.join(format!("build-{side}.log"));
        fs::write(&log, "").with_context(|| format!("cannot write the log {}", log.display()))?;
        let build = place.build.clone();
        let notes = notes(&build);
        fs::create_dir_all(&notes).with_context(|| format!("cannot make the folder {}", notes.display()))?;
        let args = arguments(&spec.make_args, compiler_cache());
        Ok(Self { src: place.src.clone(), build, base: spec.base.clone(), log, args })
    }

    fn cmd(&self, goals: &[&str]) -> Cmd {
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Cmd::new("make")
            .arg("-C")
            .arg(&self.src)
            .arg(format!("O={}", self.build.display()))
            .arg(format!("-j{jobs}"))
            .args(&self.args)
            .args(goals)
            // kbuild drops LC_ALL, but `diagnose` reads English.
            .env("LANG", "C")
            .env("LC_ALL", "C")
            .env("LC_MESSAGES", "C")
            .env("MAKEFLAGS", "")
            .env(recover::MARK, &self.build)
            .deadline(DEADLINE)
            .log(&self.log)
    }

    /// Makes `target` and shows each line of the output to `on_line`.
    pub(super) fn run(&self, target: &str, on_line: impl FnMut(&str)) -> Result<(), Error> {
        self.goals(&[target], on_line)
    }

    fn goals(&self, goals: &[&str], on_line: impl FnMut(&str)) -> Result<(), Error> {
        let cmd = self.cmd(goals);
        self.note(&cmd)?;
        let finished = cmd.stream(on_line)?;
        if finished.status.success() {
            return Ok(());
        }
        Err(self.failure(&cmd, &finished))
    }

    /// The first telling line comes first, then all that one needs to repeat it.
    fn failure(&self, cmd: &Cmd, finished: &Finished) -> Error {
        let (cause, words) = diagnose(&String::from_utf8_lossy(&finished.stdout), &self.src);
        let error = anyhow!(
            "{words}\n`{cmd}` {}{}\nthe full log is {}",
            describe(finished.status),
            tail(&finished.stdout),
            self.log.display()
        );
        match cause {
            Cause::Host => Error::Infra(error),
            Cause::Tree => Error::Build(error),
        }
    }

    /// Makes `image`, with a bar that knows how far it is; true if the folder was empty.
    /// With `narrow`, only those objects are looked at.
    pub(super) fn compile(
        &self,
        image: Image,
        narrow: Option<&Narrow>,
        name: &str,
        progress: &Progress,
    ) -> Result<bool, Error> {
        // Nearly the first file that any build makes.
        let clean = !self.build.join("kernel/bounds.s").exists();
        let mut meter = Meter::new(self.usual_steps(), clean);
        // How far a clean build is, its steps say better.
        let phase = if clean { progress.phase(name) } else { progress.phase_like(self.kind(name), name) };
        let mut shown = None;
        let mut show = |line: &str| {
            let Some(step) = meter.line(line) else { return };
            if let Some(total) = meter.total().filter(|total| shown != Some(*total)) {
                phase.length(total);
                shown = Some(total);
            }
            phase.position(meter.done());
            phase.detail(step);
        };
        let mut done = false;
        if let Some(narrow) = narrow {
            let since = narrow.begin(&self.build)?;
            // The last word is the image, which is what a reader of the log looks for.
            self.goals(&[&narrow.argument(), image.name()], &mut show)?;
            done = narrow.done(&self.build, &image.path(&self.build), since);
        }
        if !done {
            self.run(image.name(), &mut show)?;
        }
        recover::end(&self.build)?;
        if clean {
            file::write(&self.steps(), meter.done().to_string().as_bytes())?;
        }
        phase.done(format!("{} steps", meter.done()));
        Ok(clean)
    }

    fn note(&self, cmd: &Cmd) -> anyhow::Result<()> {
        use std::io::Write as _;
        fs::OpenOptions::new()
            .append(true)
            .open(&self.log)
            .and_then(|mut log| writeln!(log, "$ {cmd}"))
            .with_context(|| format!("cannot write the log {}", self.log.display()))
    }

    fn steps(&self) -> PathBuf {
        notes(&self.build).join("steps")
    }

    fn kind(&self, name: &str) -> String {
        format!("{name} again in {}", self.build.display())
    }

    fn usual_steps(&self) -> u64 {
        fs::read_to_string(self.steps()).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(USUAL_STEPS)
    }

    /// Where `configure` notes what the present `.config` came from.
    pub(super) fn config_note(&self) -> PathBuf {
        notes(&self.build).join("config-key")
    }
}

/// Our arguments, then the target's: where both name a variable, the target's.
fn arguments(own: &[String], ccache: bool) -> Vec<String> {
    let name = |arg: &str| arg.split('=').next().unwrap_or_default().to_owned();
    let named: Vec<String> = own.iter().map(|arg| name(arg)).collect();
    let fixed = FIXED.iter().filter(|arg| !named.contains(&name(arg))).map(|arg| (*arg).to_owned());
    // Without CCACHE_BASEDIR: it would find more in another cache folder, but it makes
    // paths relative, and then __FILE__, so the image depended on ccache's presence.
    let compiler = compiler(own);
    let compiler = if ccache { format!("CC=ccache {compiler}") } else { format!("CC={compiler}") };
    fixed.chain([compiler]).chain(own.iter().filter(|arg| !arg.starts_with("CC=")).cloned()).collect()
}

fn compiler(own: &[String]) -> &str {
    own.iter().find_map(|arg| arg.strip_prefix("CC=")).unwrap_or("gcc")
}

/// First lines of the compiler's and of the linker's `--version`.
pub(super) fn compiler_version(own: &[String]) -> Result<String, Error> {
    let first_line = |program: &str| -> Result<String, Error> {
        let finished = Cmd::new(program)
            .arg("--version")
            .env("LC_ALL", "C")
            .run()
            .map_err(|error| anyhow!(error).context("run `cargo xtask doctor` to see what this host lacks"))?;
        Ok(String::from_utf8_lossy(&finished.stdout).lines().next().unwrap_or_default().to_owned())
    };
    Ok(format!("{}; {}", first_line(compiler(own))?, first_line("ld")?))
}

/// Is there a compiler cache, which builds then go through?
#[must_use]
pub fn compiler_cache() -> bool {
    in_path("ccache")
}

fn in_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_arguments_replace_ours_and_ccache_wraps_its_compiler() {
        let own = ["KCFLAGS=-std=gnu89".to_owned(), "CC=gcc-11".to_owned()];
        let all = arguments(&own, true);
        assert_eq!(all.iter().filter(|arg| arg.starts_with("KCFLAGS=")).collect::<Vec<_>>(), ["KCFLAGS=-std=gnu89"]);
        assert_eq!(all.iter().filter(|arg| arg.starts_with("CC=")).collect::<Vec<_>>(), ["CC=ccache gcc-11"]);
        assert!(arguments(&[], false).contains(&"CC=gcc".to_owned()));
    }
}
