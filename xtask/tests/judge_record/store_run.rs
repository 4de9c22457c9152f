// SPDX-License-Identifier: GPL-2.0-only
//! A record can be judged again, and is never half there.

use std::fs;
use std::path::Path;

use xtask::error::Error;
use xtask::judge;
use xtask::outcome::Outcome;
use xtask::store::{self, Reference, RunDir, RunInfo, SideInfo, Stopped, TargetInfo};
use xtask::target::Target;
use xtask::transcript::Transcript;
use xtask::variant::Variant;
use xtask::verdict::Verdict;

use crate::builder::{both, checkout, claimed, each_sample, judged, plan, run_info, target};

pub(crate) fn info(named: &Target, boots: &[(&str, Transcript)]) -> RunInfo {
    let side = |side: &str| SideInfo {
        side: side.to_owned(),
        commit: "0123456789012345678901234567890123456789".to_owned(),
        release: "6.1.192".to_owned(),
        compiler: "gcc 12.2.0".to_owned(),
        config: format!("{side}.config"),
        kernel_hash: "abc".to_owned(),
        patchset: None,
    };
    let argv = ["xtask", "test", "v6.1", "--cell", "anon.* "].map(str::to_owned);
    let mut info = RunInfo::new(&argv, "tcg", Variant::Measure, &plan(&[]), None);
    info.targets.push(TargetInfo {
        target: named.name.clone(),
        has_target: true,
        version: "6.1.192".to_owned(),
        origin: "linux-source-6.1 6.1.192-2".to_owned(),
        sides: boots.iter().map(|(name, _)| side(name)).collect(),
        seconds: None,
        stopped: None,
    });
    info
}

/// Records a run as `cmd::test` does.
fn record(root: &Path, boots: &[(&str, Transcript)]) -> (RunDir, Outcome) {
    let (named, plan) = (target("v6.1"), plan(&[]));
    let run = RunDir::create(root).unwrap();
    run.keep_target(&named).unwrap();
    run.describe(&info(&named, boots)).unwrap();
    for (side, transcript) in boots {
        run.boot_dir(&named.name, side).unwrap();
        run.transcript(&named.name, side, transcript).unwrap();
    }
    let outcome = judge::outcome("tcg", vec![judged(&named, &plan, boots)], Some(run.name().to_owned()));
    run.finish(&outcome).unwrap();
    (run, outcome)
}

#[test]
fn a_record_judged_again_gives_the_same_outcome() {
    let root = tempfile::tempdir().unwrap();
    let (named, plan) = (target("v6.1"), plan(&[]));
    let mut boots = both(&named, &plan);
    // Numbers that decimal text rounds are read back as the very same.
    each_sample(&mut boots[0].1, "anon.sync.read@1", |it| it.probes[0].wait_ms = 100.0 + 1.0 / 3.0);
    boots[1].1.frames.truncate(30);
    for boots in [both(&named, &plan), boots] {
        let (run, outcome) = record(root.path(), &boots);
        assert_eq!(store::judge_again(run.dir()).unwrap(), outcome);
        assert_eq!(store::stored_outcome(run.dir()).unwrap(), outcome);
        assert!(fs::read_dir(run.dir()).unwrap().all(|it| !it.unwrap().file_name().to_string_lossy().starts_with('.')));
    }
}

#[test]
fn the_stored_expectations_count_and_not_todays() {
    let root = tempfile::tempdir().unwrap();
    let (run, _) = record(root.path(), &both(&target("v6.1"), &plan(&[])));
    let kept = run.dir().join("v6.1.target.toml");
    let text = fs::read_to_string(&kept).unwrap().replace("baseline = \"held\"", "baseline = \"released\"");
    fs::write(&kept, text).unwrap();
    assert_eq!(store::judge_again(run.dir()).unwrap().verdict, Verdict::Invalid);
}

#[test]
fn expectations_of_another_time_leave_what_the_run_told() {
    let root = tempfile::tempdir().unwrap();
    let (run, outcome) = record(root.path(), &both(&target("v6.1"), &plan(&[])));
    let kept = run.dir().join("v6.1.target.toml");
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("schema = 1", "schema = 0")).unwrap();
    assert!(matches!(store::judge_again(run.dir()), Err(Error::Usage(_))));
    let evidence = store::evidence(root.path(), None).unwrap();
    assert_eq!((evidence.outcome, evidence.boots.len()), (outcome, 2));
    fs::remove_file(run.dir().join("outcome.json")).unwrap();
    assert_eq!(store::evidence(root.path(), None).unwrap_err().exit_code(), 2);
}

#[test]
fn a_run_that_was_ended_early_is_no_pass() {
    let root = tempfile::tempdir().unwrap();
    let (run, _) = record(root.path(), &both(&target("v6.1"), &plan(&[])));
    fs::remove_file(run.dir().join("v6.1-patched/transcript.json")).unwrap();
    let outcome = store::judge_again(run.dir()).unwrap();
    assert_eq!(outcome.verdict, Verdict::Infra);
    assert!(outcome.reasons[0].contains("ended before this boot was over"), "{:?}", outcome.reasons);
}

