// SPDX-License-Identifier: GPL-2.0-only
//! The page: well-formed, without anything that loads or runs, whatever the words.

use scraper::{Html, Selector};
use selftests::cell::Probe;
use selftests::storms::Storm;
use xtask::outcome::{BehaviourOutcome, BehaviourState, StormOutcome};
use xtask::report::page;
use xtask::store::{self, Evidence, Stored};
use xtask::storm::histogram::Quantiles;
use xtask::storm::seen::{ProbeReport, Seen};

use crate::builder::checkout;
use crate::told::{RUN, crashed, failed, invalid, passed};

fn parsed(evidence: &Evidence, history: &[Stored]) -> Html {
    let text = page::render(evidence, history);
    let html = Html::parse_document(&text);
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    html
}

fn all<'a>(html: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: &scraper::ElementRef<'_>) -> String {
    element.text().collect()
}

/// Runs before this one, as the store has them.
fn past(evidence: &Evidence, count: usize) -> Vec<Stored> {
    let run = |day: usize| Stored {
        id: format!("202610{day:02}T120000Z-abcdef"),
        info: evidence.info.clone().unwrap(),
        outcome: Some(evidence.outcome.clone()),
    };
    (1..=count).map(run).collect()
}

#[test]
fn nothing_is_loaded_or_run() {
    let reference = store::evidence(&checkout(), Some("reference")).unwrap();
    for evidence in [passed(), failed(), crashed(), invalid(), reference] {
        let html = parsed(&evidence, &[]);
        assert!(all(&html, "script, link, img, iframe, object, embed, base, form").is_empty());
        for element in all(&html, "*") {
            for (name, value) in element.value().attrs() {
                let local =
                    !["src", "href", "srcset", "action", "xlink:href"].contains(&name) || value.starts_with('#');
                assert!(local && !name.starts_with("on") && name != "style", "{name}={value:?}");
            }
        }
        let style = text(&all(&html, "style")[0]);
        assert!(!style.contains("url(") && !style.contains("@import"), "{style}");
        let policy = all(&html, "meta[http-equiv=Content-Security-Policy]")[0].attr("content").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
}

#[test]
fn it_is_made_for_phones_and_for_both_colour_schemes() {
    let html = parsed(&passed(), &[]);
    assert_eq!(all(&html, "meta[name=viewport]")[0].attr("content"), Some("width=device-width, initial-scale=1"));
    let style = text(&all(&html, "style")[0]);
    assert!(style.contains("prefers-color-scheme: dark") && style.contains("max-width: 48rem"));
}

#[test]
fn hostile_words_are_words() {
    let html = parsed(&crashed(), &[]);
    let said: Vec<String> = all(&html, "pre").iter().map(text).collect();
    assert!(said.iter().any(|it| it.contains("</pre><script>alert(1)</script>")), "{said:?}");
    assert!(said.iter().any(|it| it.contains("not ok 2 injected")), "the console's excerpt");
    assert!(all(&html, "details[open] > summary").iter().any(|it| text(it) == "Console of v6.1 patched"));
}

#[test]
fn the_kernels_are_columns_and_each_has_its_section() {
    let reference = store::evidence(&checkout(), Some("reference")).unwrap();
    let html = parsed(&reference, &[]);
    let head: Vec<String> = all(&html, "thead th a").iter().map(text).collect();
    assert_eq!(head, reference.outcome.targets.iter().map(|target| target.target.clone()).collect::<Vec<_>>());
    for link in all(&html, "a[href]") {
        let id = link.attr("href").unwrap().trim_start_matches('#');
        assert_eq!(all(&html, &format!("section[id='{id}']")).len(), 1, "{id}");
    }
    assert!(all(&html, "svg.dist line.range").len() > 100, "quantiles where there are no samples");
}

#[test]
fn before_and_after_stand_beside_each_other_with_their_waits() {
    let html = parsed(&passed(), &[]);
    let rows: Vec<String> = all(&html, "tbody tr td").iter().map(text).collect();
    assert!(rows.iter().any(|it| it == "held 104→ released 1.4"), "{rows:?}");
    let bars = all(&html, "svg.dist rect title");
    assert!(
        bars.iter().any(|it| text(it).contains("1.00 to 1.47 ms")),
        "{:?}",
        bars.iter().map(text).collect::<Vec<_>>()
    );
    assert!(!all(&html, "details summary").is_empty(), "who held the lock");
    let again = all(&html, "section pre").iter().map(text).collect::<String>();
    for command in [
        "git checkout 0123456789012345678901234567890123456789\n",
        "cargo xtask test v6.1 --cell",
        RUN,
        "/v6.1-patched/replay.sh",
    ] {
        assert!(again.contains(command), "{command:?} is not in {again}");
    }
}

#[test]
fn each_side_has_its_colour_wherever_it_stands() {
    let mut evidence = passed();
    let lanes = |evidence: &Evidence| {
        let html = parsed(evidence, &[]);
        all(&html, "svg.dist g").iter().map(|it| it.attr("class").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(lanes(&evidence).starts_with(&["lane0".to_owned(), "lane1".to_owned()]));
    evidence.outcome.targets[0].sides.remove(0);
    assert!(lanes(&evidence).iter().all(|it| it == "lane1"), "patched alone is not drawn as a baseline");
}

#[test]
fn history_is_told_of_comparable_runs_alone() {
    let evidence = passed();
    let mut runs = past(&evidence, 3);
    let sparks = |runs: &[Stored]| all(&parsed(&evidence, runs), "svg.spark").len();
    assert_eq!(sparks(&runs), 6, "three figures of two sides");
    assert_eq!(sparks(&runs[..1]), 0, "one run is no history");
    runs[0].info.variant = xtask::variant::Variant::Debug;
    runs[1].info.plan.cells.pop();
    assert_eq!(sparks(&runs), 2, "other cells only say how fast it booted, another configuration not even that");
    let mut later = past(&evidence, 2);
    later[1].id = "20270101T000000Z-abcdef".to_owned();
    assert_eq!(sparks(&later), 0, "nothing from after this run");
}

#[test]
fn behaviours_are_open_where_one_is_not_right() {
    let with = |state| {
        let mut evidence = passed();
        let seen = |behaviour: &str, state| BehaviourOutcome {
            behaviour: behaviour.to_owned(),
            state,
            saw: "saw <b>this</b>".to_owned(),
        };
        evidence.outcome.targets[0].sides[1].behaviours =
            vec![seen("eio.anon", BehaviourState::Right), seen("sigkill.anon", state)];
        parsed(&evidence, &[])
    };
    for (state, open, count) in [(BehaviourState::Right, 0, "2 of 2"), (BehaviourState::Wrong, 1, "1 of 2")] {
        let html = with(state);
        let summary = text(&all(&html, "details.behaviours > summary")[0]);
        assert_eq!(summary, format!("{count} behaviours are right on every side"));
        assert_eq!(all(&html, "details.behaviours[open]").len(), open, "{state}");
        let told: Vec<String> = all(&html, "details.behaviours dd").iter().map(text).collect();
        assert_eq!(told[1], format!("patched {state} saw <b>this</b>"));
    }
    assert!(all(&parsed(&passed(), &[]), "details.behaviours").is_empty());
}

#[test]
fn a_storm_is_drawn() {
    let wait_ms = Quantiles { p50: 1.0, p90: 4.0, p99: 16.25, p99_9: 20.0, max: 64.5 };
    let seen = Seen {
        faults_per_s: 400.0,
        accesses: 9,
        swap_reads: 9,
        swap_writes: 9,
        late_ms: [1.0; 3],
        async_pf: Some(1),
        probes: vec![ProbeReport { probe: Probe::Writer, n: 1000, wait_ms, call_ms: wait_ms }],
    };
    let mut evidence = passed();
    let sides = &mut evidence.outcome.targets[0].sides;
    sides[0].storm = Some(StormOutcome { asked: Storm::usual(20), seen: Some(seen), reason: None });
    sides[1].storm =
        Some(StormOutcome { asked: Storm::usual(20), seen: None, reason: Some("no fault was slow".to_owned()) });
    let html = parsed(&evidence, &[]);
    let words: String = all(&html, "section.target").iter().map(text).collect();
    for part in ["Storm", "20 s, ", "p50 1.00, p99 16.25, max 64.50 ms", "patched: broken: no fault was slow"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let labels: Vec<_> = all(&html, "svg.dist").iter().filter_map(|svg| svg.attr("aria-label")).collect();
    assert!(labels.contains(&"baseline: waits of at most 64.5 ms; patched: nothing was measured"), "{labels:?}");
}
