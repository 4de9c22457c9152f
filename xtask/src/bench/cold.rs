// SPDX-License-Identifier: GPL-2.0-only
//! `test` with an empty cache, over one clean make.
//!
//! Owns: the two sides of that ratio. The make is the very command that the run
//! noted in its build log, with another `O=` folder, on the tree and with the
//! configuration of the run's patched side. Both run without ccache, and in turns.
//! The guest's program is compiled on neither side: cargo has it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::Bench;
use super::budget::{self, Row};
use super::runs::sample;
use super::scratch::lend_sources;
use crate::cache::Cache;
use crate::error::Error;
use crate::file;
use crate::proc::Cmd;
use crate::side::Side;
use crate::variant::Variant;

/// Takes effect in make's compilers, where ccache is the compiler.
const NO_CCACHE: (&str, &str) = ("CCACHE_DISABLE", "1");

/// As kbuild's own: a clean build on two slow cores stays well below.
const DEADLINE: Duration = Duration::from_secs(60 * 60);

pub(super) fn row(bench: &Bench<'_>, n: Option<u32>) -> Result<Row, Error> {
    let Some(n) = n else {
        return Ok(Row::skipped(&budget::COLD, "left out: it builds three kernels; --cold measures it"));
    };
    let (pairs, troubles) = sample(n, |index| pair(bench, index))?;
    let mut row = Row { notes: troubles, ..Row::new(&budget::COLD) };
    for (test, make) in pairs {
        row.samples.push(test / make);
        row.notes.push(format!("test {test:.1} s over make {make:.1} s"));
    }
    Ok(row)
}

/// Seconds of one cold test, and of one clean make after it.
fn pair(bench: &Bench<'_>, index: u32) -> Result<(f64, f64), Error> {
    let folder = bench.scratch.folder()?;
    let cache = Cache::at(&folder.path().join("cache"))?;
    lend_sources(&bench.cache.root, &cache.root)?;
    let phase = bench.progress.phase(format!("cold test {}", index + 1));
    let ran = bench.runner.test(&cache.root, &[], &[NO_CCACHE])?;
    phase.done(format!("{:.1} s", ran.wall));

    let work = cache.work(&bench.key, bench.progress)?;
    let side = Side::Patched.name();
    let log = work.logs().join(format!("build-{side}.log"));
    let text = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let out = folder.path().join("make");
    let words = clean_make(&text, &work.build(Variant::Measure), &out)
        .ok_or_else(|| anyhow!("{} names no command that made the kernel in O=", log.display()))?;
    let built = ran.info.targets.iter().flat_map(|target| &target.sides).find(|built| built.side == side);
    let config = &built.context("a run has no patched side")?.config;
    file::make_dir(&out)?;
    std::fs::copy(config, out.join(".config")).with_context(|| format!("cannot copy {config}"))?;
    let phase = bench.progress.phase_like(format!("clean make {}", bench.key), format!("clean make {}", index + 1));
    let made = Cmd::new("env").args(words).env(NO_CCACHE.0, NO_CCACHE.1).deadline(DEADLINE).run()?;
    phase.done(format!("{:.1} s", made.elapsed.as_secs_f64()));
    Ok((ran.wall, made.elapsed.as_secs_f64()))
}

/// The last command in a build log that made a kernel, as arguments of env(1),
/// with the folder `to` where it has `build`.
#[must_use]
pub fn clean_make(log: &str, build: &Path, to: &Path) -> Option<Vec<String>> {
    let mut commands = log.lines().filter_map(|line| line.strip_prefix("$ "));
    let is_image = |command: &&str| [" vmlinux", " bzImage"].iter().any(|image| command.ends_with(image));
    let command = commands.rfind(is_image)?;
    let (from, to) = (format!("={}", build.display()), format!("={}", to.display()));
    let moved = |word: String| match word.strip_suffix(&from) {
        Some(name) => format!("{name}{to}"),
        None => word,
    };
    let words: Vec<String> = shell_words::split(command).ok()?.into_iter().map(moved).collect();
    words.iter().any(|word| *word == format!("O{to}")).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_make_is_the_runs_own_in_another_folder() {
        let log = "$ LANG=C MAKEFLAGS='' KVM_GUP_IO_BUILD=/c/build make -C /c/src O=/c/build -j2 tinyconfig\n  GEN  x\n\
                   $ LANG=C MAKEFLAGS='' KVM_GUP_IO_BUILD=/c/build make -C /c/src O=/c/build -j2 \
                   'KBUILD_BUILD_TIMESTAMP=1970-01-01 00:00:00 UTC' 'CC=ccache gcc' vmlinux\n  CC      mm/a.o\n";
        let words = clean_make(log, Path::new("/c/build"), Path::new("/d")).unwrap();
        let expected = [
            "LANG=C",
            "MAKEFLAGS=",
            "KVM_GUP_IO_BUILD=/d",
            "make",
            "-C",
            "/c/src",
            "O=/d",
            "-j2",
            "KBUILD_BUILD_TIMESTAMP=1970-01-01 00:00:00 UTC",
            "CC=ccache gcc",
            "vmlinux",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn a_log_without_such_a_command_gives_none() {
        let (build, to) = (Path::new("/c/build"), Path::new("/d"));
        assert_eq!(clean_make("", build, to), None);
        assert_eq!(clean_make("$ make O=/c/build olddefconfig\n", build, to), None);
        assert_eq!(clean_make("$ make O=/elsewhere bzImage\n", build, to), None);
    }
}
