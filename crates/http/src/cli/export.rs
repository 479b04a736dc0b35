//! The command `iam export`, which writes the data of the configured database to a file.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use iam_composition::{Choice, Exported, Mover, Settings};
use iam_domain::CompanyId;

use super::progress::Progress;

/// The permissions of a new file: only its owner may read it, because it contains personal data.
const MODE: u32 = 0o600;
/// The path that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

#[derive(Args)]
pub(crate) struct Export {
    /// The file to write. `-` stands for standard output. An existing file is replaced.
    file: PathBuf,
    /// Exports only the company with this UUID. May be repeated.
    #[arg(long = "company", value_name = "UUID", value_parser = CompanyId::parse)]
    companies: Vec<CompanyId>,
    /// Also exports the hashes of API keys, and the times before which tokens are rejected.
    #[arg(long)]
    with_credentials: bool,
}

impl Export {
    /// Writes the export.
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Box<dyn Error>> {
        let mover = Mover::open(settings).await?;
        let Self { file, companies, with_credentials } = self;
        let companies = (!companies.is_empty()).then(|| companies.into_iter().collect());
        let choice = Choice { companies, with_credentials };
        let exported = if file.as_os_str() == STANDARD_OUTPUT {
            let mut progress = Progress::new("exported companies");
            mover.export(io::stdout(), choice, &mut |done, total| progress.report(done, total)).await?
        } else {
            to_file(&mover, &file, choice).await?
        };
        let Exported { companies, lines } = exported;
        writeln!(io::stderr(), "exported: companies {companies}, lines {lines}")?;
        Ok(())
    }
}

/// Writes an export to a file. When this function returns, the file is on the disk.
pub(super) async fn to_file(mover: &Mover, path: &Path, choice: Choice) -> Result<Exported, Box<dyn Error>> {
    let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
    let file: File = opened.map_err(failed)?;
    let mut progress = Progress::new("exported companies");
    let out = BufWriter::new(&file);
    let exported = mover.export(out, choice, &mut |done, total| progress.report(done, total)).await?;
    match file.sync_all() {
        // Pipes and devices cannot be synchronized.
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(failed(error).into()),
        _ => Ok(exported),
    }
}
