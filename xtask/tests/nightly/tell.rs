// SPDX-License-Identifier: GPL-2.0-only
//! The whole program on stored nights.

use std::path::Path;

use assert_cmd::Command;
use selftests::storms::Storm;
use serde_json::{Value, json};
use xtask::outcome::CellState;

use crate::scene::{GOOD, REGRESSED, scene, stored};

/// `nightly` with these words in that checkout: exit code, standard output, standard error.
fn nightly(checkout: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env("CARGO_MANIFEST_DIR", checkout.join("xtask")).arg("nightly").args(words);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const ALL: [(&str, [CellState; 2]); 3] = [("v5.10", GOOD), ("v6.1", GOOD), ("v7.3", GOOD)];
const NIGHT: [&str; 2] = ["xtask", "nightly"];

#[test]
fn a_regression_between_two_nights_is_named_with_both_states_and_both_runs() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    let first = stored(checkout, 2, &NIGHT, Some(&ALL));
    let (exit, text, error) = nightly(checkout, &["--tell", &first.id]);
    assert_eq!(exit, 0, "{text}{error}");
    assert!(text.contains("against no earlier night"), "{text}");

    let second = stored(checkout, 1, &NIGHT, Some(&[("v5.10", GOOD), ("v6.1", REGRESSED), ("v7.3", GOOD)]));
    let (exit, text, _) = nightly(checkout, &["--tell", &second.id]);
    assert_eq!(exit, 100, "{text}");
    let (_, told) = text.split_once(&format!("results/runs/{}:", second.id)).unwrap();
    assert!(told.contains("2 new, 3 persistent"), "{told}");
    let regression = told.split("\n\n").find(|part| part.contains("anon.sync.read@1.writer")).unwrap();
    for part in ["new", "v6.1", "patched", "released", "held", &first.id, "anon.sync.read@1.writer"] {
        assert!(regression.contains(part), "{part}: {told}");
    }
    assert!(text.contains(&second.id));

    let (_, json, _) = nightly(checkout, &["--tell", &second.id, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let lines = value["night"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["change"] == "new" && line["side"] == "patched").unwrap();
    assert_eq!((&line["was"], &line["now"]), (&"released".into(), &"held".into()));
    assert_eq!((&line["was_run"], &line["now_run"]), (&first.id.clone().into(), &second.id.clone().into()));

    // As bad in the third night: no news, but no success.
    let third = stored(checkout, 0, &NIGHT, Some(&[("v5.10", GOOD), ("v6.1", REGRESSED), ("v7.3", GOOD)]));
    let (exit, text, _) = nightly(checkout, &["--tell", &third.id]);
    assert_eq!(exit, 100);
    assert!(!text.contains(" new,") && text.contains(&format!("good in {}", first.id)), "{text}");
}

/// Something new is 100, be the outcome another failure, or none.
#[test]
fn a_regression_is_100_whatever_the_outcome() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    for day in 3..6 {
        stored(checkout, day, &NIGHT, Some(&ALL));
    }
    let change = |id: &str, change: fn(&mut serde_json::Value)| {
        let path = checkout.join("results/runs").join(id).join("outcome.json");
        let mut outcome = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut outcome);
        std::fs::write(path, outcome.to_string()).unwrap();
    };
    let slow = stored(checkout, 2, &NIGHT, Some(&ALL));
    change(&slow.id, |outcome| outcome["targets"][1]["sides"][1]["cells"][0]["wait_ms"]["median"] = 4.0.into());
    let (exit, text, _) = nightly(checkout, &["--tell", &slow.id]);
    assert!(exit == 100 && text.contains("PASS") && text.contains("median 4.000 ms"), "{exit}: {text}");
    let crashed = stored(checkout, 1, &NIGHT, Some(&ALL));
    change(&crashed.id, |outcome| {
        (outcome["exit"], outcome["verdict"]) = (103.into(), "crashed".into());
        outcome["targets"][1]["verdict"] = "crashed".into();
        outcome["targets"][1]["sides"][1]["verdict"] = "crashed".into();
    });
    let (exit, text, _) = nightly(checkout, &["--tell", &crashed.id]);
    assert!(exit == 100 && text.contains("2 new"), "{exit}: {text}");
    // The same for the second time is no news, and still what it is.
    let again = stored(checkout, 0, &NIGHT, Some(&ALL));
    let copy = |id: &str| checkout.join("results/runs").join(id).join("outcome.json");
    std::fs::copy(copy(&crashed.id), copy(&again.id)).unwrap();
    assert_eq!(nightly(checkout, &["--tell", &again.id]).0, 103);
}

