// SPDX-License-Identifier: GPL-2.0-only
//! The syntax of `target.toml`, schema 1.
//!
//! Owns: reading the text, and naming file and line in every error. Must not:
//! decide whether the rows make sense together (`check`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use serde::Deserialize;
use toml::Spanned;

use super::{
    BehavesRow, Config, Excuse, Expect, ExtraSide, FILE, Make, Rfc, Skip, Source, Target, Tolerate, Uncompiled,
    VariantConfig,
    check::{self, Cells},
};
use crate::variant::Variant;

/// Raised whenever a key changes its meaning.
const SCHEMA: u32 = 1;

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    pub(super) source: Spanned<Source>,
    pub(super) config: Spanned<Config>,
    #[serde(default)]
    pub(super) variant: BTreeMap<Variant, VariantConfig>,
    #[serde(default)]
    pub(super) make: Make,
    #[serde(default)]
    pub(super) side: Vec<Spanned<ExtraSide>>,
    #[serde(default)]
    pub(super) checkpatch: Vec<Spanned<Excuse>>,
    #[serde(default)]
    pub(super) uncompiled: Vec<Spanned<Uncompiled>>,
    #[serde(default)]
    pub(super) rfc: Vec<Spanned<Rfc>>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<Expect>>,
    #[serde(default)]
    pub(super) behaviour: Vec<Spanned<BehavesRow>>,
    #[serde(default)]
    pub(super) skip: Vec<Spanned<Skip>>,
    #[serde(default)]
    pub(super) tolerate: Vec<Spanned<Tolerate>>,
}

/// Only the version: a file of a later schema is told apart from a typing error.
#[derive(Deserialize)]
struct Version {
    schema: Spanned<u32>,
}

/// Where errors are.
pub(super) struct Place<'a> {
    path: PathBuf,
    text: &'a str,
}

impl Place<'_> {
    /// `path:line: message`.
    pub(super) fn error(&self, span: Option<Range<usize>>, message: impl std::fmt::Display) -> anyhow::Error {
        let path = self.path.display();
        match span {
            Some(span) => {
                let before = self.text.get(..span.start).unwrap_or(self.text);
                anyhow!("{path}:{}: {message}", before.matches('\n').count() + 1)
            }
            None => anyhow!("{path}: {message}"),
        }
    }
}

pub(super) fn parse(name: &str, dir: &Path, text: &str, cells: Cells) -> anyhow::Result<Target> {
    let place = Place { path: dir.join(FILE), text };
    let version: Version = toml::from_str(text).map_err(|error| place.error(error.span(), error.message()))?;
    if *version.schema.get_ref() != SCHEMA {
        let found = version.schema.get_ref();
        bail!(place.error(Some(version.schema.span()), format!("schema {found} is not known; allowed: {SCHEMA}")));
    }
    let file: File = toml::from_str(text).map_err(|error| place.error(error.span(), error.message()))?;
    check::all(&file, &place, cells)?;
    Ok(Target {
        name: name.to_owned(),
        dir: dir.to_owned(),
        text: text.to_owned(),
        source: file.source.into_inner(),
        config: file.config.into_inner(),
        variant: file.variant,
        make: file.make,
        rfc: file.rfc.into_iter().map(Spanned::into_inner).collect(),
        uncompiled: file.uncompiled.into_iter().map(Spanned::into_inner).collect(),
        excuses: file.checkpatch.into_iter().map(Spanned::into_inner).collect(),
        extra: file.side.into_iter().map(Spanned::into_inner).collect(),
        expect: file.expect.into_iter().map(Spanned::into_inner).collect(),
        behaviour: file.behaviour.into_iter().map(Spanned::into_inner).collect(),
        skip: file.skip.into_iter().map(Spanned::into_inner).collect(),
        tolerate: file.tolerate.into_iter().map(Spanned::into_inner).collect(),
    })
}
