// SPDX-License-Identifier: GPL-2.0-only
//! Whether the rows of a `target.toml` make sense together.
//!
//! Owns: every rule that the syntax cannot say. A row that selects nothing, or
//! that another row hides, is a typing error which would silently weaken a
//! verdict; so is a cell that no row speaks about.

use std::collections::BTreeMap;

use selftests::behaviour::behaviours as catalogue_of_behaviours;
use selftests::cell::{Cell, Probe, catalogue};
use toml::Spanned;

use super::file::{File, Place};
use super::{Behaves, BehavesRow, Excuse, Expect, Rfc, SIDES, SourceKind};
use crate::side::Side;

/// Which cells a file must speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    /// All that there are.
    All,
    /// Those that there were when it was written: of those that came later a record
    /// cannot know.
    OfItsTime,
}

pub(super) fn all(file: &File, place: &Place<'_>, cells: Cells) -> anyhow::Result<()> {
    source(file, place)?;
    config(file, place)?;
    let names = extra_sides(file, place)?;
    for row in &file.expect {
        let Expect { sides: shown, reason, .. } = row.get_ref();
        sides(shown, reason, &names, &|message| place.error(Some(row.span()), message))?;
    }
    behaviours(file, &names, place)?;
    skips(file, place)?;
    tolerations(file, place)?;
    excuses(file, place)?;
    rfc(file, place)?;
    uncompiled(file, place)?;
    reached(file, place)?;
    match cells {
        Cells::All => covered(file, place),
        Cells::OfItsTime => Ok(()),
    }
}

fn source(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    let source = file.source.get_ref();
    let error = |message: &str| Err(place.error(Some(file.source.span()), message));
    let named = !source.package.is_empty() && !source.suites.is_empty();
    let unnamed = source.package.is_empty() && source.suites.is_empty();
    match source.kind {
        _ if source.series.is_empty() => error("series is empty; allowed: an upstream series such as \"6.1\""),
        SourceKind::Binary | SourceKind::Source if !named => {
            error("kinds \"binary\" and \"source\" need a package and at least one suite")
        }
        SourceKind::User if !unnamed => error("kind \"user\" has neither package nor suites: the user names a tree"),
        _ => Ok(()),
    }
}

fn config(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    let config = file.config.get_ref();
    let error = |message: String| Err(place.error(Some(file.config.span()), message));
    if let Some(name) = config.fragments.iter().find(|name| !plain(name)) {
        return error(format!("fragment {name:?}; allowed: the name of a file in kconfigs/ without `.config`"));
    }
    if config.fragments.is_empty() {
        return error("no fragments; allowed: names of files in kconfigs/ without `.config`".to_owned());
    }
    let variants = file.variant.values().flat_map(|variant| &variant.absent);
    match config
        .absent
        .iter()
        .chain(variants)
        .find(|(symbol, reason)| !symbol.starts_with("CONFIG_") || reason.trim().is_empty())
    {
        Some((symbol, _)) => error(format!("absent symbol {symbol:?}; allowed: CONFIG_NAME = \"the reason\"")),
        None => Ok(()),
    }
}

/// May it be part of a file's name?
fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// The names of all sides.
fn extra_sides<'a>(file: &'a File, place: &Place<'_>) -> anyhow::Result<Vec<&'a str>> {
    let mut names = SIDES.to_vec();
    for row in &file.side {
        let side = row.get_ref();
        let error = |message: String| Err(place.error(Some(row.span()), message));
        for word in [&side.name, &side.patches] {
            if !plain(word) {
                return error(format!("{word:?} cannot name a side or its folder; allowed: letters, digits, - and _"));
            }
        }
        if names.contains(&side.name.as_str()) || side.name == Side::Tree.name() {
            return error(format!("there is a side {:?} already", side.name));
        }
        if side.reason.trim().is_empty() {
            return error("a side needs a reason".to_owned());
        }
        names.push(&side.name);
    }
    Ok(names)
}

fn sides<T>(
    named: &BTreeMap<String, T>,
    reason: &str,
    names: &[&str],
    error: &dyn Fn(String) -> anyhow::Error,
) -> anyhow::Result<()> {
    if let Some(side) = SIDES.iter().find(|&&side| !named.contains_key(side)) {
        return Err(error(format!("`sides` does not say what {side} shows; needed: {}", SIDES.join(", "))));
    }
    if let Some(side) = named.keys().find(|side| !names.contains(&side.as_str())) {
        return Err(error(format!("no side is named {side:?}; allowed: {}", names.join(", "))));
    }
    if reason.trim().is_empty() { Err(error("an expectation needs a reason".to_owned())) } else { Ok(()) }
}

