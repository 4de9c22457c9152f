// SPDX-License-Identifier: GPL-2.0-only
//! The patches of a series, and the hunks of one patch, as items.
//!
//! Owns: what a prefix is. Item 0 has none of them, the last has all. Must not:
//! apply them (`kernels` does, through `series`).

use sha2::{Digest, Sha256};

use crate::bisect::items::{Item, Items, Kind};
use crate::patch::{FilePatch, Patch};

/// Prefixes of a series.
#[must_use]
pub fn patches(target: &str, series: &[Patch]) -> Items {
    let mut list = vec![first(&format!("{target} without the series"))];
    let mut hash = Sha256::new();
    for (at, patch) in series.iter().enumerate() {
        hash.update(&patch.bytes);
        let name = format!("patch {}/{}: {}", at + 1, series.len(), patch.subject);
        list.push(Item { id: digest(&hash), name });
    }
    Items::row(Kind::Patches, list)
}

/// Prefixes of the hunks of one patch, and the patches that they are.
#[must_use]
pub fn hunks(patch: &Patch) -> (Items, Vec<Patch>) {
    let mut list = vec![first(&format!("without {}", patch.subject))];
    let mut parts = vec![part(patch, 0)];
    let mut hash = Sha256::new();
    hash.update(&patch.bytes);
    let units = patch.files.iter().flat_map(|file| (0..file.hunks.len().max(1)).map(move |at| (file, at)));
    for (count, (file, at)) in units.enumerate() {
        hash.update([0]);
        let header = file.hunks.get(at).map_or("its mode or name", |hunk| hunk.header.trim_end());
        let name = format!("{} hunk {}/{}: {header}", file.path(), at + 1, file.hunks.len());
        list.push(Item { id: digest(&hash), name });
        parts.push(part(patch, count + 1));
    }
    (Items::row(Kind::Hunks, list), parts)
}

/// The patch with its first `count` hunks alone.
fn part(patch: &Patch, count: usize) -> Patch {
    let mut left = count;
    let mut files: Vec<FilePatch> = Vec::new();
    for file in &patch.files {
        let length = file.hunks.len().max(1);
        if left == 0 {
            break;
        }
        let mut file = file.clone();
        file.hunks.truncate(left);
        left = left.saturating_sub(length);
        files.push(file);
    }
    Patch { files, ..patch.clone() }
}

fn first(name: &str) -> Item {
    Item { id: "0".to_owned(), name: name.to_owned() }
}

fn digest(hash: &Sha256) -> String {
    hex::encode(&hash.clone().finalize()[..20])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::patch;

    const PATCH: &str = "From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nDate: Sun, 22 Nov 2026 22:00:00 +0000\n\
        Subject: [PATCH] x: two\n\nwhy\n---\n a | 2 +-\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,1 +1,1 @@ one\n-1\n+2\n\
        @@ -11,1 +11,1 @@ two\n-1\n+2\ndiff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -1,1 +1,1 @@\n-1\n+2\n-- \n2.47\n";

    #[test]
    fn a_patch_grows_hunk_by_hunk() {
        let patch = patch::parse(Path::new("p.patch"), PATCH.as_bytes()).unwrap();
        let (items, parts) = hunks(&patch);
        assert_eq!((items.list.len(), parts.len()), (4, 4));
        let sizes = |part: &Patch| part.files.iter().map(|file| file.hunks.len()).collect::<Vec<_>>();
        assert_eq!(parts.iter().map(sizes).collect::<Vec<_>>(), [vec![], vec![1], vec![2], vec![2, 1]]);
        assert_eq!(items.list[2].name, "a hunk 2/2: @@ -11,1 +11,1 @@ two");
        let ids: std::collections::BTreeSet<_> = items.list.iter().map(|item| &item.id).collect();
        assert_eq!(ids.len(), 4);
    }
}
