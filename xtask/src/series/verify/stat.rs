// SPDX-License-Identifier: GPL-2.0-only
//! The diffstat of a patch against its hunks.
//!
//! Owns: what `git format-patch` writes between the `---` line and the first diff.
//! Must not: demand more than it says: a long path is shortened there.

use anyhow::{Context, anyhow};

use crate::error::Error;
use crate::patch::{FilePatch, LineKind, Patch};

/// Compares the line of each file, and the sum.
///
/// # Errors
/// [`Error::Apply`] with the patch and the first number that differs.
pub(super) fn check(patch: &Patch) -> Result<(), Error> {
    compare(patch).with_context(|| format!("patch {}", patch.path.display())).map_err(Error::Apply)
}

fn compare(patch: &Patch) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&patch.bytes);
    let stat: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "---")
        .skip(1)
        .take_while(|line| !line.starts_with("diff --git "))
        .collect();
    let is_sum =
        |line: &&&str| line.starts_with(' ') && (line.contains(" file changed") || line.contains(" files changed"));
    let sum = stat.iter().find(is_sum).context("there is no diffstat")?;
    files(patch, &stat)?;
    let count = |kind| patch.files.iter().map(|file| lines(file, kind)).sum();
    let rows =
        [("file", patch.files.len()), ("insertion", count(LineKind::Added)), ("deletion", count(LineKind::Removed))];
    for (word, is) in rows {
        let part = sum.split(',').find(|part| part.contains(word));
        let said = part.and_then(|part| part.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0);
        if said != is {
            return Err(anyhow!("the diffstat says {said} {word}s, the hunks have {is}"));
        }
    }
    Ok(())
}

/// ` mm/shmem.c | 29 ++++---` of each file, in the order of the patch.
fn files(patch: &Patch, stat: &[&str]) -> anyhow::Result<()> {
    let rows = stat.iter().filter(|line| line.starts_with(' ')).filter_map(|line| line.split_once(" | "));
    let rows: Vec<(&str, &str)> = rows.map(|(name, rest)| (name.trim(), rest)).collect();
    if rows.len() != patch.files.len() {
        return Err(anyhow!("the diffstat lists {} files, the patch changes {}", rows.len(), patch.files.len()));
    }
    for (file, (name, rest)) in patch.files.iter().zip(rows) {
        let is = lines(file, LineKind::Added) + lines(file, LineKind::Removed);
        let said = rest.split_whitespace().next().and_then(|number| number.parse::<usize>().ok());
        let path = file.path();
        // `.../long/path.c`, and `old => new` or `dir/{old => new}/x.c` of a rename.
        let is_named =
            name == path || name.contains(" => ") || name.strip_prefix("...").is_some_and(|end| path.ends_with(end));
        if !is_named {
            return Err(anyhow!("the diffstat names {name} where the patch has {path}"));
        }
        if said != Some(is) {
            return Err(anyhow!("{path}: the diffstat says {}, the hunks have {is} lines", rest.trim()));
        }
    }
    Ok(())
}

fn lines(file: &FilePatch, kind: LineKind) -> usize {
    file.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.kind == kind).count()
}
