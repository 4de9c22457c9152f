// SPDX-License-Identifier: GPL-2.0-only
//! Histories, oracles, and git's own bisection of the same history.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use git2::{Oid, Repository, Signature, Time};
use xtask::bisect::evidence::{Observation, Seen};
use xtask::bisect::graph::Graph;
use xtask::bisect::policy::Policy;
use xtask::bisect::step::{Step, step};

/// Numbers that look random and are the same in each run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    pub(crate) fn chance(&mut self, of: f64) -> bool {
        ((self.next() >> 11) as f64) < of * (1_u64 << 53) as f64
    }
}

/// Parents of a random history with one first and one last commit.
pub(crate) fn history(len: usize, random: &mut Random) -> Vec<Vec<usize>> {
    let mut parents: Vec<Vec<usize>> = vec![Vec::new()];
    for item in 1..len - 1 {
        let mut of = vec![item - 1 - random.below(item.min(4))];
        if random.chance(0.3) {
            of.push(item - 1 - random.below(item.min(6)));
        }
        of.sort_unstable();
        of.dedup();
        parents.push(of);
    }
    let merged: Vec<usize> = parents.iter().flatten().copied().collect();
    parents.push((0..len - 1).filter(|item| !merged.contains(item)).collect());
    parents
}

/// What an honest oracle says: bad is what contains the culprit.
pub(crate) fn honest(graph: &Graph, culprit: usize) -> impl Fn(usize) -> Seen + use<> {
    let bad = graph.descendants(&[culprit]);
    move |item| if bad.contains(item) { Seen::Bad } else { Seen::Good }
}

/// A whole search, and all that was seen.
pub(crate) fn search(
    graph: &Graph,
    (goods, bads): (&[usize], &[usize]),
    policy: &Policy,
    oracle: &mut dyn FnMut(usize) -> Seen,
) -> (Step, Vec<Observation>) {
    let mut seen = Vec::new();
    for _ in 0..20_000 {
        match step(graph, goods, bads, &seen, policy) {
            Step::Test { item, .. } => seen.push(Observation::fresh(item, oracle(item))),
            end => return (end, seen),
        }
    }
    panic!("the search does not end");
}

/// The culprit, or the whole answer.
pub(crate) fn found(step: &Step) -> Result<usize, &Step> {
    match step {
        Step::Found { item, .. } => Ok(*item),
        other => Err(other),
    }
}

/// A repository whose commit `i` has the parents `parents[i]`.
pub(crate) struct Repo {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) git: Repository,
    pub(crate) ids: Vec<Oid>,
}

impl Repo {
    /// With a minute between commits; commit `i` writes the file `i % 5`.
    pub(crate) fn new(parents: &[Vec<usize>]) -> Self {
        Self::dated(parents, &|item| item as i64 * 60)
    }

    pub(crate) fn dated(parents: &[Vec<usize>], date: &dyn Fn(usize) -> i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let git = Repository::init(dir.path()).unwrap();
        let mut ids: Vec<Oid> = Vec::new();
        for (item, of) in parents.iter().enumerate() {
            let time = Time::new(1_600_000_000 + date(item), 0);
            let author = Signature::new("A. Tester", "tester@example.org", &time).unwrap();
            let base = of.first().map(|&parent| git.find_commit(ids[parent]).unwrap().tree().unwrap());
            let mut tree = git.treebuilder(base.as_ref()).unwrap();
            let blob = git.blob(format!("{item}\n").as_bytes()).unwrap();
            tree.insert(format!("file{}", item % 5), blob, 0o100_644).unwrap();
            let tree = git.find_tree(tree.write().unwrap()).unwrap();
            let parents: Vec<git2::Commit<'_>> = of.iter().map(|&of| git.find_commit(ids[of]).unwrap()).collect();
            let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
            ids.push(
                git.commit(None, &author, &author, &format!("commit {item}\n\nBody.\n"), &tree, &parents).unwrap(),
            );
        }
        let last = git.find_commit(*ids.last().unwrap()).unwrap();
        git.branch("main", &last, true).unwrap();
        drop(last);
        git.set_head("refs/heads/main").unwrap();
        Self { dir, git, ids }
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = command(self.dir.path()).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text + &String::from_utf8_lossy(&out.stderr)
    }

    /// Let git bisect with the script of an oracle.
    pub(crate) fn bisect(&self, goods: &[usize], bad: usize, start: &[&str], oracle: &dyn Fn(usize) -> Seen) -> GitEnd {
        let tools = self.dir.path().join(".git");
        let line = |(item, id): (usize, &Oid)| {
            let code = match oracle(item) {
                Seen::Good => 0,
                Seen::Bad => 1,
                Seen::Skip => 125,
            };
            format!("{id} {code}\n")
        };
        std::fs::write(tools.join("oracle"), self.ids.iter().enumerate().map(line).collect::<String>()).unwrap();
        std::fs::write(tools.join("tested"), "").unwrap();
        let script = "#!/bin/sh\nread -r id < .git/BISECT_HEAD\necho $id >> .git/tested\n\
                      while read -r of code; do [ $of = $id ] && exit $code; done < .git/oracle\nexit 200\n";
        std::fs::write(tools.join("run"), script).unwrap();
        std::fs::set_permissions(tools.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        self.git(&[&["bisect", "start", "--no-checkout"], start].concat());
        self.git(&["bisect", "bad", &self.ids[bad].to_string()]);
        let goods: Vec<String> = goods.iter().map(|&good| self.ids[good].to_string()).collect();
        let goods: Vec<&str> = goods.iter().map(String::as_str).collect();
        self.git(&[&["bisect", "good"], &goods[..]].concat());
        let text = self.git(&["bisect", "run", ".git/run"]);
        let tested = std::fs::read_to_string(tools.join("tested")).unwrap();
        let tested = tested.lines().map(|id| self.item(id)).collect();
        let first = text.lines().find_map(|line| line.strip_suffix(" is the first bad commit"));
        let first = first.map(|id| self.item(id));
        self.git(&["bisect", "reset"]);
        GitEnd { first, tested, text }
    }

    pub(crate) fn item(&self, id: &str) -> usize {
        self.ids.iter().position(|of| of.to_string() == id).unwrap_or_else(|| panic!("{id} is no commit"))
    }

    /// Every ref and state file of the repository.
    pub(crate) fn state(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for entry in walkdir::WalkDir::new(self.dir.path()).sort_by_file_name() {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                all.push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap()));
            }
        }
        all
    }
}

/// Git, without the configuration of whoever runs the tests.
fn command(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C");
    git
}

/// What git's own bisection says.
#[derive(Debug)]
pub(crate) struct GitEnd {
    pub(crate) first: Option<usize>,
    /// In order, without the ends.
    pub(crate) tested: Vec<usize>,
    pub(crate) text: String,
}
