// SPDX-License-Identifier: GPL-2.0-only
//! Drawings, as SVG within the page.
//!
//! Owns: scales and shapes; colours are the style sheet's. Must not: know what a
//! target is.

use maud::{Markup, html};

use crate::outcome::WaitMs;

/// Width of the plot, in its own units.
const WIDTH: f64 = 320.0;
/// Height of a side's bars.
const LANE: f64 = 22.0;
/// Below the bars, for the axis.
const AXIS: f64 = 12.0;

/// The axis: from a hundredth of a millisecond, below which the probes' clocks mean
/// little, over [`DECADES`] tens, beyond the longest hold that can be asked for.
const FIRST_DECADE: i32 = -2;
const DECADES: i32 = 6;
/// Bars a decade.
const BINS: i32 = 6;

/// The waits of one side.
pub(super) struct Lane {
    /// The side.
    pub(super) name: String,
    /// Each wait, in milliseconds; none if only quantiles are known.
    pub(super) waits: Vec<f64>,
    /// Of each cell.
    pub(super) quantiles: Vec<WaitMs>,
}

/// The class of a side's colour: that of a state that it is expected to show.
pub(super) fn lane(side: &str) -> &'static str {
    match side {
        "baseline" | "tree" => "lane0",
        "patched" => "lane1",
        _ => "lane2",
    }
}

/// The distributions of the waits below each other; `hold` is marked.
pub(super) fn waits(lanes: &[Lane], hold: f64) -> Markup {
    let count = u32::try_from(lanes.len()).unwrap_or_default();
    let bottom = f64::from(count) * LANE;
    let label = lanes.iter().map(told).collect::<Vec<_>>().join("; ");
    html! {
        svg.dist viewBox=(format!("0 0 {WIDTH} {}", bottom + AXIS)) role="img" aria-label=(label) {
            @for decade in 0..=DECADES {
                @let x = number(WIDTH * f64::from(decade) / f64::from(DECADES));
                line.grid x1=(x) x2=(x) y1="0" y2=(number(bottom)) {}
            }
            @for (index, side) in (0_u32..).zip(lanes) {
                @let base = f64::from(index + 1) * LANE;
                g.(lane(&side.name)) { (shape(side, base)) }
                line.base x1="0" x2=(number(WIDTH)) y1=(number(base)) y2=(number(base)) {}
            }
            @if hold > 0.0 { line.limit x1=(number(x(hold))) x2=(number(x(hold))) y1="0" y2=(number(bottom)) {} }
            (ticks(bottom))
        }
    }
}

/// For those who do not see it.
fn told(lane: &Lane) -> String {
    let longest = lane.quantiles.iter().map(|wait| wait.max).fold(0.0, f64::max);
    match lane.quantiles.len() {
        0 => format!("{}: nothing was measured", lane.name),
        _ => format!("{}: waits of at most {longest:.1} ms", lane.name),
    }
}

fn shape(lane: &Lane, base: f64) -> Markup {
    if lane.waits.is_empty() { ranges(lane, base) } else { bars(lane, base) }
}

/// The square root of a count is drawn: one wait among hundreds must be seen.
fn bars(lane: &Lane, base: f64) -> Markup {
    let mut counts = vec![0_u32; usize::try_from(DECADES * BINS).unwrap_or_default()];
    let step = WIDTH / f64::from(DECADES * BINS);
    for wait in &lane.waits {
        let bin = (x(*wait) / step).floor();
        if let Some(count) = counts.iter_mut().zip(0_u32..).find(|(_, index)| f64::from(index + 1) > bin).map(|it| it.0)
        {
            *count += 1;
        }
    }
    let most = f64::from(counts.iter().copied().max().unwrap_or(1).max(1)).sqrt();
    html! {
        @for (index, count) in (0_u32..).zip(counts).filter(|(_, count)| *count > 0) {
            @let height = (LANE - 3.0) * f64::from(count).sqrt() / most;
            rect x=(number(f64::from(index) * step + 0.5)) y=(number(base - height)) width=(number(step - 1.0)) height=(number(height)) {
                title { (count) " × " (range(index)) }
            }
        }
    }
}

/// `0.1 to 0.15 ms`.
fn range(bin: u32) -> String {
    let edge = |bin: u32| 10_f64.powf(f64::from(FIRST_DECADE) + f64::from(bin) / f64::from(BINS));
    format!("{:.2} to {:.2} ms", edge(bin), edge(bin + 1))
}

/// Where only quantiles are known: a line from the median to the longest, a dot at
/// the median.
fn ranges(lane: &Lane, base: f64) -> Markup {
    let count = f64::from(u32::try_from(lane.quantiles.len()).unwrap_or_default());
    html! {
        @for (index, wait) in (0_u32..).zip(&lane.quantiles) {
            @let y = number(base - 3.0 - (LANE - 6.0) * f64::from(index) / count);
            line.range x1=(number(x(wait.median))) x2=(number(x(wait.max))) y1=(y) y2=(y) {}
            circle cx=(number(x(wait.median))) cy=(y) r="1.2" {}
        }
    }
}

fn ticks(bottom: f64) -> Markup {
    let y = number(bottom + AXIS - 2.0);
    html! {
        @for decade in 0..=DECADES {
            @let at = WIDTH * f64::from(decade) / f64::from(DECADES);
            @let anchor = match decade { 0 => "start", DECADES => "end", _ => "middle" };
            text.tick x=(number(at)) y=(y) text-anchor=(anchor) { (duration(FIRST_DECADE + decade)) }
        }
    }
}

/// A power of ten of milliseconds.
fn duration(power: i32) -> String {
    let (unit, below) = match power {
        ..-1 => ("µs", -3),
        -1..=2 => ("ms", 0),
        _ => ("s", 3),
    };
    format!("{} {unit}", 10_f64.powi(power - below))
}

/// The place of a wait; one beyond the axis is at its end.
fn x(ms: f64) -> f64 {
    let low = f64::from(FIRST_DECADE);
    let place = (ms.max(1e-9).log10() - low) / f64::from(DECADES);
    WIDTH * place.clamp(0.0, 1.0)
}

/// A coordinate, as short as is sharp.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A line through figures of one kind, the last one marked; each has a name.
pub(super) fn spark(points: &[(String, f64)]) -> Markup {
    const HEIGHT: f64 = 28.0;
    const ACROSS: f64 = 120.0;
    let most = points.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let gaps = f64::from(u32::try_from(points.len().saturating_sub(1)).unwrap_or_default()).max(1.0);
    let place = |(index, (name, value)): (u32, &(String, f64))| {
        let (x, y) = (3.0 + (ACROSS - 6.0) * f64::from(index) / gaps, HEIGHT - 3.0 - (HEIGHT - 6.0) * value / most);
        (number(x), number(y), name.clone())
    };
    let places: Vec<_> = (0_u32..).zip(points).map(place).collect();
    let line = places.iter().map(|(x, y, _)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
    html! {
        svg.spark viewBox=(format!("0 0 {ACROSS} {HEIGHT}")) role="img" aria-label=(format!("{} runs", points.len())) {
            polyline points=(line) {}
            @for (index, (x, y, name)) in places.iter().enumerate() {
                circle.last[index + 1 == places.len()] cx=(x) cy=(y) r="2" { title { (name) } }
            }
        }
    }
}
