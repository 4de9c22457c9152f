// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `cargo xtask nightly`.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{MatrixArgs, MeasureArgs};

/// `cargo xtask nightly`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = NIGHTLY_RULES)]
pub struct NightlyArgs {
    /// Folders of patches/ [default: all that can be fetched, and those with a --linux]
    pub targets: Vec<String>,

    /// Take the kernel of a target from here; as in `matrix`, may be given often
    #[arg(long, value_name = "TARGET=PATH[@REV]")]
    pub linux: Vec<String>,

    /// Measure for so long at most, e.g. 3h or 1h30m [default: until all is done]
    ///
    /// The target whose last night is the longest ago goes first. What does not fit is told as missing. It counts from the
    /// start of the command, also where a night is gone on with.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub budget: Option<Duration>,

    /// Let the cache and results/ take so much of the disk at most, e.g. 40G [default: as much as they want]
    ///
    /// Before the night and after it, build folders and source trees go, the longest unused first, and then runs, the oldest first; never the
    /// last run in which a target passed, nor the committed evidence. What went is told.
    #[arg(long, value_name = "SIZE")]
    pub disk: Option<ByteSize>,

    /// Measure nothing: compare a stored run with the nights before it, and tell that again
    #[arg(long, value_name = "RUN", conflicts_with_all = ["targets", "linux", "budget", "disk"])]
    pub tell: Option<String>,

    /// How each is measured and told.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

impl NightlyArgs {
    /// The matrix that it is.
    #[must_use]
    pub fn matrix(&self) -> MatrixArgs {
        let Self { targets, linux, measure, .. } = self.clone();
        MatrixArgs { targets, linux, resume: None, plan: false, job: None, measure }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(time)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "that is no time to do anything in".to_owned())
}

const NIGHTLY_RULES: &str = "\
Measures as `matrix` does, with what the archive has tonight, compares with the earlier nights and the committed evidence, and
writes report.html, report.md, junit.xml, report.ktap, kcidb.json and night.json into the run's folder. A night that was cut
off, however that happened, is gone on with by the same command within 20 hours. Two nights at once are refused.

As a line of crontab(5):
  17 2 * * *  cd ~/kvm-gup-io && cargo xtask nightly --yes --quiet --budget 5h --disk 60G

Words, for each cell, boot and target, as in `results diff`, against the newest earlier night that says something of it:
  new, fixed, persistent, flaky, missing; the rest is unchanged

Exit codes:
    0  nothing is new, nothing is missing, and all passed
  100  something is new: a regression
  110  another night is under way, or as below
  125  nothing is new and what was measured passed, but something is missing
    otherwise that of the worst target";
