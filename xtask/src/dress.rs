// SPDX-License-Identifier: GPL-2.0-only
//! What a kernel is built with for a purpose besides its measurement.
//!
//! Owns: the fragment that it adds, and the build folder, which no other purpose
//! shares: going from one to the other would compile everything again.

use std::path::PathBuf;

use crate::cache::Work;
use crate::variant::Variant;

/// A purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dress {
    /// None besides.
    #[default]
    Plain,
    /// To boot in virtme-ng, on the host's own files.
    Vng,
    /// To be looked at with a debugger.
    Gdb,
}

impl Dress {
    /// The name of the fragment whose lines replace those of others.
    #[must_use]
    pub fn fragment(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Vng => Some("vng"),
            Self::Gdb => Some("gdb"),
        }
    }

    /// The build folder (`O=`).
    #[must_use]
    pub fn build(self, work: &Work, variant: Variant) -> PathBuf {
        let plain = work.build(variant);
        match self.fragment() {
            None => plain,
            Some(name) => {
                let folder = plain.file_name().unwrap_or_default().to_string_lossy().into_owned();
                plain.with_file_name(format!("{folder}-{name}"))
            }
        }
    }
}
