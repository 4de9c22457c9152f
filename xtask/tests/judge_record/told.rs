// SPDX-License-Identifier: GPL-2.0-only
//! Runs as reports read them: recorded, read back, and without what differs from one
//! test to the next.

use std::path::Path;

use selftests::plan::Plan;
use xtask::judge;
use xtask::store::{self, Evidence, Host, RunDir};
use xtask::transcript::Transcript;

use crate::builder::{both, finding, judged, plan, target};
use crate::store_run::info;

/// The folder of the run that is told.
pub(crate) const RUN: &str = "results/runs/20261101T120000Z-abcdef";

/// Records the boots of v6.1, and reads them as a report does.
pub(crate) fn evidence(plan: &Plan, boots: &[(&str, Transcript)]) -> Evidence {
    let root = tempfile::tempdir().unwrap();
    let named = target("v6.1");
    let run = RunDir::create(root.path()).unwrap();
    let mut info = info(&named, boots);
    info.plan = plan.clone();
    run.keep_target(&named).unwrap();
    run.describe(&info).unwrap();
    for (side, transcript) in boots {
        let dir = run.boot_dir(&named.name, side).unwrap();
        std::fs::write(
            dir.join("console.raw"),
            b"[    0.000000] Linux version 6.1.192\r\n[    1.5] \x1b[1mhello\x1b[m\r\n",
        )
        .unwrap();
        run.transcript(&named.name, side, transcript).unwrap();
    }
    let outcome = judge::outcome("tcg", vec![judged(&named, plan, boots)], Some(run.name().to_owned()));
    run.finish(&outcome).unwrap();
    settled(store::evidence(root.path(), None).unwrap(), run.dir())
}

/// With the names and the host of no machine.
fn settled(mut evidence: Evidence, dir: &Path) -> Evidence {
    let id = dir.file_name().unwrap().to_string_lossy().into_owned();
    let run = format!("results/runs/{id}");
    evidence.outcome.run = Some(RUN.to_owned());
    for boot in &mut evidence.boots {
        boot.folder = boot.folder.replace(&run, RUN);
    }
    let info = evidence.info.as_mut().unwrap();
    info.started = "2026-11-01T12:00:00Z".to_owned();
    info.tool = Some("0123456789012345678901234567890123456789-dirty".to_owned());
    info.host = Host { kernel: "6.12.1".to_owned(), cpu: "CPU <x>".to_owned(), cpus: 2, os: "Debian".to_owned() };
    evidence
}

pub(crate) fn passed() -> Evidence {
    let plan = plan(&["anon.sync.read*", "shmem.apf-halt.write@1"]);
    evidence(&plan, &both(&target("v6.1"), &plan))
}

/// The patched side holds the lock as the baseline does.
pub(crate) fn failed() -> Evidence {
    let plan = plan(&["anon.sync.read@1"]);
    let mut boots = both(&target("v6.1"), &plan);
    boots[1].1 = boots[0].1.clone();
    evidence(&plan, &boots)
}

/// Words that would be markup in any of the formats.
pub(crate) const HOSTILE: &str =
    "Kernel panic </pre><script>alert(1)</script> # SKIP ``` ]]> | \u{7} &amp; \u{fffe} not ok 1 - x";

/// The patched side panics, with words that no format may take for its own.
pub(crate) fn crashed() -> Evidence {
    let plan = plan(&["anon.sync.read@1"]);
    let mut boots = both(&target("v6.1"), &plan);
    boots[1].1.frames.truncate(9);
    let mut found = finding("panic", HOSTILE);
    found.excerpt.push("not ok 2 injected".to_owned());
    boots[1].1.findings.push(found);
    evidence(&plan, &boots)
}

/// A control that does not show what it must: nobody is to blame but the harness.
pub(crate) fn invalid() -> Evidence {
    let plan = plan(&["anon.sync.read@1"]);
    let mut boots = both(&target("v6.1"), &plan);
    crate::builder::each_sample(&mut boots[1].1, "control.held@1", |sample| {
        for probe in &mut sample.probes {
            (probe.wait_ms, probe.returned_during_hold) = (1.0, true);
            probe.blocked_in.clear();
        }
    });
    evidence(&plan, &boots)
}