#[test]
fn an_error_of_the_run_is_part_of_the_record() {
    let root = tempfile::tempdir().unwrap();
    let named = target("v6.1");
    let boots = both(&named, &plan(&[]));
    let (run, _) = record(root.path(), &boots[..1]);
    let mut info = info(&named, &boots);
    let message = "hunk 2 of mm/shmem.c does not fit".to_owned();
    info.targets[0].stopped = Some(Stopped { verdict: Verdict::ApplyFailed, message });
    run.describe(&info).unwrap();
    let outcome = store::judge_again(run.dir()).unwrap();
    assert_eq!((outcome.exit, outcome.targets[0].sides.len()), (102, 1));
    assert!(outcome.reasons[0].contains("hunk 2"), "{:?}", outcome.reasons);
}

#[test]
fn two_runs_at_once_get_folders_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let names: Vec<String> = std::thread::scope(|scope| {
        let create = || RunDir::create(root.path()).unwrap().name().to_owned();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    assert!(names.iter().all(|name| name.starts_with("results/runs/20")), "{names:?}");
}

#[test]
fn a_record_is_found_by_path_by_id_and_as_the_newest() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(store::find(root.path(), None), Err(Error::NothingSelected(_))));
    let (run, _) = record(root.path(), &[]);
    let id = run.dir().file_name().unwrap().to_str().unwrap();
    let path = run.dir().to_str().unwrap();
    for wanted in [None, Some(id), Some(run.name()), Some(path)] {
        assert_eq!(store::find(root.path(), wanted).unwrap(), run.dir());
    }
    let error = store::find(root.path(), Some("nope")).unwrap_err();
    assert_eq!(error.exit_code(), 4);
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let (run, outcome) = record(root.path(), &[]);
    let before = fs::read(run.dir().join("outcome.json")).unwrap();
    // A folder in the way: the rename fails, and what was there stays.
    fs::remove_file(run.dir().join("outcome.json")).unwrap();
    fs::create_dir_all(run.dir().join("outcome.json/x")).unwrap();
    assert!(run.finish(&outcome).unwrap_err().to_string().contains("outcome.json"));
    let left: Vec<_> = fs::read_dir(run.dir()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    fs::remove_dir_all(run.dir().join("outcome.json")).unwrap();
    run.finish(&outcome).unwrap();
    assert_eq!(fs::read(run.dir().join("outcome.json")).unwrap(), before);
}

#[test]
fn a_name_cannot_lead_out_of_the_record() {
    let root = tempfile::tempdir().unwrap();
    let run = RunDir::create(root.path()).unwrap();
    for (target, side) in [("../x", "baseline"), ("v6.1", "a/b"), ("", "baseline"), (".", "x")] {
        assert!(run.boot_dir(target, side).is_err(), "{target:?} {side:?}");
    }
    run.boot_dir("v6.1", "baseline").unwrap();
    assert!(run.boot_dir("v6.1", "baseline").is_err(), "a side boots once");
}

#[test]
fn the_command_can_be_typed_again() {
    let info = info(&target("v6.1"), &[]);
    assert_eq!(info.replay, "cargo xtask test v6.1 --cell 'anon.* '");
    assert!(!info.host.kernel.is_empty());
}

#[test]
fn only_a_pass_becomes_a_reference_and_it_reads_back() {
    let root = tempfile::tempdir().unwrap();
    let (named, plan) = (target("v6.1"), plan(&[]));
    let mut boots = both(&named, &plan);
    let outcome = judge::outcome("tcg", vec![judged(&named, &plan, &boots)], None);
    let references: Vec<Reference> = store::reference(&outcome, &claimed(&plan)).unwrap();
    let path = store::write_reference(root.path(), &references[0]).unwrap();
    assert_eq!(path, root.path().join("results/reference/v6.1.json"));
    assert_eq!(store::read_references(root.path()).unwrap(), references);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().filter(|line| line.contains("\"cell\":")).count(),
        2 * plan.cells.len() * 2,
        "one cell a line"
    );
    boots[1].1.frames.pop();
    let failed = judge::outcome("tcg", vec![judged(&named, &plan, &boots)], None);
    assert!(store::reference(&failed, &claimed(&plan)).unwrap_err().to_string().contains("only a pass"));
    assert!(store::reference(&outcome, &run_info(&plan)).unwrap_err().to_string().contains("measured in part"));
    let debug = RunInfo { variant: Variant::Debug, ..claimed(&plan) };
    assert!(store::reference(&outcome, &debug).unwrap_err().to_string().contains("built for debug"));
}

/// A transcript of format 1, as committed: later readers must still take it.
#[test]
fn the_committed_transcript_still_reads_and_passes() {
    let path = checkout().join("xtask/tests/fixtures/transcript-1.json");
    let mut plan = plan(&["anon.{sync,apf-halt}.read@1"]);
    plan.trials = 2;
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let named = target("v6.1");
        let transcript = crate::builder::as_expected(&named, "baseline", &plan);
        fs::write(&path, serde_json::to_string_pretty(&transcript).unwrap() + "\n").unwrap();
    }
    let transcript: Transcript = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let side = judge::side("baseline", &transcript, &plan, &[]);
    assert_eq!((side.verdict, side.cells.len()), (Verdict::Pass, 8), "{:?}", side.reasons);
}
