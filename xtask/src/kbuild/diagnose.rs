// SPDX-License-Identifier: GPL-2.0-only
//! What a failed build's output says first.
//!
//! Owns: the table of what is looked for, most telling first. Pure. Must not:
//! judge a build that succeeded.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Whose fault a failed build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The host's: no space, no memory, a tool or header is missing.
    Host,
    /// The tree's, or the configuration's.
    Tree,
}

struct Symptom {
    pattern: &'static str,
    cause: Cause,
    /// What to do next; empty if the line says it.
    mend: &'static str,
}

const DOCTOR: &str = "run `cargo xtask doctor` to see what this host lacks";

/// The first row that any line matches wins, so the host's troubles come first:
/// a full disk makes the compiler complain too.
const SYMPTOMS: &[Symptom] = &[
    Symptom {
        pattern: r"No space left on device|Disk quota exceeded",
        cause: Cause::Host,
        mend: "make room in the cache folder (KVM_GUP_IO_CACHE moves it)",
    },
    Symptom {
        pattern: r"Killed signal terminated program|[Cc]annot allocate memory|virtual memory exhausted|out of memory allocating",
        cause: Cause::Host,
        mend: "the compiler ran out of memory",
    },
    // A shell or make names a missing tool; a missing *source* file is named by a
    // compiler, or by make with stars, and is the tree's fault.
    Symptom {
        pattern: r"^(/\S+/)?\w*sh: .*not found$|^make(\[\d+\])?: [^*: ]+: (No such file or directory|Permission denied)$",
        cause: Cause::Host,
        mend: DOCTOR,
    },
    Symptom { pattern: r"fatal error: (libelf|gelf|elf|openssl/\w+|zlib)\.h", cause: Cause::Host, mend: DOCTOR },
    Symptom { pattern: r"^\S+?:\d+(:\d+)?: (fatal )?error: ", cause: Cause::Tree, mend: "" },
    Symptom { pattern: r"^\S+?:\d+: Error: ", cause: Cause::Tree, mend: "" },
    Symptom {
        pattern: r"undefined reference to|multiple definition of|relocation truncated",
        cause: Cause::Tree,
        mend: "",
    },
    Symptom { pattern: r"^ERROR: |: error: |^error: ", cause: Cause::Tree, mend: "" },
    Symptom { pattern: r"^make(\[\d+\])?: \*\*\* ", cause: Cause::Tree, mend: "" },
];

static TABLE: LazyLock<Vec<(Regex, &'static Symptom)>> = LazyLock::new(|| {
    SYMPTOMS.iter().filter_map(|symptom| Some((Regex::new(symptom.pattern).ok()?, symptom))).collect()
});

/// The line that explains a failed build, the target that make gave up on, and
/// whose fault it is. Paths below `src` lose that prefix.
#[must_use]
pub fn diagnose(log: &str, src: &Path) -> (Cause, String) {
    let prefix = format!("{}/", src.display());
    let plain = console::strip_ansi_codes(log);
    let lines: Vec<&str> = plain.lines().collect();
    let gave_up = lines.iter().find(|line| line.starts_with("make") && line.contains(": *** ["));
    let found = TABLE.iter().find_map(|(pattern, symptom)| {
        let line = lines.iter().find(|line| pattern.is_match(line))?;
        Some((*line, *symptom))
    });
    let (cause, mut words) = match found {
        Some((line, symptom)) if symptom.mend.is_empty() => (symptom.cause, line.trim().to_owned()),
        Some((line, symptom)) => (symptom.cause, format!("{}: {}", line.trim(), symptom.mend)),
        None => (Cause::Tree, "make failed without an error message".to_owned()),
    };
    if let Some(gave_up) = gave_up.filter(|line| !words.starts_with(line.trim())) {
        words = format!("{words}\n{gave_up}");
    }
    (cause, words.replace(&prefix, ""))
}
