//! What was measured, as a table for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::Result;

/// What a figure must be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// Not less.
    AtLeast(f64),
    /// Not more.
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

/// One line: our figure, perhaps a peer's and their ratio, and what was asked for.
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
    /// Our figure alone.
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

    /// What could not be measured counts as missed.
    #[must_use]
    pub fn failed(section: &'static str, name: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self { ours: None, met: Some(false), note: why.to_string(), ..Self::new(section, name, "", 0.0) }
    }

    /// Beside a peer's; the ratio says how it is formed in the documentation of the section.
    #[must_use]
    pub fn beside(self, name: impl Into<String>, peer: f64, ratio: f64) -> Self {
        Self { peer_name: Some(name.into()), peer: Some(peer), ratio: Some(ratio), ..self }
    }

    /// What the ratio must be, or our figure where there is no peer.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        let judged = self.ratio.or(self.ours);
        Self { target: Some(target), met: judged.map(|value| target.is_met(value)), ..self }
    }

    /// Something to know about it.
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

/// Where and when it was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Seconds since 1970.
    at: u64,
    processor: String,
    cores: usize,
    /// Processes that wanted to run before the run began: more than one disturbed it.
    load_before: f64,
    /// What was measured.
    pub rows: Vec<Row>,
}

impl Report {
    /// An empty one, of this machine, now.
    ///
    /// # Errors
    ///
    /// When the system does not say what it is.
    pub fn begin() -> Result<Self> {
        let processors = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = std::fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
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

/// Three figures that count; thousands in full.
fn format_number(value: f64) -> String {
    match value.abs() {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The rows as a Markdown table with a heading a section.
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
