// SPDX-License-Identifier: GPL-2.0-only
//! Which targets a matrix takes, from where, and what it keeps of them.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::Path;

use xtask::error::Error;
use xtask::jobs;
use xtask::matrix::{self, Choice};
use xtask::outcome::TargetOutcome;
use xtask::store::{Finished, RunDir, RunInfo, unfinished};
use xtask::variant::Variant;
use xtask::verdict::Verdict;

fn target(kind: &str) -> String {
    let place = if kind == "user" { "" } else { "package = \"linux-source-6.1\"\nsuites = [\"bookworm\"]\n" };
    format!(
        "schema = 1\n[source]\nkind = \"{kind}\"\nseries = \"6.1\"\n{place}[config]\nbase = \"tinyconfig\"\nfragments = \
         [\"boot\"]\n[[expect]]\ncells = \"*\"\nsides = {{ baseline = \"held\", patched = \"released\" }}\nreason = \
         \"a\"\n"
    )
}

/// v3.17 needs a tree, v6.1 and v7.3 can be fetched.
fn patches() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind) in [("v7.3", "binary"), ("v3.17", "user"), ("v6.1", "binary")] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("target.toml"), target(kind)).unwrap();
    }
    dir
}

fn choose(patches: &Path, names: &[&str], linux: &[String]) -> Result<Choice, Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    matrix::choose(patches, &names, linux)
}

fn names(choice: &Choice) -> Vec<&str> {
    choice.chosen.iter().map(|(target, _)| target.name.as_str()).collect()
}

#[test]
fn all_that_can_be_had_and_the_rest_is_said() {
    let patches = patches();
    let choice = choose(patches.path(), &[], &[]).unwrap();
    assert_eq!(names(&choice), ["v6.1", "v7.3"]);
    assert!(choice.left_out[0].contains("give --linux v3.17=PATH[@REV]"), "{:?}", choice.left_out);

    let tree = format!("v3.17={}", patches.path().display());
    let choice = choose(patches.path(), &[], &[tree]).unwrap();
    assert_eq!((names(&choice), choice.left_out.len()), (vec!["v3.17", "v6.1", "v7.3"], 0));
    assert_eq!(choice.chosen[0].1.as_ref().unwrap().path, patches.path());
}

#[test]
fn what_is_asked_for_by_name_is_not_left_out() {
    let patches = patches();
    assert_eq!(names(&choose(patches.path(), &["v7.3"], &[]).unwrap()), ["v7.3"]);
    assert_eq!(choose(patches.path(), &["v3.17"], &[]).unwrap_err().exit_code(), 2);
    assert_eq!(choose(patches.path(), &["v9"], &[]).unwrap_err().exit_code(), 4);
}

#[test]
fn a_tree_must_be_somewhere_and_for_somebody() {
    let patches = patches();
    let refused = |names: &[&str], linux: &str, code: u8, part: &str| {
        let error = choose(patches.path(), names, &[linux.to_owned()]).unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(&[], "/src/linux", 2, "needed is TARGET=PATH");
    refused(&[], "v9=/", 4, "no target is named");
    refused(&[], "v3.17=/nowhere/at/all", 2, "there is nothing at");
    refused(&["v6.1"], "v7.3=/", 2, "not among the targets");
}

fn run(checkout: &Path, words: &[&str]) -> RunDir {
    let argv: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let plan = selftests::plan::Plan::of(selftests::plan::select(&[]).unwrap().cells);
    let run = RunDir::create(checkout).unwrap();
    run.describe(&RunInfo::new(&argv, "tcg", Variant::Measure, &plan, None)).unwrap();
    run
}

#[test]
fn a_finished_target_is_kept_and_a_forgotten_one_is_gone() {
    let checkout = tempfile::tempdir().unwrap();
    let run = run(checkout.path(), &["xtask", "matrix"]);
    let outcome = TargetOutcome {
        target: "v6.1".to_owned(),
        version: "6.1.192".to_owned(),
        verdict: Verdict::Pass,
        sides: Vec::new(),
        reasons: Vec::new(),
    };
    let finished = Finished::new("digest".to_owned(), outcome);
    assert_eq!(run.finished("v6.1").unwrap(), None);
    run.keep_finished(&finished).unwrap();
    run.boot_dir("v6.1", "patched").unwrap();
    let again = RunDir::reopen(run.dir()).unwrap();
    assert_eq!(again.finished("v6.1").unwrap(), Some(finished));
    assert_eq!(again.name(), run.name());
    again.forget("v6.1", &["baseline", "patched"]).unwrap();
    assert_eq!(again.finished("v6.1").unwrap(), None);
    again.boot_dir("v6.1", "patched").unwrap();
}

#[test]
fn the_newest_run_that_is_not_over_is_resumed() {
    let checkout = tempfile::tempdir().unwrap();
    let matrix = |info: &RunInfo| info.argv.iter().any(|word| word == "matrix");
    assert_eq!(unfinished(checkout.path(), matrix).unwrap_err().exit_code(), 4);
    let open = run(checkout.path(), &["xtask", "matrix"]);
    run(checkout.path(), &["xtask", "test"]);
    assert_eq!(unfinished(checkout.path(), matrix).unwrap(), open.dir());
    open.finish(&xtask::judge::outcome("tcg", Vec::new(), None)).unwrap();
    assert_eq!(unfinished(checkout.path(), matrix).unwrap_err().exit_code(), 4);
    assert_eq!(RunDir::reopen(open.dir()).unwrap_err().exit_code(), 4);
}

#[test]
fn a_plan_names_jobs_that_can_be_asked_for() {
    let patches = patches();
    let tree = patches.path().join("v6.1");
    fs::write(tree.join("Kbuild"), "").unwrap();
    let plan = jobs::plan(&choose(patches.path(), &[], &[format!("v3.17={}", tree.display())]).unwrap());
    let ids: Vec<&str> = plan.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["v3.17-measure", "v3.17-debug", "v6.1-measure", "v6.1-debug", "v7.3-measure", "v7.3-debug"]);
    assert_eq!(plan.jobs[2].sides, ["baseline", "patched"]);
    assert!(plan.jobs.iter().all(|job| job.minutes > 0 && job.wants_linux == (job.target == "v3.17")));
    let names = ["v3.17", "v6.1", "v7.3"].map(str::to_owned);
    for job in &plan.jobs {
        assert_eq!(jobs::named(&names, &job.id).unwrap(), (job.target.clone(), job.config));
    }
    for wrong in ["v6.1", "v6.1-lean", "v6.12-debug", ""] {
        let error = jobs::named(&names, wrong).unwrap_err();
        assert!(matches!(error, Error::NothingSelected(_)) && error.to_string().contains("v7.3-debug"), "{error}");
    }
    let json = serde_json::to_string(&plan).unwrap();
    assert!(
        json.starts_with(
            "{\"schema\":1,\"jobs\":[{\"id\":\"v3.17-measure\",\"target\":\"v3.17\",\"config\":\"measure\""
        ),
        "{json}"
    );
}