#[test]
fn what_a_night_did_not_measure_is_missing() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    stored(checkout, 2, &NIGHT, Some(&ALL));
    let short = stored(checkout, 1, &NIGHT, Some(&ALL[..2]));
    let (exit, text, _) = nightly(checkout, &["--tell", &short.id]);
    assert_eq!(exit, 125, "{text}");
    assert!(text.contains("1 missing") && text.contains("v7.3") && text.contains("not measured"), "{text}");
    // Not if it was not to.
    let named = stored(checkout, 0, &["xtask", "nightly", "v5.10", "v6.1"], Some(&ALL[..2]));
    assert_eq!(nightly(checkout, &["--tell", &named.id]).0, 0);
}

/// The evidence of a kernel that no archive has is no promise to measure it every night.
#[test]
fn committed_evidence_alone_makes_nothing_missing() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    let evidence = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/v3.17.json");
    std::fs::create_dir_all(checkout.join("results/reference")).unwrap();
    std::fs::copy(evidence, checkout.join("results/reference/v3.17.json")).unwrap();
    let night = stored(checkout, 0, &NIGHT, Some(&ALL));
    let (exit, text, error) = nightly(checkout, &["--tell", &night.id]);
    assert_eq!(exit, 0, "{text}{error}");
    assert!(text.contains("the committed evidence"), "{text}");
}

#[test]
fn a_second_night_at_once_is_refused() {
    let (checkout, cache) = scene();
    let runs = checkout.path().join("results/runs");
    std::fs::create_dir_all(&runs).unwrap();
    let lock = std::fs::File::create(runs.join(".nightly.lock")).unwrap();
    lock.lock().unwrap();
    let (exit, _, error) = nightly(checkout.path(), &["v6.1"]);
    assert_eq!(exit, 110, "{error}");
    assert!(error.contains("another night is under way"), "{error}");
    drop((lock, cache));
}

#[test]
fn budgets_that_are_none_are_refused() {
    let (checkout, _cache) = scene();
    for words in [["--budget", "0s"], ["--budget", "-3h"], ["--budget", "soon"], ["--disk", "much"]] {
        assert_eq!(nightly(checkout.path(), &words).0, 2, "{words:?}");
    }
}

/// A night whose kernels all passed, and in which the writer had this 99th percentile in the storm
/// of the patched v6.1.
fn stormy(checkout: &Path, day: i64, p99: f64) -> String {
    let id = stored(checkout, day, &["xtask", "nightly", "--storm", "20"], Some(&ALL)).id;
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let path = checkout.join("results/runs").join(&id).join(name);
        let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    };
    let storm = serde_json::to_value(Storm::usual(20)).unwrap();
    change("run.json", &|info| info["plan"]["storm"] = storm.clone());
    let waits = |p99: f64| json!({ "p50": 1.0, "p90": 4.0, "p99": p99, "p99.9": 2.0 * p99, "max": 2.0 * p99 });
    let probe =
        |probe: &str, p99: f64| json!({ "probe": probe, "n": 1000, "wait_ms": waits(p99), "call_ms": waits(p99) });
    let seen = json!({
        "faults_per_s": 400.0, "accesses": 9, "swap_reads": 9, "swap_writes": 9, "late_ms": [1.0, 50.0, 50.0],
        "async_pf": 1, "probes": [probe("writer", p99), probe("reader", 12.0)],
    });
    change("outcome.json", &|outcome| {
        outcome["targets"][1]["sides"][1]["storm"] = json!({ "asked": storm, "seen": seen });
    });
    id
}

#[test]
fn a_storm_that_grew_is_new_with_target_metric_and_figures() {
    let (checkout, _cache) = scene();
    let checkout = checkout.path();
    for (day, p99) in [(6, 16.0), (5, 18.5), (4, 15.0)] {
        let night = stormy(checkout, day, p99);
        assert_eq!(nightly(checkout, &["--tell", &night]).0, 0);
    }
    let noise = stormy(checkout, 3, 36.0);
    let (exit, text, _) = nightly(checkout, &["--tell", &noise]);
    assert!(exit == 0 && !text.contains("storm.writer"), "{text}");
    let planted = stormy(checkout, 2, 90.0);
    let (exit, text, _) = nightly(checkout, &["--tell", &planted]);
    assert_eq!(exit, 100, "{text}");
    let (_, told) = text.split_once(&format!("results/runs/{planted}:")).unwrap();
    assert!(told.contains("1 new"), "{told}");
    let line = told.split("\n\n").find(|part| part.contains("storm.writer")).unwrap();
    for part in ["new", "v6.1", "patched", "p99 36.000 ms at most in 4 runs", "p99 90.000 ms", &noise] {
        assert!(line.contains(part), "{part}: {told}");
    }
    let still = stormy(checkout, 1, 95.0);
    let (exit, text, _) = nightly(checkout, &["--tell", &still]);
    assert!(exit == 0 && text.contains("persistent"), "{exit}: {text}");
    let over = stormy(checkout, 0, 17.0);
    let (exit, text, _) = nightly(checkout, &["--tell", &over]);
    assert!(exit == 0 && text.contains("fixed"), "{exit}: {text}");
}
