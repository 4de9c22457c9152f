// SPDX-License-Identifier: GPL-2.0-only
//! Kconfig fragments: what a kernel must be built with, and did it survive?
//!
//! Owns: the fragment format, the merge of several fragments, and the comparison
//! of a finished `.config` with what was asked for. Pure: text in, values out.
//! Must not: read files or run make; `kbuild` does.
//!
//! A fragment line is `CONFIG_X=value  # reason`, or `# CONFIG_X is not set`,
//! which is another way to write `CONFIG_X=n`. `n` demands that the symbol is
//! neither built in nor a module; a kernel that does not know it satisfies that.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a fragment can be wrong about.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KconfigError {
    /// A line that is neither an assignment, nor a comment, nor empty.
    #[error("{}:{line}: expected `CONFIG_NAME=value  # reason`, found {text:?}", file.display())]
    Syntax {
        /// The fragment.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The line as it stands there.
        text: String,
    },
    /// Two lines that want different values for one symbol.
    #[error("{first} contradicts {second}: let one of them go")]
    Conflict {
        /// The earlier line.
        first: Box<Wanted>,
        /// The later line.
        second: Box<Wanted>,
    },
}

/// One symbol's demanded value and where it is demanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// With its prefix, e.g. `CONFIG_KVM`.
    pub symbol: String,
    /// `y`, `m`, `n`, a number, or a string with its quotes.
    pub value: String,
    /// The comment behind it; empty for none.
    pub reason: String,
    /// The fragment.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({}:{})", self.symbol, self.value, self.file.display(), self.line)
    }
}

/// Reads one fragment.
///
/// # Errors
/// [`KconfigError::Syntax`] for a line that is no Kconfig, [`KconfigError::Conflict`]
/// for a symbol that is given two values.
pub fn parse(file: &Path, text: &str) -> Result<Vec<Wanted>, KconfigError> {
    let mut all = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        match split(text) {
            Line::Nothing => {}
            Line::Wants { symbol, value, reason } => all.push(Wanted {
                symbol: symbol.to_owned(),
                value: value.to_owned(),
                reason: reason.to_owned(),
                file: file.to_owned(),
                line,
            }),
            Line::Wrong => {
                return Err(KconfigError::Syntax { file: file.to_owned(), line, text: text.to_owned() });
            }
        }
    }
    Merged::new([all.as_slice()])?;
    Ok(all)
}

enum Line<'a> {
    Nothing,
    Wants { symbol: &'a str, value: &'a str, reason: &'a str },
    Wrong,
}

fn split(line: &str) -> Line<'_> {
    let line = line.trim();
    if let Some(comment) = line.strip_prefix('#') {
        return match comment.trim().strip_suffix(" is not set").map(str::trim) {
            Some(symbol) if is_symbol(symbol) => Line::Wants { symbol, value: "n", reason: "" },
            _ => Line::Nothing,
        };
    }
    if line.is_empty() {
        return Line::Nothing;
    }
    let Some((symbol, rest)) = line.split_once('=') else { return Line::Wrong };
    let end = if rest.starts_with('"') { closing_quote(rest) } else { Some(rest.find('#').unwrap_or(rest.len())) };
    let Some(end) = end else { return Line::Wrong };
    let (value, comment) = (rest[..end].trim(), rest[end..].trim());
    let commented = comment.is_empty() || comment.starts_with('#');
    if !is_symbol(symbol) || value.is_empty() || !commented || (!value.starts_with('"') && value.contains(' ')) {
        return Line::Wrong;
    }
    Line::Wants { symbol, value, reason: comment.trim_start_matches('#').trim() }
}

fn is_symbol(text: &str) -> bool {
    text.strip_prefix("CONFIG_")
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// One past the quote that ends the string at the start of `text`.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// Several fragments as one: each symbol once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    wanted: BTreeMap<String, Wanted>,
}

