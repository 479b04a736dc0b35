//! The command `iam import`, which reads a file that `iam export` has written into the configured database.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use iam_composition::{Ids, ImportOptions, Mover, OnConflict, Outcome, Report, Settings};
use iam_domain::CompanyId;

use super::output::print;
use super::progress::ReadWithProgress;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// Size of the buffer of the file in bytes.
const BUFFER: usize = 256 * 1024;

#[derive(Args)]
pub(crate) struct Import {
    /// The file to read. `-` stands for standard input, which is first copied to a temporary file.
    file: PathBuf,
    /// Prints what the import would create and change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Sets what happens to data that exists with other content.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "stop")]
    on_conflict: Policy,
    /// Imports only the company with this UUID, and the catalog. May be repeated.
    #[arg(long = "company", value_name = "UUID", value_parser = CompanyId::parse)]
    companies: Vec<CompanyId>,
    /// Clones the company to another company with this UUID, whose levels and menu items have new ids.
    #[arg(long = "as", value_name = "UUID", value_parser = CompanyId::parse, requires = "companies")]
    clone_as: Option<CompanyId>,
    /// Gives the levels, cells and menu items of the companies new ids.
    #[arg(long, conflicts_with = "clone_as")]
    remap: bool,
    /// Writes the audit log of companies whose rows have new ids to this file. Without this option it is not imported.
    #[arg(long, value_name = "FILE")]
    trail_to: Option<PathBuf>,
    /// Also imports API keys and the times before which tokens are rejected, if the file contains them.
    #[arg(long)]
    with_credentials: bool,
}

/// What happens to data that exists with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// The import fails before it changes anything.
    Stop,
    /// The data of the database remains unchanged.
    Skip,
    /// The data of the file replaces that of the database.
    Replace,
}

impl From<Policy> for OnConflict {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Stop => Self::Stop,
            Policy::Skip => Self::Skip,
            Policy::Replace => Self::Replace,
        }
    }
}

impl Import {
    /// Verifies the file, prints the conflicts, and imports the file.
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Box<dyn Error>> {
        let options = self.options()?;
        let mover = Mover::open(settings).await?;
        let file = opened(&self.file)?;
        let preview = preview(&mover, &file, &options).await?;
        if self.dry_run {
            for finding in preview.findings.iter().filter(|finding| finding.outcome != Outcome::Unchanged) {
                print(&finding.to_string())?;
            }
            return print(&summary("would import", &preview));
        }
        refuse_conflicts(&preview, options.on_conflict)?;
        let mut trail = self.trail_to.as_deref().map(created).transpose()?;
        let trail = trail.as_mut().map(|trail| trail as &mut (dyn Write + Send));
        let report = mover.import(rewound(&file, "imported bytes")?, &options, trail).await?;
        print(&summary("imported", &report))?;
        if options.ids != Ids::Keep && self.trail_to.is_none() && preview.records > 0 {
            let records = preview.records;
            writeln!(io::stderr(), "audit records that were not imported, because the ids are new: {records}")?;
        }
        Ok(())
    }

    fn options(&self) -> Result<ImportOptions, String> {
        let ids = match (self.clone_as, self.remap) {
            (Some(_), _) if self.companies.len() != 1 => return Err("--as needs exactly one --company".to_owned()),
            (Some(id), _) => Ids::CloneAs(id),
            (None, true) => Ids::New,
            (None, false) => Ids::Keep,
        };
        let companies = (!self.companies.is_empty()).then(|| self.companies.iter().copied().collect());
        Ok(ImportOptions {
            companies,
            ids,
            on_conflict: self.on_conflict.into(),
            with_credentials: self.with_credentials,
            ..ImportOptions::default()
        })
    }
}

/// Imports a file into an empty in-memory storage.
pub(super) async fn into_memory(mover: &Mover, path: &Path) -> Result<(), Box<dyn Error>> {
    let options =
        ImportOptions { with_credentials: true, on_conflict: OnConflict::Replace, ..ImportOptions::default() };
    let file = opened(path)?;
    let preview = preview(mover, &file, &options).await?;
    refuse_conflicts(&preview, OnConflict::Replace)?;
    let report = mover.import(rewound(&file, "imported bytes")?, &options, None).await?;
    writeln!(io::stderr(), "{}", summary("imported", &report))?;
    Ok(())
}

async fn preview(mover: &Mover, file: &File, options: &ImportOptions) -> Result<Report, Box<dyn Error>> {
    Ok(mover.preview(rewound(file, "verified bytes")?, options).await?)
}

/// Prints what the import must not change, and fails if there is something.
fn refuse_conflicts(preview: &Report, on_conflict: OnConflict) -> Result<(), Box<dyn Error>> {
    let stops = |outcome: &Outcome| match outcome {
        Outcome::Conflict(_) => on_conflict == OnConflict::Stop,
        Outcome::Refused(_) => true,
        Outcome::Create | Outcome::Unchanged => false,
    };
    for finding in preview.findings.iter().filter(|finding| stops(&finding.outcome)) {
        writeln!(io::stderr(), "{finding}")?;
    }
    if on_conflict == OnConflict::Stop && preview.conflicts() + preview.refused() > 0 {
        return Err("nothing was imported; see --on-conflict".into());
    }
    Ok(())
}

/// Returns a one-line summary.
fn summary(what: &str, report: &Report) -> String {
    format!(
        "{what}: companies {}, created {}, unchanged {}, conflicts {}, refused {}, audit records {}",
        report.companies,
        report.created(),
        report.unchanged(),
        report.conflicts(),
        report.refused(),
        report.records
    )
}

/// Opens a file. Standard input is copied to a temporary file, because the file is read twice.
fn opened(path: &Path) -> Result<File, Box<dyn Error>> {
    if path.as_os_str() == STANDARD_INPUT {
        let mut spool = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut spool)?;
        return Ok(spool);
    }
    Ok(File::open(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?)
}

fn created(path: &Path) -> Result<BufWriter<File>, Box<dyn Error>> {
    let file = File::create(path).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// Returns the file from its beginning.
fn rewound<'a>(mut file: &'a File, what: &'static str) -> io::Result<BufReader<ReadWithProgress<&'a File>>> {
    file.rewind()?;
    let total = file.metadata()?.len();
    Ok(BufReader::with_capacity(BUFFER, ReadWithProgress::new(file, total, what)))
}
