//! Writes the lines of a file, with the hash and the number of lines of each section.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::lines::{End, Line, Manifest};

/// The hash and the number of lines.
#[derive(Default)]
pub(crate) struct Tally {
    digest: Sha256,
    pub(crate) lines: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.digest.update(line);
        self.lines += 1;
    }

    /// Returns the hash of the lines in hexadecimal digits.
    pub(crate) fn sha256(&self) -> String {
        self.digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Writes a file. The caller begins each section with its first line and ends it with [`Self::end`].
pub(crate) struct FileWriter<W> {
    out: W,
    section: Tally,
    all: Tally,
    sections: u64,
    buffer: Vec<u8>,
}

impl<W: Write> FileWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, section: Tally::default(), all: Tally::default(), sections: 0, buffer: Vec::new() }
    }

    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.section.add(&self.buffer);
        self.all.add(&self.buffer);
        self.out.write_all(&self.buffer)
    }

    /// Writes the header, which belongs to no section.
    pub(crate) fn header(&mut self, header: &Line) -> io::Result<()> {
        self.line(header)?;
        self.section = Tally::default();
        Ok(())
    }

    /// Writes the last line of a section.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let section = std::mem::take(&mut self.section);
        self.sections += 1;
        self.line(&Line::End(End { lines: section.lines, sha256: section.sha256() }))?;
        self.section = Tally::default();
        Ok(())
    }

    /// Writes the manifest, and flushes the file. Returns the number of lines.
    pub(crate) fn finish(mut self, companies: u64) -> io::Result<u64> {
        let (lines, sections, sha256) = (self.all.lines, self.sections, self.all.sha256());
        self.line(&Line::Manifest(Manifest { lines, sections, companies, sha256 }))?;
        self.out.flush()?;
        Ok(self.all.lines)
    }
}
