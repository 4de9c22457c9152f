// SPDX-License-Identifier: GPL-2.0-only
//! The commits between good and bad ends, as a graph.
//!
//! Owns: reading them, in git's order. Reads the user's repository and writes
//! nothing there: no ref, no index, no `BISECT_*` file.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::path::PathBuf;

use git2::{ErrorCode, Oid, Repository};

use crate::bisect::graph::{Graph, GraphError};

/// One commit of the graph; its index is the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Oid,
    /// Its subject line.
    pub subject: String,
}

/// The commits that can matter: those in the range, the good ends, and the
/// commits right below the range.
#[derive(Debug, Clone)]
pub struct History {
    /// Who contains whom.
    pub graph: Graph,
    /// By item.
    pub commits: Vec<Commit>,
    /// The good ends.
    pub goods: Vec<usize>,
    /// The bad ends.
    pub bads: Vec<usize>,
    /// How many commits are in the range.
    pub range: usize,
}

/// Ends between which nothing can be bisected.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Good is bad or newer.
    #[error(
        "{good} (good) is {bad} (bad) itself or contains it; to look for the commit that mended it, use --find fix"
    )]
    Backwards {
        /// The good end.
        good: Oid,
        /// The bad end.
        bad: Oid,
    },
    /// No commit is an ancestor of both.
    #[error("{good} (good) and {bad} (bad) have no common ancestor; name ends of one history")]
    Unrelated {
        /// The good end.
        good: Oid,
        /// The bad end.
        bad: Oid,
    },
    /// No commit of the range touches the paths.
    #[error("no commit between the ends touches {paths:?}; widen the paths")]
    NothingTouched {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// What git says.
    #[error("could not read the history: {0}")]
    Git(#[from] git2::Error),
    /// Git's history always is a graph: a fault of ours.
    #[error("the history makes no graph: {0}")]
    Graph(#[from] GraphError),
}

/// A commit as it is read.
struct Raw {
    time: i64,
    subject: String,
    parents: Vec<Oid>,
    /// It changes something on the wanted paths.
    touches: bool,
}

impl History {
    /// Read what is between the ends. With `paths` (files or folders, no
    /// patterns), only commits that change something there are items, and the
    /// bad end: found guilty there, it says that the culprit is elsewhere.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn read(repo: &Repository, goods: &[Oid], bad: Oid, paths: &[PathBuf]) -> Result<Self, HistoryError> {
        let mut apart = Vec::new();
        for &good in goods {
            if good == bad || repo.graph_descendant_of(good, bad)? {
                return Err(HistoryError::Backwards { good, bad });
            }
            let bases = repo.merge_bases(good, bad).map_err(|error| match error.code() {
                ErrorCode::NotFound => HistoryError::Unrelated { good, bad },
                _ => HistoryError::Git(error),
            })?;
            apart.extend(bases.iter().copied().filter(|&base| base != good));
        }
        let raw = range(repo, goods, bad, paths)?;
        let order: Vec<Oid> = by_date(&raw, bad).into_iter().filter(|id| raw[id].touches || *id == bad).collect();
        if order.len() < 2 && !paths.is_empty() && !raw[&bad].touches {
            return Err(HistoryError::NothingTouched { paths: paths.to_vec() });
        }
        let mut below: Vec<Oid> = raw.values().flat_map(|raw| raw.parents.iter().copied()).collect();
        below.retain(|id| !raw.contains_key(id));
        below.extend(goods.iter().copied());
        below.sort_unstable();
        below.dedup();
        let mut commits = Vec::with_capacity(below.len() + order.len());
        for &id in &below {
            let commit = repo.find_commit(id)?;
            commits.push(Commit { id, subject: subject(&commit) });
        }
        commits.extend(order.iter().map(|&id| Commit { id, subject: raw[&id].subject.clone() }));
        let item: HashMap<Oid, usize> = commits.iter().enumerate().map(|(item, commit)| (commit.id, item)).collect();
        let mut parents = old_parents(repo, &below, goods, &apart, &item)?;
        parents.extend(new_parents(&raw, bad, &order, &item));
        let mut sorted: Vec<usize> = (0..commits.len()).collect();
        sorted.sort_by_key(|&at| commits[at].id);
        let mut rank = vec![0; commits.len()];
        sorted.into_iter().enumerate().for_each(|(place, at)| rank[at] = place);
        let graph = Graph::new(parents)?.ranked(rank)?;
        let goods = goods.iter().filter_map(|good| item.get(good).copied()).collect();
        let bads = item.get(&bad).copied().into_iter().collect();
        Ok(Self { graph, commits, goods, bads, range: order.len() })
    }

    /// The item of a commit.
    pub fn item(&self, id: Oid) -> Option<usize> {
        self.commits.iter().position(|commit| commit.id == id)
    }
}

fn subject(commit: &git2::Commit<'_>) -> String {
    let message = String::from_utf8_lossy(commit.message_bytes());
    message.trim_start().lines().next().unwrap_or_default().trim_end().to_owned()
}

/// The commits that `bad` contains and no good end does.
fn range(repo: &Repository, goods: &[Oid], bad: Oid, paths: &[PathBuf]) -> Result<HashMap<Oid, Raw>, HistoryError> {
    let mut walk = repo.revwalk()?;
    walk.push(bad)?;
    for &good in goods {
        walk.hide(good)?;
    }
    let mut all = HashMap::new();
    for id in walk {
        let commit = repo.find_commit(id?)?;
        let touches = paths.is_empty() || touches(&commit, paths)?;
        let parents = commit.parent_ids().collect();
        let raw = Raw { time: commit.time().seconds(), subject: subject(&commit), parents, touches };
        all.insert(commit.id(), raw);
    }
    Ok(all)
}

/// On these paths, the commit differs from each of its parents.
fn touches(commit: &git2::Commit<'_>, paths: &[PathBuf]) -> Result<bool, git2::Error> {
    let at = |tree: &git2::Tree<'_>| -> Result<Vec<Option<Oid>>, git2::Error> {
        let one = |path: &PathBuf| match tree.get_path(path) {
            Ok(entry) => Ok(Some(entry.id())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        paths.iter().map(one).collect()
    };
    let own = at(&commit.tree()?)?;
    for parent in commit.parents() {
        if at(&parent.tree()?)? == own {
            return Ok(false);
        }
    }
    Ok(commit.parent_count() > 0 || own.iter().any(Option::is_some))
}

/// The range as git lists it for a bisection, the oldest first: by date, and
/// among equal dates by when the walk met them.
fn by_date(raw: &HashMap<Oid, Raw>, bad: Oid) -> Vec<Oid> {
    let mut open = BinaryHeap::new();
    let mut met = HashSet::from([bad]);
    open.push((raw.get(&bad).map_or(0, |raw| raw.time), Reverse(0_usize), bad));
    let mut order = Vec::with_capacity(raw.len());
    while let Some((_, _, id)) = open.pop() {
        order.push(id);
        for parent in raw.get(&id).map_or(&[][..], |raw| &raw.parents) {
            if let Some(of) = raw.get(parent)
                && met.insert(*parent)
            {
                open.push((of.time, Reverse(met.len()), *parent));
            }
        }
    }
    order.reverse();
    order
}

/// The parents of the commits in the range, past those that are no items.
fn new_parents(raw: &HashMap<Oid, Raw>, bad: Oid, order: &[Oid], item: &HashMap<Oid, usize>) -> Vec<Vec<usize>> {
    let mut nearest: HashMap<Oid, Vec<usize>> = HashMap::with_capacity(raw.len());
    // Parents first, without recursion: a history is too deep for that.
    let mut open = vec![(bad, false)];
    let mut over: HashMap<Oid, Vec<usize>> = HashMap::new();
    while let Some((id, ready)) = open.pop() {
        let Some(of) = raw.get(&id) else { continue };
        if nearest.contains_key(&id) {
            continue;
        }
        if !ready {
            open.push((id, true));
            open.extend(
                of.parents.iter().filter(|parent| !nearest.contains_key(*parent)).map(|&parent| (parent, false)),
            );
            continue;
        }
        let mut found = Vec::new();
        for parent in &of.parents {
            match nearest.get(parent) {
                Some(list) => found.extend(list.iter().copied()),
                None => found.extend(item.get(parent).copied()),
            }
        }
        let mut there = HashSet::new();
        found.retain(|at| there.insert(*at));
        let own = item.get(&id).copied();
        nearest.insert(id, own.map_or_else(|| found.clone(), |own| vec![own]));
        over.insert(id, found);
    }
    order.iter().map(|id| over.remove(id).unwrap_or_default()).collect()
}

/// How the commits below the range, and the good ends, contain each other: as
/// far as it matters for where branches parted.
fn old_parents(
    repo: &Repository,
    below: &[Oid],
    goods: &[Oid],
    bases: &[Oid],
    item: &HashMap<Oid, usize>,
) -> Result<Vec<Vec<usize>>, git2::Error> {
    let single = goods.len() == 1 && bases.len() < 2;
    let mut parents = Vec::with_capacity(below.len());
    for &id in below {
        let mut list = Vec::new();
        let (good, base) = (goods.contains(&id), bases.contains(&id));
        for &other in below.iter().filter(|&&other| other != id) {
            // The only good end contains all that is below the range, and so does its
            // merge base with the bad end: no need to walk.
            let contains = if single && (good || base) {
                !(base && goods.contains(&other))
            } else {
                (good || base || goods.contains(&other)) && repo.graph_descendant_of(id, other)?
            };
            if contains {
                list.extend(item.get(&other).copied());
            }
        }
        parents.push(list);
    }
    Ok(parents)
}
