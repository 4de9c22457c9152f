// SPDX-License-Identifier: GPL-2.0-only
//! Progress for people: a bar on a terminal, one plain line a phase elsewhere.
//!
//! Owns: everything that is written to standard error while work goes on.
//! Standard output belongs to the result. Must not: decide or measure.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::manners::{self, Level};
use crate::text::plain;
use crate::times::{Times, about};

/// Where progress goes.
#[derive(Debug, Clone)]
pub struct Progress {
    terminal: bool,
    quiet: bool,
    times: Times,
}

impl Progress {
    /// Bars if standard error is a terminal, else plain lines; `quiet`, the command's or
    /// the process's, says nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        // A bar and the commands between would write over each other.
        let bars = console::user_attended_stderr() && manners::level() != Level::Verbose;
        Self { terminal: bars, quiet: quiet || manners::level() == Level::Quiet, times: Times::here() }
    }

    /// For tests.
    #[must_use]
    pub fn silent() -> Self {
        Self { terminal: false, quiet: true, times: Times::default() }
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
        self.begin(name.into(), None)
    }

    /// A phase that takes about as long as the last ones of this kind did: how long is
    /// said, and remembered of this one if it gets done.
    #[must_use]
    pub fn phase_like(&self, kind: impl Into<String>, name: impl Into<String>) -> Phase {
        self.begin(name.into(), Some(kind.into()))
    }

    /// How long things took.
    #[must_use]
    pub fn times(&self) -> &Times {
        &self.times
    }

    fn begin(&self, name: String, kind: Option<String>) -> Phase {
        let usual = kind.as_deref().and_then(|kind| self.times.usual(kind)).map(about);
        let bar = if self.terminal && !self.quiet {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let usual = usual.as_ref().map_or_else(String::new, |usual| format!(" of {usual}"));
            bar.set_style(style(&format!("{{spinner}} {{prefix}} {{wide_msg}} {{elapsed}}{usual}")));
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        } else {
            let usual = usual.as_ref().map_or_else(String::new, |usual| format!(" {usual}"));
            self.say(format!("{name} …{usual}"));
            None
        };
        Phase { progress: self.clone(), name, kind, usual, bar, started: Instant::now() }
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
    kind: Option<String>,
    usual: Option<String>,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Phase {
    /// Makes it a bar of known length.
    pub fn length(&self, units: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(units);
            // What earlier ones took says more than how fast this one has begun.
            let end = self.usual.as_ref().map_or_else(|| "eta {eta}".to_owned(), |usual| format!("of {usual}"));
            bar.set_style(style(&format!(
                "{{spinner}} {{prefix}} [{{bar:30}}] {{pos}}/{{len}} {{wide_msg}} {{elapsed}} {end}"
            )));
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
        let took = self.started.elapsed();
        if let Some(kind) = &self.kind {
            self.progress.times.took(kind, took);
        }
        let seconds = took.as_secs_f64();
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
