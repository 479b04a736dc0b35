//! Reads a file section by section, and verifies its structure, its counts and its hashes.

use std::io::{BufRead, Read as _};

use iam_domain::{ApiKey, ApiKeyDigest, AuditRecord, CompanyId, ExternalId, Timestamp, UserId};
use iam_storage::CompanyContent;

use crate::catalog::CatalogContent;
use crate::company::CompanyBuilder;
use crate::error::{FileError, Problem};
use crate::lines::{FORMAT, Header, Line, MAX_LINE, PAGE, VERSION};
use crate::references::References;
use crate::writer::Tally;

/// Maximum size of the lines of one company without its audit log, in bytes. A company is in memory as a whole.
const MAX_COMPANY: u64 = 512 * 1024 * 1024;

/// Size of the records of a page in bytes, after which the page ends.
const PAGE_BYTES: u64 = 1024 * 1024;

/// A part of the file.
pub(crate) enum Part {
    Catalog(Box<CatalogContent>),
    /// A company, with the external names of its users.
    Company(Box<CompanyContent>, Vec<ExternalId>),
    /// A page of the audit log of the company before it or, for `None`, of the platform.
    Records(Option<CompanyId>, Vec<AuditRecord>),
    ApiKeys(Vec<(ApiKey, ApiKeyDigest)>),
    CutOffs(Vec<(UserId, Timestamp)>),
}

/// A section of the file. The sections are in this order; those of companies are ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Header,
    Catalog,
    Company(CompanyId),
    Platform,
    Credentials,
}

/// Reads a file.
pub(crate) struct FileReader<R> {
    source: R,
    buffer: Vec<u8>,
    line: u64,
    bytes: u64,
    section: Tally,
    all: Tally,
    sections: u64,
    companies: u64,
    latest: Section,
    /// A line that was read and not processed yet.
    pending: Option<Line>,
    references: References,
    has_ended: bool,
}

impl<R: BufRead> FileReader<R> {
    /// Reads the header.
    pub(crate) fn open(source: R) -> Result<(Header, Self), FileError> {
        let mut reader = Self {
            source,
            buffer: Vec::new(),
            line: 0,
            bytes: 0,
            section: Tally::default(),
            all: Tally::default(),
            sections: 0,
            companies: 0,
            latest: Section::Header,
            pending: None,
            references: References::default(),
            has_ended: false,
        };
        let header = reader.header()?;
        Ok((header, reader))
    }

    /// The header is parsed leniently first, so that the error for a newer version states the version.
    fn header(&mut self) -> Result<Header, FileError> {
        self.read_line()?;
        let foreign = |_| Problem::Foreign;
        let value: serde_json::Value = serde_json::from_slice(&self.buffer).map_err(foreign).map_err(self.at())?;
        let member = |name: &str| value.get("header").and_then(|header| header.get(name));
        if member("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(self.error(Problem::Foreign));
        }
        match member("version").and_then(serde_json::Value::as_u64).and_then(|version| u32::try_from(version).ok()) {
            Some(VERSION) => {}
            Some(version) => return Err(self.error(Problem::Version(version, VERSION))),
            None => return Err(self.error(Problem::Foreign)),
        }
        match self.parse()? {
            Line::Header(header) => {
                self.all.add(&self.buffer);
                Ok(header)
            }
            _ => Err(self.error(Problem::Foreign)),
        }
    }

