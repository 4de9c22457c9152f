// SPDX-License-Identifier: GPL-2.0-only
//! One kernel in a person's hands: what `shell` and `debug` share.

use std::convert::Infallible;
use std::path::Path;

use super::lab::{self, Record};
use crate::cli::{BootArgs, DEFAULT_TARGET, KernelArgs, MeasureArgs};
use crate::error::Error;
use crate::measure::{self, Lab};
use crate::side::Side;
use crate::source::{LinuxArg, Request};
use crate::target::Target;
use crate::variant::Variant;

/// Which kernel.
pub(super) struct Hand {
    /// Its configuration and patches; `None` for a tree by itself.
    pub(super) target: Option<Target>,
    /// Where it comes from.
    pub(super) request: Request,
    /// Which side of it.
    pub(super) side: Side,
}

impl Hand {
    /// As the arguments say.
    pub(super) fn of(args: &KernelArgs, checkout: &Path) -> Result<Self, Error> {
        let name = match (&args.target, &args.linux) {
            (Some(target), _) => Some(target.as_str()),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TARGET),
        };
        let linux = args.linux.as_deref();
        let linux = linux.map(|text| text.parse::<LinuxArg>().unwrap_or_else(|never: Infallible| match never {}));
        let target = name.map(|name| Target::load(&checkout.join("patches"), name)).transpose()?;
        let request = measure::request(target.as_ref(), linux.as_ref())?;
        let side = match (&target, &args.side) {
            (Some(target), Some(side)) => Side::of(target, side)?,
            (Some(_), None) => Side::Patched,
            (None, _) => Side::Tree,
        };
        Ok(Self { target, request, side })
    }
}

/// A laboratory that measures these cells; its record is to be discarded.
pub(super) fn lab(boot: &BootArgs, cell: Vec<String>, checkout: &Path) -> Result<Lab, Error> {
    let args = MeasureArgs {
        config: Variant::Measure,
        cell,
        trials: None,
        stress: None,
        repeat: 1,
        seed: 0,
        stress_seed: None,
        storm: None,
        boot: boot.clone(),
    };
    lab::open(&args, checkout, Record::New)
}
