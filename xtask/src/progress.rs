// SPDX-License-Identifier: GPL-2.0-only
//! Progress for people: a bar on a terminal, one plain line a phase elsewhere.
//!
//! Owns: everything that is written to standard error while work goes on.
//! Standard output belongs to the result. Must not: decide or measure.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::manners::{self, Level};
use crate::text::plain;

/// Where progress goes.
#[derive(Debug, Clone)]
pub struct Progress {
    terminal: bool,
    quiet: bool,
}

impl Progress {
    /// Bars if standard error is a terminal, else plain lines; `quiet`, the command's or
    /// the process's, says nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        // A bar and the commands between would write over each other.
        let bars = console::user_attended_stderr() && manners::level() != Level::Verbose;
        Self { terminal: bars, quiet: quiet || manners::level() == Level::Quiet }
    }

    /// For tests.
    #[must_use]
    pub fn silent() -> Self {
        Self { terminal: false, quiet: true }
    }

    /// Says one line that stays.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", line.as_ref());
        }
    }

    /// Begins a phase, e.g. `building v6.1 baseline`; it ends when dropped.
    #[must_use]
    pub fn phase(&self, name: impl Into<String>) -> Phase {
        let name = name.into();
        let bar = if self.terminal && !self.quiet {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style("{spinner} {prefix} {wide_msg} {elapsed}"));
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        } else {
            self.say(format!("{name} …"));
            None
        };
        Phase { progress: self.clone(), name, bar, started: Instant::now() }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A phase of work that is under way.
#[derive(Debug)]
pub struct Phase {
    progress: Progress,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Phase {
    /// Makes it a bar of known length.
    pub fn length(&self, units: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(units);
            bar.set_style(style("{spinner} {prefix} [{bar:30}] {pos}/{len} {wide_msg} {elapsed} eta {eta}"));
        }
    }

    /// Units done so far.
    pub fn position(&self, units: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(units);
        }
    }

    /// What is being done at this moment. It may be a line of what a compiler says of a
    /// stranger's code.
    pub fn detail(&self, text: impl AsRef<str>) {
        if let Some(bar) = &self.bar {
            bar.set_message(plain(text.as_ref()));
        }
    }

    /// Ends the phase with a word on how it went.
    pub fn done(mut self, how: impl AsRef<str>) {
        let bar = self.bar.take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        self.progress.say(format!("{}: {} ({seconds:.1} s)", self.name, how.as_ref()));
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