/// Every row must be the first to match some behaviour, and say of some side that it is wrong.
fn behaviours(file: &File, names: &[&str], place: &Place<'_>) -> anyhow::Result<()> {
    let all: Vec<String> = catalogue_of_behaviours().iter().map(ToString::to_string).collect();
    let first = |name: &String| file.behaviour.iter().position(|row| row.get_ref().names.is_match(name));
    let firsts: Vec<usize> = all.iter().filter_map(first).collect();
    for (index, row) in file.behaviour.iter().enumerate() {
        let BehavesRow { names: glob, sides: shown, reason } = row.get_ref();
        let error = |message: String| place.error(Some(row.span()), message);
        sides(shown, reason, names, &error)?;
        if !firsts.contains(&index) {
            let hint = "`selftests --list` names all behaviours";
            return Err(error(format!("{glob:?} is the first to match no behaviour; {hint}", glob = glob.to_string())));
        }
        if shown.values().all(|side| *side == Behaves::Right) {
            return Err(error(format!("{glob} is right on every side, which needs no row")));
        }
    }
    Ok(())
}

fn skips(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    for row in &file.skip {
        let skip = row.get_ref();
        if !situations().iter().any(|(cell, _)| skip.covers(&cell.name(), cell.window)) {
            return Err(place.error(Some(row.span()), nothing(&skip.cells.to_string())));
        }
        if skip.reason.trim().is_empty() {
            return Err(place.error(Some(row.span()), "a declared skip needs a reason"));
        }
    }
    Ok(())
}

fn rfc(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    let lacks = |row: &&Spanned<Rfc>| row.get_ref().reason.trim().is_empty();
    match file.rfc.iter().find(lacks) {
        Some(row) => Err(place.error(Some(row.span()), "an RFC needs a reason")),
        None => Ok(()),
    }
}

fn uncompiled(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    match file.uncompiled.iter().find(|row| row.get_ref().reason.trim().is_empty()) {
        Some(row) => Err(place.error(Some(row.span()), "files that are not compiled need a reason")),
        None => Ok(()),
    }
}

fn excuses(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    let lacks = |row: &&Spanned<Excuse>| row.get_ref().class.is_empty() || row.get_ref().reason.trim().is_empty();
    match file.checkpatch.iter().find(lacks) {
        Some(row) => Err(place.error(Some(row.span()), "an exception for checkpatch needs a class and a reason")),
        None => Ok(()),
    }
}

fn tolerations(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    for row in &file.tolerate {
        let tolerate = row.get_ref();
        if tolerate.class.is_none() && tolerate.pattern.is_none() {
            return Err(place.error(Some(row.span()), "would tolerate every finding; needed: class, pattern or both"));
        }
        if tolerate.reason.trim().is_empty() {
            return Err(place.error(Some(row.span()), "a tolerated finding needs a reason"));
        }
    }
    Ok(())
}

/// Every row must be the first to match somewhere.
fn reached(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    let firsts: Vec<usize> = situations().iter().filter_map(|situation| first(file, *situation)).collect();
    for (index, row) in file.expect.iter().enumerate() {
        if firsts.contains(&index) {
            continue;
        }
        let matches = situations().iter().any(|&(cell, probe)| covers(row.get_ref(), cell, probe));
        let cells = &row.get_ref().cells;
        let message = if matches {
            format!("the row for {cells} is never reached: rows above it match all that it matches")
        } else {
            nothing(&cells.to_string())
        };
        return Err(place.error(Some(row.span()), message));
    }
    Ok(())
}

fn covered(file: &File, place: &Place<'_>) -> anyhow::Result<()> {
    for (cell, probe) in situations() {
        let skipped = file.skip.iter().any(|row| row.get_ref().covers(&cell.name(), cell.window));
        if !skipped && first(file, (cell, probe)).is_none() {
            let message = format!("cell {cell} has no [[expect]] row for probe {probe}, nor a [[skip]] row");
            return Err(place.error(None, message));
        }
    }
    Ok(())
}

fn first(file: &File, (cell, probe): (Cell, Probe)) -> Option<usize> {
    file.expect.iter().position(|row| covers(row.get_ref(), cell, probe))
}

fn covers(row: &Expect, cell: Cell, probe: Probe) -> bool {
    row.covers(&cell.name(), cell.window, &probe.to_string())
}

/// What rows can speak about. The controls are not among it: what they must show
/// is the same everywhere and built into `judge`.
fn situations() -> Vec<(Cell, Probe)> {
    let faults = catalogue().into_iter().filter(|cell| !cell.is_control());
    faults.flat_map(|cell| Probe::ALL.map(|probe| (cell, probe))).collect()
}

fn nothing(glob: &str) -> String {
    format!(
        "{glob:?} matches no cell; allowed: globs over names such as \"anon.sync.read\" (the readahead window is a key \
         of its own, the controls are built in; `selftests --list` names all cells)"
    )
}
