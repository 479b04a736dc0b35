//! The report of all results, as a Markdown table and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Result;
use crate::clock::now;

/// The target of a result.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// The result must be at least this value.
    AtLeast(f64),
    /// The result must be at most this value.
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// A row of the report: our result, optionally a peer's result with the ratio of the two results, and the target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    section: &'static str,
    name: String,
    unit: &'static str,
    ours: Option<f64>,
    peer: Option<f64>,
    peer_name: Option<String>,
    ratio: Option<f64>,
    target: Option<Target>,
    met: Option<bool>,
    note: String,
}

impl Row {
    /// Creates a row with our result, without a peer.
    #[must_use]
    pub fn new(section: &'static str, name: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            section,
            name: name.into(),
            unit,
            ours: Some(ours),
            peer: None,
            peer_name: None,
            ratio: None,
            target: None,
            met: None,
            note: String::new(),
        }
    }

    /// Creates a row for a failed measurement, which counts as a missed target.
    #[must_use]
    pub fn failed(section: &'static str, name: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self { ours: None, met: Some(false), note: why.to_string(), ..Self::new(section, name, "", 0.0) }
    }

    /// Adds a peer's result to the row. docs/benchmarks.md defines the ratio for each section.
    #[must_use]
    pub fn beside(self, name: impl Into<String>, peer: f64, ratio: f64) -> Self {
        Self { peer_name: Some(name.into()), peer: Some(peer), ratio: Some(ratio), ..self }
    }

    /// Sets the target of the ratio, or the target of our result if the row has no peer.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        let judged = self.ratio.or(self.ours);
        Self { target: Some(target), met: judged.map(|value| target.is_met(value)), ..self }
    }

    /// Sets the note of the row.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    fn columns(&self) -> [String; 8] {
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format_number);
        let peer = match (&self.peer_name, self.peer) {
            (Some(name), Some(value)) => format!("{name} {}", format_number(value)),
            _ => "–".to_owned(),
        };
        let target = match self.target {
            None => "–".to_owned(),
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
        };
        let met = match self.met {
            None => "–",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        [
            self.name.clone(),
            self.unit.to_owned(),
            number(self.ours),
            peer,
            self.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            target,
            met.to_owned(),
            self.note.clone(),
        ]
    }
}

/// The results of a run, with the machine and the time of the run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The start of the run, in seconds since 1970.
    at: u64,
    processor: String,
    cores: usize,
    /// The load average before the run. A value above 1 means that other processes were running and may have disturbed
    /// the results.
    load_before: f64,
    /// The rows of the report.
    pub rows: Vec<Row>,
}

impl Report {
    /// Creates an empty report with the properties of this machine and the current time.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not report its processor or load.
    pub fn begin() -> Result<Self> {
        let processors = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = std::fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            at: now()?,
            processor: model.map(|(_, name)| name.to_owned()).unwrap_or_default(),
            cores: std::thread::available_parallelism()?.get(),
            load_before: load.split_whitespace().next().unwrap_or_default().parse()?,
            rows: Vec::new(),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, load_before, rows, .. } = self;
        writeln!(f, "{processor}, {cores} cores, load {load_before} before the run\n\n{}", table(rows))
    }
}

/// Formats a number with at least three digits: no decimals from 100, one from 10, and two below 10.
fn format_number(value: f64) -> String {
    match value.abs() {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Formats the rows as Markdown tables, with a heading for each section.
fn table(rows: &[Row]) -> String {
    let head = ["what", "unit", "ours", "peer", "ratio", "target", "met", "note"].map(str::to_owned);
    let lines: Vec<_> = rows.iter().map(Row::columns).collect();
    let mut widths = head.clone().map(|text| text.chars().count());
    for line in &lines {
        for (width, text) in widths.iter_mut().zip(line) {
            *width = (*width).max(text.chars().count());
        }
    }
    let mut text = String::new();
    let mut write_line = |line: &[String; 8]| {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    };
    let mut section = "";
    for (row, line) in rows.iter().zip(&lines) {
        if row.section != section {
            section = row.section;
            write_line(&std::array::from_fn(
                |column| if column == 0 { format!("**{section}**") } else { String::new() },
            ));
        }
        write_line(line);
    }
    let mut whole = String::new();
    for (cell, width) in head.iter().zip(widths) {
        let _ = write!(whole, "| {cell:width$} ");
    }
    whole.push_str("|\n");
    for width in widths {
        let _ = write!(whole, "|{}", "-".repeat(width + 2));
    }
    whole.push_str("|\n");
    whole.push_str(&text);
    whole
}
