// SPDX-License-Identifier: GPL-2.0-only
//! Cells and probes in few words, for a row that stands for many.
//!
//! Owns: the globs, which `--cell` takes, too. Must not: know what a row shows.

/// The cells of one backing as globs: `anon.*` for all that there are, else
/// `anon.{sync,user}.*` where the row has all accesses of these paths, else their names.
pub(super) fn cells<S: AsRef<str>>(row: &[S], all: &[&str]) -> Vec<String> {
    let row: Vec<&str> = row.iter().map(AsRef::as_ref).collect();
    let names = || row.iter().map(ToString::to_string).collect();
    let Some(backing) = row.first().and_then(|name| name.split('.').next()) else { return Vec::new() };
    let all: Vec<&str> = all.iter().copied().filter(|name| name.split('.').next() == Some(backing)).collect();
    if row.len() < 2 {
        return names();
    }
    if all.iter().all(|name| row.contains(name)) {
        return vec![format!("{backing}.*")];
    }
    let mut paths: Vec<&str> = Vec::new();
    for name in &row {
        let Some(path) = name.split('.').nth(1) else { return names() };
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let of_these = |name: &&&str| name.split('.').nth(1).is_some_and(|path| paths.contains(&path));
    match paths.as_slice() {
        _ if !all.iter().filter(of_these).all(|name| row.contains(name)) => names(),
        [path] => vec![format!("{backing}.{path}.*")],
        paths => vec![format!("{backing}.{{{}}}.*", paths.join(","))],
    }
}

/// `all` where a row has all of several probes, else their names.
pub(super) fn probes<S: AsRef<str>>(row: &[S], all: &[&str]) -> String {
    if all.len() > 2 && all.iter().all(|probe| row.iter().any(|of| of.as_ref() == *probe)) {
        return "all".to_owned();
    }
    row.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 7] = ["a.x.read", "a.x.write", "a.y.read", "a.y.write", "a.z.read", "a.z.write", "b.x.read"];

    #[test]
    fn cells_are_as_few_globs_as_say_it_all() {
        assert_eq!(cells(&ALL[..6], &ALL), ["a.*"]);
        assert_eq!(cells(&ALL[..2], &ALL), ["a.x.*"]);
        assert_eq!(cells(&ALL[2..6], &ALL), ["a.{y,z}.*"]);
        assert_eq!(cells(&ALL[..3], &ALL), ["a.x.read", "a.x.write", "a.y.read"]);
        assert_eq!(cells(&ALL[6..], &ALL), ["b.x.read"]);
    }

    #[test]
    fn probes_are_all_or_named() {
        assert_eq!(probes(&["w", "r", "s"], &["w", "r", "s"]), "all");
        assert_eq!(probes(&["w", "r"], &["w", "r", "s"]), "w, r");
        assert_eq!(probes(&["w", "r"], &["w", "r"]), "w, r");
    }
}