    /// Returns the next part of the file, or `None` after the manifest.
    pub(crate) fn next(&mut self) -> Result<Option<Part>, FileError> {
        if self.has_ended {
            return Ok(None);
        }
        let line = match self.pending.take() {
            Some(line) => line,
            None => self.next_line()?,
        };
        match (line, self.latest) {
            (Line::Catalog {}, Section::Header) => {
                self.latest = Section::Catalog;
                self.catalog().map(Some)
            }
            (Line::Company(row), latest) if (Section::Catalog..Section::Company(row.id)).contains(&latest) => {
                self.latest = Section::Company(row.id);
                self.companies += 1;
                self.company(CompanyBuilder::new(row)).map(Some)
            }
            (Line::Platform {}, latest) if (Section::Catalog..Section::Platform).contains(&latest) => {
                self.latest = Section::Platform;
                self.next()
            }
            (Line::Credentials {}, latest) if (Section::Catalog..Section::Credentials).contains(&latest) => {
                self.latest = Section::Credentials;
                self.next()
            }
            (line @ Line::Record(_), Section::Company(company)) => self.records(line, Some(company)).map(Some),
            (line @ Line::Record(_), Section::Platform) => self.records(line, None).map(Some),
            (line @ Line::ApiKey(_), Section::Credentials) => self.api_keys(line).map(Some),
            (line @ Line::CutOff(_), Section::Credentials) => self.cut_offs(line).map(Some),
            (Line::End(_), _) => self.next(),
            (Line::Manifest(_), latest) if latest >= Section::Catalog => {
                self.has_ended = true;
                Ok(None)
            }
            _ => Err(self.error(Problem::Misplaced)),
        }
    }

    fn catalog(&mut self) -> Result<Part, FileError> {
        let mut catalog = CatalogContent::default();
        loop {
            match self.next_line()? {
                Line::View(row) => catalog.views.push(row.into()),
                Line::Feature(row) => catalog.features.push(row.into()),
                Line::Module(row) => catalog.modules.push(row.into()),
                Line::MenuItem(row) => catalog.menu.items.push(row.of(None)),
                Line::SubMenuItem(row) => catalog.menu.sub_items.push(row.into()),
                Line::End(_) => break,
                _ => return Err(self.error(Problem::Misplaced)),
            }
        }
        self.references = References::of(&catalog).map_err(|problem| self.inconsistent(problem))?;
        Ok(Part::Catalog(Box::new(catalog)))
    }

    fn company(&mut self, mut builder: CompanyBuilder) -> Result<Part, FileError> {
        let until = self.bytes.saturating_add(MAX_COMPANY);
        loop {
            let line = self.next_line()?;
            if self.bytes > until {
                return Err(self.inconsistent("the company is too large"));
            }
            match builder.add(line).map_err(|problem| self.inconsistent(problem))? {
                None => {}
                Some(line @ (Line::Record(_) | Line::End(_))) => {
                    self.pending = Some(line);
                    break;
                }
                Some(_) => return Err(self.error(Problem::Misplaced)),
            }
        }
        let (content, external_ids) = builder.build().map_err(|problem| self.inconsistent(problem))?;
        self.references.check(&content).map_err(|problem| self.inconsistent(problem))?;
        Ok(Part::Company(Box::new(content), external_ids))
    }

    fn records(&mut self, first: Line, owner: Option<CompanyId>) -> Result<Part, FileError> {
        let begin = self.bytes;
        let mut records = Vec::new();
        let rest = self.page(first, |reader, line| match line {
            Line::Record(row) => {
                records.push(row.of(owner).map_err(|problem| reader.inconsistent(problem))?);
                Ok((records.len() < PAGE && reader.bytes - begin < PAGE_BYTES, None))
            }
            other => Ok((false, Some(other))),
        })?;
        self.pending = rest;
        Ok(Part::Records(owner, records))
    }

    fn api_keys(&mut self, first: Line) -> Result<Part, FileError> {
        let mut keys = Vec::new();
        let rest = self.page(first, |reader, line| match line {
            Line::ApiKey(row) => {
                keys.push(row.try_into().map_err(|problem| reader.inconsistent(problem))?);
                Ok((keys.len() < PAGE, None))
            }
            other => Ok((false, Some(other))),
        })?;
        self.pending = rest;
        Ok(Part::ApiKeys(keys))
    }

