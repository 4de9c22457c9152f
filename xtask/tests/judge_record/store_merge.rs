// SPDX-License-Identifier: GPL-2.0-only
//! The runs of several machines become one, once.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::error::Error;
use xtask::judge;
use xtask::outcome::Outcome;
use xtask::store::{self, RunDir};
use xtask::transcript::Transcript;
use xtask::verdict::Verdict;

use crate::builder::{both, judged, plan, target};
use crate::store_run::info;

/// A run over these targets, as `matrix` records it.
fn record(root: &Path, names: &[&str], patience: f64, spoil: impl Fn(&str, &mut Transcript)) -> (String, Outcome) {
    let mut plan = plan(&[]);
    plan.patience = patience;
    let run = RunDir::create(root).unwrap();
    let mut whole = None;
    let mut outcomes = Vec::new();
    for name in names {
        let named = target(name);
        let mut boots = both(&named, &plan);
        boots.iter_mut().for_each(|(side, transcript)| spoil(side, transcript));
        let mut one = info(&named, &boots);
        one.plan = plan.clone();
        let whole = whole.get_or_insert_with(|| xtask::store::RunInfo { targets: Vec::new(), ..one.clone() });
        whole.targets.extend(one.targets);
        run.keep_target(&named).unwrap();
        for (side, transcript) in &boots {
            run.boot_dir(name, side).unwrap();
            run.transcript(name, side, transcript).unwrap();
        }
        outcomes.push(judged(&named, &plan, &boots));
    }
    run.describe(&whole.unwrap()).unwrap();
    let outcome = judge::outcome("tcg", outcomes, Some(run.name().to_owned()));
    run.finish(&outcome).unwrap();
    (run.dir().file_name().unwrap().to_string_lossy().into_owned(), outcome)
}

fn sound(_: &str, _: &mut Transcript) {}

fn results(root: &tempfile::TempDir) -> PathBuf {
    root.path().join("results")
}

/// Every file below results/runs.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = walkdir::WalkDir::new(root.join(store::RUNS)).sort_by_file_name();
    let files = all.into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    files.map(|entry| (entry.path().strip_prefix(root).unwrap().to_owned(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn jobs_of_three_machines_are_the_matrix_of_one_and_twice_is_once() {
    let machines = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Machines of different speed; v6.12 sorts behind v6.1.
    for (machine, (name, patience)) in machines.iter().zip([("v6.12", 9.0), ("v7.3", 2.0), ("v6.1", 7.5)]) {
        record(machine.path(), &[name], patience, sound);
    }
    let alone = tempfile::tempdir().unwrap();
    let (_, expected) = record(alone.path(), &["v6.1", "v6.12", "v7.3"], 1.0, sound);
    let ours = tempfile::tempdir().unwrap();
    let stores: Vec<PathBuf> = machines.iter().map(results).collect();
    let merged = store::merge(ours.path(), &stores).unwrap();
    assert_eq!((merged.taken.len(), merged.known.len(), merged.results.len()), (3, 0, 1));
    let folded = store::stored_outcome(&merged.results[0]).unwrap();
    assert_eq!((&folded.targets, folded.verdict, folded.exit), (&expected.targets, expected.verdict, expected.exit));
    assert_eq!(store::judge_again(&merged.results[0]).unwrap(), folded);
    assert!(folded.run.as_deref().is_some_and(|run| ours.path().join(run).join("outcome.json").is_file()));
    assert_eq!(store::find(ours.path(), None).unwrap(), merged.results[0], "it is the newest");
    let draft = ours.path().join(store::RUNS).join(".merge-left");
    fs::create_dir(&draft).unwrap();
    fs::copy(merged.results[0].join("run.json"), draft.join("run.json")).unwrap();
    assert!(!store::runs(ours.path()).unwrap().contains(&draft));
    fs::remove_dir_all(draft).unwrap();
    let before = files(ours.path());
    for stores in [stores.clone(), stores.into_iter().rev().collect()] {
        let again = store::merge(ours.path(), &stores).unwrap();
        assert_eq!((again.taken.len(), again.known.len(), &again.results), (0, 3, &merged.results));
        assert_eq!(files(ours.path()), before);
    }
    assert!(before.iter().all(|(path, _)| !path.to_string_lossy().contains("/.")));
}

#[test]
fn of_two_runs_of_a_target_the_newer_one_counts() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(one.path(), &["v6.1"], 1.0, |side, transcript| {
        if side == "patched" {
            transcript.frames.truncate(30);
        }
    });
    // Names of runs begin with the second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    record(one.path(), &["v6.1"], 1.0, sound);
    record(other.path(), &["v7.3"], 1.0, sound);
    let ours = tempfile::tempdir().unwrap();
    let merged = store::merge(ours.path(), &[results(&one), results(&other)]).unwrap();
    assert_eq!(merged.taken.len(), 3);
    let folded = store::stored_outcome(&merged.results[0]).unwrap();
    assert_eq!((folded.targets.len(), folded.verdict), (2, Verdict::Pass));
}

#[test]
fn runs_that_measured_something_else_and_runs_without_end_are_not_folded() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(one.path(), &["v6.1"], 1.0, sound);
    let (id, _) = record(other.path(), &["v7.3"], 1.0, sound);
    let path = results(&other).join("runs").join(&id).join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"accel\": \"tcg\"", "\"accel\": \"kvm\"")).unwrap();
    let (open, _) = record(other.path(), &["v6.12"], 1.0, sound);
    fs::remove_file(results(&other).join("runs").join(&open).join("outcome.json")).unwrap();
    let ours = tempfile::tempdir().unwrap();
    let merged = store::merge(ours.path(), &[results(&one), results(&other)]).unwrap();
    // Each is the only one of its kind, and told as that.
    let told = merged.results.iter().map(|dir| store::stored_outcome(dir).unwrap().targets.len());
    assert_eq!((merged.taken.len(), told.collect::<Vec<_>>()), (2, vec![1, 1]));
    assert!(merged.left[0].contains(&open) && merged.left[0].contains("did not end"), "{:?}", merged.left);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(store::merge(ours.path(), &[results(&empty)]), Err(Error::NothingSelected(_))));
}
