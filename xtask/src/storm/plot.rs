// SPDX-License-Identifier: GPL-2.0-only
//! Both sides' waits as an SVG file: how long the shortest waits of each share are.
//!
//! Across: the share of waits that are not longer, each step of the axis a ten times rarer
//! wait. Up: the wait, on a logarithmic scale. Thin lines are boots, a thick one all boots of
//! a side together, dashed for the patched one: colour alone is not for everybody.
//!
//! Owns: scales and shapes. Must not: be part of a page; a file brings its own colours, which
//! follow the reader's.

use hdrhistogram::Histogram;
use maud::{Markup, html};
use selftests::cell::Probe;
use selftests::storms::PROBES;

use super::histogram::ms;
use super::{Boot, Report, SIDES, side_of};

// As wide as a phone's screen is in such pixels, so that a browser does not shrink the text.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 16.0;
/// Above the first plot: the title's two lines.
const TOP: f64 = 46.0;
/// Above each plot: whose waits, and the sides' names.
const HEAD: f64 = 42.0;
/// Below each plot, for the axis and its title.
const FOOT: f64 = 52.0;
/// Orders of magnitude of rareness: 0, 90 %, 99 %, 99.9 %, 99.99 %.
const NINES: f64 = 4.0;
/// Points of a line.
const POINTS: u32 = 120;

const STYLE: &str = ":root{--page:#fff;--text:#24292f;--grid:#d8dee4;--baseline:#c0392b;--patched:#1a7f37}\
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--text:#e6edf3;--grid:#30363d;--baseline:#ff7b72;--patched:#56d364}}\
.page{fill:var(--page)}text{font:13px sans-serif;fill:var(--text)}.grid{stroke:var(--grid)}\
polyline{fill:none}.boot{stroke-width:.8;opacity:.5}.all{stroke-width:2.4}.patched.all{stroke-dasharray:7 3}\
polyline.baseline{stroke:var(--baseline)}polyline.patched{stroke:var(--patched)}\
text.baseline{fill:var(--baseline)}text.patched{fill:var(--patched)}.title{font-weight:bold}";

/// The axis of waits, in powers of ten of a millisecond.
#[derive(Clone, Copy)]
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    /// Of all waits of these boots, so that both plots have the same.
    #[expect(clippy::cast_possible_truncation, reason = "waits are below an hour")]
    fn of(boots: &[Boot]) -> Self {
        let all = || boots.iter().flat_map(|boot| &boot.waits).map(|(_, waits)| waits);
        let power = |us: u64| ms(us.max(1)).log10();
        let low = all().map(|waits| power(waits.min())).fold(0.0, f64::min).floor() as i32;
        let high = all().map(|waits| power(waits.max())).fold(0.0, f64::max).ceil() as i32;
        Self { low, high: high.max(low + 1) }
    }

    /// The height of a wait; one beyond the axis is at its end.
    fn up(self, ms: f64) -> f64 {
        let place = (ms.max(1e-9).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        HEIGHT * (1.0 - place.clamp(0.0, 1.0))
    }
}

/// The file's text.
#[must_use]
pub fn svg(report: &Report, boots: &[Boot]) -> String {
    let one = HEAD + HEIGHT + FOOT;
    let panels = f64::from(u32::try_from(PROBES.len()).unwrap_or(1));
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + panels * one);
    let storm = &report.storm;
    let title = format!("Linux {}, {} guest memory", report.version, storm.backing);
    let below = format!("swap reads late by {}", storm.latency);
    let axis = Axis::of(boots);
    let panel = |(place, probe): (u32, Probe)| {
        let top = TOP + HEAD + f64::from(place) * one;
        html! { g transform=(format!("translate({LEFT} {top})")) { (self::panel(probe, boots, axis)) } }
    };
    let body = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) role="img"
            aria-label=(format!("{title}, {below}")) {
            style { (maud::PreEscaped(STYLE)) }
            rect.page width=(width) height=(height) {}
            text.title x="8" y="20" { (title) }
            text x="8" y="38" { (below) }
            @for panel in (0..).zip(PROBES).map(panel) { (panel) }
        }
    };
    body.into_string() + "\n"
}

fn panel(probe: Probe, boots: &[Boot], axis: Axis) -> Markup {
    html! {
        text.title x="0" y="-24" { "how long the " (probe.to_string()) " waits" }
        @for power in axis.low..=axis.high {
            @let y = number(axis.up(10_f64.powi(power)));
            line.grid x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
            text x="-6" y=(y) dy="4" text-anchor="end" { (duration(power)) }
        }
        @for (nines, label) in (0_u32..).zip(["0", "90 %", "99 %", "99.9 %", "99.99 %"]) {
            @let x = number(WIDTH * f64::from(nines) / NINES);
            line.grid x1=(x) x2=(x) y1="0" y2=(HEIGHT) {}
            text x=(x) y=(HEIGHT + 17.0) text-anchor=(if f64::from(nines) < NINES { "middle" } else { "end" }) { (label) }
        }
        text x=(WIDTH / 2.0) y=(HEIGHT + 36.0) text-anchor="middle" { "of the waits are not longer" }
        @for (side, (x, anchor)) in SIDES.into_iter().zip([(0.0, "start"), (WIDTH, "end")]) {
            @let of: Vec<&Histogram<u64>> = waits(side, probe, boots);
            @for one in &of { polyline class=(format!("{side} boot")) points=(line(one, axis)) {} }
            @if let Some(all) = together(&of) {
                polyline class=(format!("{side} all")) points=(line(&all, axis)) {}
                text class=(side) x=(x) y="-7" text-anchor=(anchor) { (side) ", at most " (format!("{:.0}", ms(all.max()))) " ms" }
            }
        }
    }
}

fn waits<'a>(side: &str, probe: Probe, boots: &'a [Boot]) -> Vec<&'a Histogram<u64>> {
    let of = boots.iter().filter(|boot| side_of(&boot.report.boot) == side).flat_map(|boot| &boot.waits);
    of.filter(|(of, _)| *of == probe).map(|(_, waits)| waits).collect()
}

fn together(of: &[&Histogram<u64>]) -> Option<Histogram<u64>> {
    let (first, rest) = of.split_first()?;
    let mut all = (*first).clone();
    // All have the same bounds.
    rest.iter().try_for_each(|one| all.add(*one)).ok()?;
    Some(all)
}

/// From the shortest wait to the longest: of a thousand none is rarer than one in a thousand.
#[expect(clippy::cast_precision_loss, reason = "numbers of waits")]
fn line(waits: &Histogram<u64>, axis: Axis) -> String {
    let rarest = (waits.len().max(2) as f64).log10().min(NINES);
    let point = |place: u32| {
        let nines = rarest * f64::from(place) / f64::from(POINTS);
        let wait = waits.value_at_quantile(1.0 - 10_f64.powf(-nines));
        format!("{},{}", number(WIDTH * nines / NINES), number(axis.up(ms(wait))))
    };
    (0..=POINTS).map(point).collect::<Vec<_>>().join(" ")
}

fn duration(power: i32) -> String {
    match power {
        ..0 => format!("{} µs", 10_f64.powi(power + 3)),
        0..3 => format!("{} ms", 10_f64.powi(power)),
        _ => format!("{} s", 10_f64.powi(power - 3)),
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
