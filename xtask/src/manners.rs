// SPDX-License-Identifier: GPL-2.0-only
//! How much is told, and in what colours: the same for every command.
//!
//! Owns: what `--quiet`, `--verbose`, `--color` and `NO_COLOR` mean for this process.
//! Set once, before anything is told. Must not: write.

use std::sync::OnceLock;

use clap::ValueEnum;

/// How much goes to standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// Errors alone.
    Quiet,
    /// What is under way, and what came of it.
    #[default]
    Usual,
    /// Also each command that is run; lines instead of bars.
    Verbose,
}

/// Are colours wanted?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always, in files and pipes too
    Always,
    /// Never
    Never,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manners {
    /// How much is told.
    pub level: Level,
    /// In what colours.
    pub color: ColorChoice,
}

static ASKED: OnceLock<Manners> = OnceLock::new();

/// Sets the manners of this process; the first call counts.
pub fn set(manners: Manners) {
    ASKED.get_or_init(|| manners);
    if !colored(console::colors_enabled_stderr()) {
        console::set_colors_enabled_stderr(false);
    }
}

/// How much is told.
#[must_use]
pub fn level() -> Level {
    ASKED.get().copied().unwrap_or_default().level
}

/// Is a stream coloured that could show colours, or could not?
#[must_use]
pub fn colored(capable: bool) -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    decide(ASKED.get().copied().unwrap_or_default().color, forbidden, capable)
}

/// A word on the command line beats the environment (<https://no-color.org>).
fn decide(color: ColorChoice, forbidden: bool, capable: bool) -> bool {
    match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => capable && !forbidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_beats_the_environment_and_that_the_terminal() {
        assert!(decide(ColorChoice::Auto, false, true));
        assert!(!decide(ColorChoice::Auto, true, true) && !decide(ColorChoice::Auto, false, false));
        assert!(decide(ColorChoice::Always, true, false));
        assert!(!decide(ColorChoice::Never, false, true));
    }
}
