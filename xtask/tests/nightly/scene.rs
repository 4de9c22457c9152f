// SPDX-License-Identifier: GPL-2.0-only
//! A checkout with three targets, and nights in it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use selftests::plan::{Plan, select};
use tempfile::TempDir;
use xtask::accel::{Accel, Kind};
use xtask::cache::Cache;
use xtask::dress::Dress;
use xtask::error::Error;
use xtask::judge;
use xtask::matrix::{self, Choice};
use xtask::measure::Lab;
use xtask::nightly::{self, Measured};
use xtask::outcome::{CellOutcome, CellState, Outcome, SideOutcome, TargetOutcome, WaitMs};
use xtask::progress::Progress;
use xtask::store::{self, RunDir, RunInfo, SideInfo, Stored, TargetInfo};
use xtask::variant::Variant;
use xtask::verdict::Verdict;

pub(crate) const TARGETS: [&str; 3] = ["v5.10", "v6.1", "v7.3"];

/// A checkout with the targets, and a cache.
pub(crate) fn scene() -> (TempDir, TempDir) {
    let checkout = tempfile::tempdir().unwrap();
    for name in TARGETS {
        let series = &name[1..];
        let text = format!(
            "schema = 1\n[source]\nkind = \"binary\"\npackage = \"linux-source-{series}\"\nsuites = [\"bookworm\"]\nseries = \
             \"{series}\"\n[config]\nbase = \"tinyconfig\"\nfragments = [\"boot\"]\n[[expect]]\ncells = \"*\"\nsides = {{ \
             baseline = \"held\", patched = \"released\" }}\nreason = \"a\"\n"
        );
        let dir = checkout.path().join("patches").join(name);
        fs::create_dir_all(dir.join("series")).unwrap();
        fs::write(dir.join("target.toml"), text).unwrap();
    }
    fs::create_dir(checkout.path().join("kconfigs")).unwrap();
    for fragment in ["boot", "measure"] {
        fs::write(checkout.path().join(format!("kconfigs/{fragment}.config")), "CONFIG_SWAP=y\n").unwrap();
    }
    (checkout, tempfile::tempdir().unwrap())
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

pub(crate) fn plan() -> Plan {
    Plan::of(select(&["anon.sync.read@1".to_owned()]).unwrap().cells)
}

pub(crate) fn info(argv: &[&str]) -> RunInfo {
    RunInfo::new(&words(argv), "tcg", Variant::Measure, &plan(), None)
}

pub(crate) fn lab(checkout: &Path, cache: &Path, run: RunDir, info: RunInfo) -> Lab {
    run.describe(&info).unwrap();
    Lab {
        checkout: checkout.to_owned(),
        cache: Cache::at(cache).unwrap(),
        progress: Progress::silent(),
        accel: Accel { kind: Kind::Tcg, slowdown: 1.0, why: String::new() },
        variant: Variant::Measure,
        plan: info.plan.clone(),
        append: Vec::new(),
        init: b"init".to_vec(),
        run,
        info,
        repeats: None,
        dress: Dress::Plain,
        vng: None,
    }
}

/// A target of which each side showed this in its one cell.
pub(crate) fn shown(target: &str, states: [CellState; 2]) -> TargetOutcome {
    let cell = |state| CellOutcome {
        cell: "anon.sync.read".to_owned(),
        window: 1,
        probe: "writer".to_owned(),
        state,
        n: 20,
        hold_ms: 100.0,
        wait_ms: WaitMs { median: 0.3, p99: 0.4, max: 0.4 },
        holder: Vec::new(),
        guest_progress: None,
        reason: None,
    };
    let side = |side: &str, state| SideOutcome {
        side: side.to_owned(),
        boot_ms: 900,
        controls_ok: true,
        cells: vec![cell(state)],
        behaviours: Vec::new(),
        stress: None,
        storm: None,
        verdict: Verdict::Pass,
        reasons: Vec::new(),
    };
    let [baseline, patched] = states;
    let verdict = if patched == CellState::Released { Verdict::Pass } else { Verdict::Fail };
    TargetOutcome {
        target: target.to_owned(),
        version: "1.2.3".to_owned(),
        verdict,
        sides: vec![side("baseline", baseline), side("patched", patched)],
        reasons: Vec::new(),
    }
}

pub(crate) const GOOD: [CellState; 2] = [CellState::Held, CellState::Released];
pub(crate) const REGRESSED: [CellState; 2] = [CellState::Held, CellState::Held];

/// What the record says of a target; its kernels are named by `kernel`.
pub(crate) fn described(target: &str, kernel: &str, seconds: f64) -> TargetInfo {
    let side = |side: &str| SideInfo {
        side: side.to_owned(),
        commit: "c".to_owned(),
        release: "1.2.3".to_owned(),
        compiler: "gcc".to_owned(),
        config: String::new(),
        kernel_hash: format!("{kernel}-{side}"),
        patchset: None,
    };
    TargetInfo {
        target: target.to_owned(),
        has_target: true,
        version: "1.2.3".to_owned(),
        origin: "a package".to_owned(),
        sides: vec![side("baseline"), side("patched")],
        seconds: Some(seconds),
        stopped: None,
    }
}

/// A run of so many days ago, with its folder; over unless there is no outcome.
pub(crate) fn stored(checkout: &Path, days: i64, argv: &[&str], targets: Option<&[(&str, [CellState; 2])]>) -> Stored {
    let when = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    let id = format!("{}-aaaaaa", when.strftime("%Y%m%dT%H%M%SZ"));
    let dir = checkout.join(store::RUNS).join(&id);
    fs::create_dir_all(&dir).unwrap();
    let mut info = info(argv);
    info.started = when.to_string();
    info.targets = targets.iter().copied().flatten().map(|(name, _)| described(name, &id, 60.0)).collect();
    fs::write(dir.join("run.json"), serde_json::to_vec(&info).unwrap()).unwrap();
    let outcome: Option<Outcome> = targets.map(|targets| {
        let outcomes = targets.iter().map(|(name, states)| shown(name, *states)).collect();
        judge::outcome("tcg", outcomes, Some(format!("results/runs/{id}")))
    });
    if let Some(outcome) = &outcome {
        fs::write(dir.join("outcome.json"), serde_json::to_vec(outcome).unwrap()).unwrap();
    }
    for target in &info.targets {
        let path = checkout.join("patches").join(&target.target).join("target.toml");
        fs::copy(path, dir.join(format!("{}.target.toml", target.target))).unwrap();
    }
    Stored { id, info, outcome }
}

pub(crate) fn choice(checkout: &Path) -> Choice {
    matrix::choose(&checkout.join("patches"), &[], &[]).unwrap()
}

/// Measures with an engine of which each call is said what it does; gives the order of
/// its calls, too.
pub(crate) fn measure(
    lab: &mut Lab,
    budget: Option<Duration>,
    history: &[Stored],
    engine: impl Fn(&str) -> Result<TargetOutcome, Error>,
) -> (Result<Measured, Error>, Vec<String>) {
    let mut called = Vec::new();
    let choice = choice(&lab.checkout);
    let measured = nightly::measure(lab, choice, budget, history, &mut |lab, target, _| {
        called.push(target.name.clone());
        lab.info.targets.push(described(&target.name, "fake", 0.0));
        engine(&target.name).map(Some)
    });
    (measured, called)
}