impl Merged {
    /// Merges fragments; the same value twice is fine.
    ///
    /// # Errors
    /// [`KconfigError::Conflict`], which names both lines.
    pub fn new<'a>(fragments: impl IntoIterator<Item = &'a [Wanted]>) -> Result<Self, KconfigError> {
        let mut merged = Self::default();
        for new in fragments.into_iter().flatten() {
            match merged.wanted.get(&new.symbol) {
                Some(old) if old.value != new.value => {
                    return Err(KconfigError::Conflict { first: Box::new(old.clone()), second: Box::new(new.clone()) });
                }
                Some(_) => {}
                None => {
                    merged.wanted.insert(new.symbol.clone(), new.clone());
                }
            }
        }
        Ok(merged)
    }

    /// Lets these demands replace what was demanded of the same symbols.
    pub fn replace(&mut self, demands: impl IntoIterator<Item = Wanted>) {
        self.wanted.extend(demands.into_iter().map(|wanted| (wanted.symbol.clone(), wanted)));
    }

    /// Every demand, by symbol.
    pub fn iter(&self) -> impl Iterator<Item = &Wanted> {
        self.wanted.values()
    }

    /// Text to append to a base `.config`: kconfig lets the last value win.
    #[must_use]
    pub fn render(&self) -> String {
        self.iter().fold(String::new(), |text, wanted| match wanted.value.as_str() {
            "n" => format!("{text}# {} is not set\n", wanted.symbol),
            value => format!("{text}{}={value}\n", wanted.symbol),
        })
    }

    /// Compares a `.config` that went through `olddefconfig` with the demands.
    /// `absent` is what the target declares its kernel not to have: symbol (with or
    /// without `CONFIG_`) to reason. An empty answer means that all is well.
    #[must_use]
    pub fn verify(&self, config: &str, absent: &BTreeMap<String, String>) -> Vec<Lost> {
        let found = values(config);
        let absent: BTreeMap<String, &String> = absent.iter().map(|(name, why)| (with_prefix(name), why)).collect();
        let mut lost = Vec::new();
        for wanted in self.iter() {
            let found = found.get(wanted.symbol.as_str()).copied().unwrap_or("n");
            let survived = same(&wanted.value, found);
            match absent.get(&wanted.symbol) {
                None if survived => {}
                None => lost.push(Lost::Gone { wanted: wanted.clone(), found: found.to_owned() }),
                Some(reason) if survived => {
                    lost.push(Lost::Stale { wanted: wanted.clone(), reason: (*reason).clone() });
                }
                Some(_) => {}
            }
        }
        let unasked = absent.keys().filter(|symbol| !self.wanted.contains_key(*symbol));
        lost.extend(unasked.map(|symbol| Lost::Unasked { symbol: symbol.clone() }));
        lost
    }
}

/// A difference between what was asked for and what the kernel's `.config` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The symbol did not survive: unknown to this kernel, or a dependency is missing.
    Gone {
        /// The demand.
        wanted: Wanted,
        /// The value in `.config`; `n` if it is not there.
        found: String,
    },
    /// Declared absent, yet the kernel has it as demanded.
    Stale {
        /// The demand.
        wanted: Wanted,
        /// The declaration's reason.
        reason: String,
    },
    /// Declared absent, but no fragment asks for it.
    Unasked {
        /// The symbol, with its prefix.
        symbol: String,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { wanted, found } => {
                write!(f, "{wanted} did not survive olddefconfig: .config has {}={found}", wanted.symbol)
            }
            Self::Stale { wanted, reason } => {
                write!(f, "{wanted} is declared absent ({reason}), but this kernel has it: delete the declaration")
            }
            Self::Unasked { symbol } => {
                write!(f, "{symbol} is declared absent, but no fragment asks for it: delete the declaration")
            }
        }
    }
}

/// The set symbols of a `.config`; what is not set is left out.
fn values(config: &str) -> BTreeMap<&str, &str> {
    config.lines().filter(|line| line.starts_with("CONFIG_")).filter_map(|line| line.split_once('=')).collect()
}

fn with_prefix(symbol: &str) -> String {
    if symbol.starts_with("CONFIG_") { symbol.to_owned() } else { format!("CONFIG_{symbol}") }
}

/// Hex numbers are the only values that kconfig writes back in another form.
fn same(wanted: &str, found: &str) -> bool {
    let hex = |text: &str| text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    wanted == found || hex(wanted).is_some_and(|wanted| hex(found) == Some(wanted))
}
