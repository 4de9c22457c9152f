// SPDX-License-Identifier: GPL-2.0-only
//! How long things have taken, for a word on how long they will take.
//!
//! Owns: `times.json` in the cache folder, a few last times of each, and how a time is
//! told. It is only a memory: whatever is wrong with it, nothing is known, and nothing
//! fails. Must not: decide anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::file;
use crate::stats;

/// As many of each; their median shrugs off the one beside a busy neighbour.
const KEPT: usize = 3;

/// More names than this are not things that happen again.
const NAMES: usize = 500;

/// Seconds by name, the newest last.
type Known = BTreeMap<String, Vec<f64>>;

/// The memory; none knows nothing.
#[derive(Debug, Clone, Default)]
pub struct Times(Option<Arc<PathBuf>>);

impl Times {
    /// That of this user's cache folder.
    #[must_use]
    pub fn here() -> Self {
        Cache::place().map_or_else(|_| Self::default(), |root| Self::at(&root))
    }

    /// In this folder, which need not be there yet.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self(Some(Arc::new(root.join("times.json"))))
    }

    /// How long this usually takes, if that is known.
    #[must_use]
    pub fn usual(&self, name: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(stats::median(self.read().get(name)?)?).ok()
    }

    /// It took so long this time.
    pub fn took(&self, name: &str, time: Duration) {
        let Some(path) = &self.0 else { return };
        let mut known = self.read();
        if known.len() >= NAMES && !known.contains_key(name) {
            known.clear();
        }
        let times = known.entry(name.to_owned()).or_default();
        times.push(time.as_secs_f64());
        times.drain(..times.len().saturating_sub(KEPT));
        if let (Ok(bytes), Some(folder)) = (serde_json::to_vec(&known), path.parent()) {
            let _only_a_memory = file::make_dir(folder).and_then(|()| file::write(path, &bytes));
        }
    }

    fn read(&self) -> Known {
        let bytes = self.0.as_ref().and_then(|path| std::fs::read(path.as_path()).ok());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

/// What `left` more of these will take, after those that are done.
#[must_use]
pub fn rest(done: &[f64], left: usize) -> Option<String> {
    let one = stats::median(done).filter(|_| left > 0)?;
    Some(about(Duration::try_from_secs_f64(one * left as f64).ok()?))
}

/// A time as one would say it.
#[must_use]
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..=99 => format!("about {} s", seconds.max(1)),
        100..=5999 => format!("about {} min", (seconds + 30) / 60),
        _ => format!("about {} h {} min", (seconds + 30) / 3600, (seconds + 30) % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_remembered_and_the_median_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new");
        let times = Times::at(&root);
        assert_eq!(times.usual("a boot"), None);
        for seconds in [100, 7, 9, 60] {
            times.took("a boot", Duration::from_secs(seconds));
        }
        assert_eq!(Times::at(&root).usual("a boot"), Some(Duration::from_secs(9)));
        assert_eq!(times.usual("another"), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_known_and_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("times.json"), b"{\"a boot\": [1").unwrap();
        let times = Times::at(dir.path());
        assert_eq!(times.usual("a boot"), None);
        times.took("a boot", Duration::from_secs(2));
        assert_eq!(times.usual("a boot"), Some(Duration::from_secs(2)));
        Times::default().took("a boot", Duration::from_secs(3));
        assert_eq!(Times::default().usual("a boot"), None);
    }

    #[test]
    fn names_do_not_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let known: Known = (0..NAMES).map(|name| (name.to_string(), vec![1.0])).collect();
        std::fs::write(dir.path().join("times.json"), serde_json::to_vec(&known).unwrap()).unwrap();
        let times = Times::at(dir.path());
        times.took("1", Duration::from_secs(1));
        assert_eq!(times.read().len(), NAMES);
        times.took("one more", Duration::from_secs(1));
        assert_eq!(times.read().len(), 1);
    }

    #[test]
    fn times_are_told_as_one_would_say_them() {
        let told = |seconds| about(Duration::from_secs_f64(seconds));
        assert_eq!((told(0.2).as_str(), told(99.0).as_str()), ("about 1 s", "about 99 s"));
        assert_eq!((told(100.0).as_str(), told(5999.0).as_str()), ("about 2 min", "about 100 min"));
        assert_eq!(told(7170.0), "about 2 h 0 min");
        assert_eq!(rest(&[10.0, 12.0, 90.0], 4).as_deref(), Some("about 48 s"));
        assert_eq!((rest(&[], 4), rest(&[1.0], 0)), (None, None));
    }
}