    fn cut_offs(&mut self, first: Line) -> Result<Part, FileError> {
        let mut cut_offs = Vec::new();
        let rest = self.page(first, |_, line| match line {
            Line::CutOff(row) => {
                cut_offs.push((row.user, row.not_before.0));
                Ok((cut_offs.len() < PAGE, None))
            }
            other => Ok((false, Some(other))),
        })?;
        self.pending = rest;
        Ok(Part::CutOffs(cut_offs))
    }

    /// Passes lines to `take` until it returns `false`. Returns the line that `take` returned.
    fn page(
        &mut self,
        first: Line,
        mut take: impl FnMut(&Self, Line) -> Result<(bool, Option<Line>), FileError>,
    ) -> Result<Option<Line>, FileError> {
        let mut line = first;
        loop {
            let (continues, rest) = take(self, line)?;
            if !continues {
                return Ok(rest);
            }
            line = self.next_line()?;
        }
    }

    /// Reads a line, and verifies the counts and hashes that it states.
    fn next_line(&mut self) -> Result<Line, FileError> {
        self.read_line()?;
        let line = self.parse()?;
        match &line {
            Line::End(end) => {
                let section = std::mem::take(&mut self.section);
                self.verify_count("lines in the section", section.lines, end.lines)?;
                self.verify_hash(&section, &end.sha256)?;
                self.sections += 1;
                self.all.add(&self.buffer);
            }
            Line::Manifest(manifest) => {
                if self.section.lines > 0 {
                    return Err(self.error(Problem::Misplaced));
                }
                self.verify_count("lines", self.all.lines, manifest.lines)?;
                self.verify_count("sections", self.sections, manifest.sections)?;
                self.verify_count("companies", self.companies, manifest.companies)?;
                self.verify_hash(&self.all, &manifest.sha256)?;
                let line = self.line + 1;
                match self.source.fill_buf() {
                    Ok([]) => {}
                    Ok(_) => return Err(FileError { line, problem: Problem::Misplaced }),
                    Err(error) => return Err(FileError { line, problem: error.into() }),
                }
            }
            _ => {
                // The first line of a section follows the last line of another one.
                self.section.add(&self.buffer);
                self.all.add(&self.buffer);
            }
        }
        Ok(line)
    }

    fn read_line(&mut self) -> Result<(), FileError> {
        self.line += 1;
        self.buffer.clear();
        let read = (&mut self.source).take(MAX_LINE).read_until(b'\n', &mut self.buffer);
        self.bytes += read.map_err(|error| self.error(error.into()))? as u64;
        match self.buffer.last() {
            Some(b'\n') => Ok(()),
            _ if self.buffer.len() as u64 == MAX_LINE => Err(self.error(Problem::TooLong(MAX_LINE))),
            _ if self.line == 1 => Err(self.error(Problem::Foreign)),
            _ => Err(self.error(Problem::Truncated)),
        }
    }

    fn parse(&self) -> Result<Line, FileError> {
        // A message may quote the file, so control characters are replaced.
        let text = |error: serde_json::Error| {
            let text = error.to_string();
            text.chars().take(300).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        };
        serde_json::from_slice(&self.buffer).map_err(|error| self.error(Problem::Invalid(text(error))))
    }

    fn verify_count(&self, what: &'static str, found: u64, stated: u64) -> Result<(), FileError> {
        if found == stated { Ok(()) } else { Err(self.error(Problem::Count { what, found, stated })) }
    }

    fn verify_hash(&self, tally: &Tally, stated: &str) -> Result<(), FileError> {
        if tally.sha256() == stated { Ok(()) } else { Err(self.error(Problem::Altered)) }
    }

    fn error(&self, problem: Problem) -> FileError {
        FileError { line: self.line, problem }
    }

    fn inconsistent(&self, problem: &'static str) -> FileError {
        self.error(Problem::Inconsistent(problem))
    }

    fn at(&self) -> impl Fn(Problem) -> FileError + use<R> {
        let line = self.line;
        move |problem| FileError { line, problem }
    }
}
