// SPDX-License-Identifier: GPL-2.0-only
//! Reports of made-up boots.

use selftests::plan::select;
use selftests::protocol::Envelope;
use selftests::storms::{Series, StormBacking, StormTally};

use super::*;
use crate::storm::ratio::Decision;
use crate::transcript::Ending;

fn plan() -> Plan {
    let storm = Storm {
        seconds: 10,
        vcpus: 2,
        backing: StormBacking::Anon,
        pages: 2048,
        latency: "fixed:10ms".parse().unwrap(),
        rate: 100,
        seed: 5,
    };
    let cells = select(&["control.*".to_owned()]).unwrap().cells;
    Plan { trials: 5, storm: Some(storm), ..Plan::of(cells) }
}

/// A boot in which each wait is `scale` times a number from 0.1 to 1 ms.
fn boot(name: &str, scale: u64, faults: u64) -> (SideOutcome, Transcript) {
    let shot = |place: u64| [place * 10_000, place * 10_000 + scale * (100 + place % 100 * 9)];
    let series = |probe| Series { probe, interval_us: 10_000, shots: (0..1000).map(shot).collect() };
    let tally = StormTally {
        elapsed_ms: 10_000.0,
        accesses: 9,
        stores: 3,
        swap_reads: faults,
        swap_writes: 4,
        delayed: 3,
        late_us: [10_200, 11_000, 12_500],
        async_pf: Some(7),
        verified: 2048,
        series: PROBES.map(series).to_vec(),
    };
    let side = SideOutcome {
        side: name.to_owned(),
        boot_ms: 900,
        controls_ok: true,
        cells: Vec::new(),
        behaviours: Vec::new(),
        stress: None,
        storm: None,
        verdict: Verdict::Pass,
        reasons: Vec::new(),
    };
    let frame = Frame::StormResult { outcome: StormEnd::Complete { tally } };
    let transcript = Transcript {
        frames: vec![Envelope { seq: 0, frame }],
        stream_error: None,
        findings: Vec::new(),
        ending: Ending::Exited { code: 0 },
        boot_ms: Some(900),
        total_ms: 1000,
    };
    (side, transcript)
}

fn boots(baseline: [u64; 3], patched: [u64; 3]) -> Vec<(SideOutcome, Transcript)> {
    let of = |side: &'static str, scales: [u64; 3]| {
        (1..).zip(scales).map(move |(number, scale): (u32, u64)| boot(&format!("{side}.{number}"), scale, 900 + scale))
    };
    of("baseline", baseline).chain(of("patched", patched)).collect()
}

fn report(boots: Vec<(SideOutcome, Transcript)>) -> Report {
    judge("v6.1", "6.1.192", "tcg", &plan(), boots).1.unwrap()
}

fn row<'a>(report: &'a Report, of: &str, figure: &str) -> &'a Row {
    report.ratios.iter().find(|row| row.of == of && row.figure == figure).unwrap()
}

#[test]
fn a_baseline_that_waits_eight_times_longer_is_told_so() {
    let report = report(boots([8, 9, 8], [1, 1, 1]));
    assert_eq!((report.verdict, report.exit), (Verdict::Pass, 0));
    let p99 = row(&report, "writer", "p99");
    assert_eq!(p99.ratio.decision, Decision::Larger);
    assert!((7.5..9.0).contains(&p99.ratio.ratio), "{p99:?}");
    assert_eq!(row(&report, "guest", "faults/s").ratio.decision, Decision::Alike);
    assert_eq!(report.boots[0].seen.faults_per_s, 90.8);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    assert!(json.contains("\"p99.9\""), "{json}");
}

#[test]
fn the_same_kernel_twice_shows_no_difference() {
    let report = report(boots([3, 3, 3], [3, 3, 3]));
    assert_eq!(row(&report, "writer", "max").ratio.decision, Decision::Alike);
    assert_eq!(report.verdict, Verdict::Pass);
}

#[test]
fn boots_that_scatter_are_inconclusive_with_their_number() {
    let report = report(boots([1, 9, 3], [2, 8, 1]));
    assert_eq!((report.verdict, report.exit), (Verdict::Inconclusive, 125));
    assert!(report.reasons[0].contains("more boots of each side are needed"), "{:?}", report.reasons);
    assert!(evidence(&report).is_err());
}

#[test]
fn a_boot_that_proves_nothing_is_in_no_ratio_and_spoils_the_verdict() {
    let mut all = boots([8, 9, 8], [1, 1, 1]);
    all[0].0.verdict = Verdict::Invalid;
    all[0].0.reasons = vec!["control.held shows released".to_owned()];
    let report = report(all);
    assert_eq!((report.verdict, report.boots.len()), (Verdict::Invalid, 5));
    assert!(report.reasons[0].contains("baseline.1: control.held"), "{:?}", report.reasons);
}

#[test]
fn boots_alternate_so_that_drift_meets_both_sides() {
    let names: Vec<String> = order(3).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["baseline.1", "patched.1", "patched.2", "baseline.2", "baseline.3", "patched.3"]);
    assert!(order(2).iter().all(|(side, name)| side_of(name) == *side));
}

#[test]
fn text_and_plot_show_both_sides() {
    let (_, report, boots) = judge("v6.1", "6.1.192", "tcg", &plan(), boots([8, 9, 8], [1, 1, 1]));
    let report = report.unwrap();
    let told = text::render(&report);
    assert!(told.contains("writer") && told.contains("p99.9") && told.contains("faults/s"), "{told}");
    let svg = plot::svg(&report, &boots);
    assert!(svg.starts_with("<svg") && svg.matches("<polyline").count() == 2 * 2 * 4, "{svg}");
    assert!(svg.contains("baseline") && svg.contains("patched"), "{svg}");
    // For a reader of dark pages, and for one who does not tell red from green.
    assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("stroke-dasharray"), "{svg}");
    // A phone's screen is about 400 wide.
    assert!(svg.contains("viewBox=\"0 0 400 "), "{svg}");
    let block = readme::block(&[report]);
    assert!(
        block.contains("| 6.1.192 | anon | writer | p99 |") && block.contains("results/reference/storm-v6.1-anon.svg")
    );
    assert!(block.contains("3 and 3 boots, 1000 waits of each probe a boot"), "{block}");
}
