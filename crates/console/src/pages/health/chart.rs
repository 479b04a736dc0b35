//! A chart of a figure over time, as SVG.

use maud::{Markup, html};

/// The width of a chart, in its own units.
const WIDTH: f64 = 240.0;
/// The height of a chart, in its own units.
const HEIGHT: f64 = 48.0;

/// How a chart draws its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A line, which is interrupted where there is no value.
    Line,
    /// A bar for each value.
    Bars,
}

/// A figure over time.
#[derive(Debug)]
pub(super) struct Chart {
    /// The name of the figure.
    pub(super) title: &'static str,
    /// The latest value.
    pub(super) latest: String,
    /// What else is to be known about the figure.
    pub(super) note: String,
    pub(super) form: Form,
    /// The values in equal intervals, oldest first.
    pub(super) values: Vec<Option<f64>>,
    /// The least value of the upper edge of the chart.
    pub(super) top: f64,
    /// Formats a value.
    pub(super) format: fn(f64) -> String,
}

impl Chart {
    /// Returns the chart as a card.
    pub(super) fn show(&self) -> Markup {
        let known = || self.values.iter().flatten().copied();
        let top = known().fold(self.top, f64::max);
        html! {
            li.card {
                h2 { (self.title) }
                strong { (self.latest) }
                @if known().next().is_none() {
                    p.muted.small { "No values yet" }
                } @else {
                    @let text = format!(
                        "{}: from {} to {}",
                        self.title,
                        (self.format)(known().fold(f64::INFINITY, f64::min)),
                        (self.format)(known().fold(0.0, f64::max)),
                    );
                    svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(text) {
                        @match self.form {
                            Form::Line => @for points in self.lines(top) { polyline points=(points) {} },
                            Form::Bars => @for (x, height) in self.bars(top) {
                                rect x=(short(x)) y=(short(HEIGHT - height)) width=(short(self.step() * 0.7)) height=(short(height)) {}
                            },
                        }
                    }
                    p.scale.muted.small { span { "0" } span { "up to " ((self.format)(top)) } }
                }
                p.muted.small { (self.note) }
            }
        }
    }

    /// Returns the distance between two values.
    fn step(&self) -> f64 {
        WIDTH / self.values.len().max(2) as f64
    }

    /// Returns the points of each uninterrupted line.
    fn lines(&self, top: f64) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.values.iter().zip(0_u32..).collect::<Vec<_>>().split(|(value, _)| value.is_none()) {
            let point = |(value, number): &(&Option<f64>, u32)| {
                let (x, height) = (f64::from(*number) * self.step(), scaled(value.unwrap_or_default(), top));
                // A single value is a short line.
                format!("{},{y} {},{y}", short(x), short(x + self.step()), y = short(HEIGHT - height))
            };
            if !line.is_empty() {
                lines.push(line.iter().map(point).collect::<Vec<_>>().join(" "));
            }
        }
        lines
    }

    /// Returns the position and the height of each bar.
    fn bars(&self, top: f64) -> Vec<(f64, f64)> {
        let bar = |(value, number): (&Option<f64>, u32)| {
            value.map(|value| (f64::from(number) * self.step(), scaled(value, top).max(1.0)))
        };
        self.values.iter().zip(0_u32..).filter_map(bar).collect()
    }
}

/// Returns the height of a value.
fn scaled(value: f64, top: f64) -> f64 {
    if top > 0.0 { (value / top).clamp(0.0, 1.0) * (HEIGHT - 2.0) + 1.0 } else { 1.0 }
}

/// Returns a number with at most one digit after the decimal point.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}
