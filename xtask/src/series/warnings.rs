// SPDX-License-Identifier: GPL-2.0-only
//! A compiler's warnings about one file, before and after a patch.
//!
//! Owns: turning the command that kbuild keeps beside each object into one that
//! only warns, and telling new warnings from moved ones. Pure. Must not: run it.
//! kbuild's own `make W=1 FILE.o` would rebuild the object now and at the next build.

use crate::patch::is_inert;

/// What `make W=1` adds in any of our kernels (scripts/Makefile.extrawarn, later
/// Makefile.warn), as far as gcc has it since 8. Those that a build without W=1 turns
/// off by name must be turned on by name: -Wextra does not.
const EXTRA: [&str; 19] = [
    "-Wextra",
    "-Wunused",
    "-Wno-unused-parameter",
    "-Wmissing-declarations",
    "-Wmissing-format-attribute",
    "-Wmissing-prototypes",
    "-Wold-style-definition",
    "-Wmissing-include-dirs",
    "-Wunused-but-set-variable",
    "-Wunused-const-variable",
    "-Wpacked-not-aligned",
    "-Wformat-overflow",
    "-Wformat-truncation",
    "-Wstringop-truncation",
    "-Woverride-init",
    "-Wno-missing-field-initializers",
    "-Wno-sign-compare",
    "-Wno-type-limits",
    "-Wno-shift-negative-value",
];

/// The file in which kbuild keeps how it made the object of a source file, below
/// `O=`; `None` for what is no C file, or has a name that make cannot be given.
#[must_use]
pub fn command_file(source: &str) -> Option<String> {
    let (folder, name) = source.rsplit_once('/').filter(|_| is_inert(source) && !source.contains(' '))?;
    let stem = name.strip_suffix(".c")?;
    Some(format!("{folder}/.{stem}.o.cmd"))
}

/// A shell command, to be run in `O=`, that compiles the file once more with all
/// warnings and keeps nothing. `text` is the content of the command file.
#[must_use]
pub fn command(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("cmd_") || line.starts_with("savedcmd_"))?;
    let (_, command) = line.split_once(" := ")?;
    // Behind the compiler there may be objtool.
    let compile = command.split(" ; ").next().unwrap_or(command).split(" && ").next().unwrap_or(command);
    // A dependency file in the way of kbuild's own would be taken for it. make doubled
    // the dollars, and its number sign has a name.
    let words = compile.split(' ').filter(|word| !word.starts_with("-Wp,-M"));
    let words: Vec<&str> = words.collect();
    let command = words.join(" ").replace("$$", "$").replace("$(pound)", "#");
    // A warning is to be told, also where the tree makes errors of its own.
    Some(format!("{command} {} -Wno-error -o /dev/null", EXTRA.join(" ")))
}

/// What kbuild's `C=1` adds to the flags of a compilation for sparse.
const SPARSE: &str =
    "-D__linux__ -Dlinux -D__STDC__ -Dunix -D__unix__ -Wbitwise -Wno-return-void -Wno-unknown-attribute";

/// As [`command`], but sparse reads the file instead of the compiler.
#[must_use]
pub fn sparse(text: &str, program: &std::path::Path) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("cmd_") || line.starts_with("savedcmd_"))?;
    let (_, command) = line.split_once(" := ")?;
    let compile = command.split(" ; ").next().unwrap_or(command).split(" && ").next().unwrap_or(command);
    // The compiler's name, its output and its dependency file are its own.
    let mut words = compile.split(' ').skip_while(|word| !word.starts_with('-'));
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "-o" => drop(words.next()),
            "-c" => {}
            word if word.starts_with("-Wp,-M") => {}
            word => kept.push(word),
        }
    }
    let flags = kept.join(" ").replace("$$", "$").replace("$(pound)", "#");
    Some(format!("{} {SPARSE} {flags}", program.display()))
}

/// The warnings in a compiler's output, without line numbers, so that one that has
/// only moved is the same.
#[must_use]
pub fn warnings(output: &str) -> Vec<String> {
    let warning = |line: &str| {
        let (place, text) = line.split_once(": warning: ").or_else(|| line.split_once(": error: "))?;
        let file = place.split(':').next()?;
        let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
        Some(format!("{name}: {text}"))
    };
    output.lines().filter_map(warning).collect()
}

/// Those of `after` that are not in `before`, each as often as it is new.
#[must_use]
pub fn new(before: &[String], after: &[String]) -> Vec<String> {
    let mut known = before.to_vec();
    let mut fresh = Vec::new();
    for warning in after {
        match known.iter().position(|other| other == warning) {
            Some(at) => drop(known.swap_remove(at)),
            None => fresh.push(warning.clone()),
        }
    }
    fresh
}
