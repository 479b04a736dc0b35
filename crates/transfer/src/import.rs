//! Imports a file into a storage, or previews the import.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};

use async_trait::async_trait;
use iam_domain::{AuditRecord, CompanyId, ExternalId, QuotaLimits};
use iam_storage::{
    ChangeContext, CompanyContent, Constraint, Reader, Retryable, Storage, StorageError, Target, UnitOfWork, Work,
    transact,
};

use crate::catalog::CatalogContent;
use crate::catalog_plan::{CatalogPlan, ImportCatalog};
use crate::credentials::{self, ImportCredentials};
use crate::error::ImportError;
use crate::export::content_of;
use crate::lines::{Header, Line};
use crate::options::{Ids, ImportOptions, OnConflict};
use crate::quotas::excess;
use crate::reader::{FileReader, Part};
use crate::remap::CatalogIds;
use crate::report::{Outcome, Report};

/// Reads the header of a file.
///
/// # Errors
///
/// Returns [`ImportError::File`] if the file is not an export, or if its format is newer.
pub fn read_header(file: impl BufRead) -> Result<Header, ImportError> {
    Ok(FileReader::open(file)?.0)
}

/// Verifies a whole file, and returns what its import would do. Changes nothing.
///
/// # Errors
///
/// Returns [`ImportError`] if the file is rejected, if a chosen company is not in the file, or if the storage fails.
pub async fn preview(
    storage: &dyn Storage,
    file: impl BufRead + Send,
    options: &ImportOptions,
) -> Result<Report, ImportError> {
    let (_, mut file) = FileReader::open(file)?;
    let (reader, mut report, mut ids) = (storage.reader(), Report::default(), CatalogIds::default());
    let mut found = BTreeSet::new();
    while let Some(part) = file.next()? {
        match part {
            Part::Catalog(catalog) => {
                let plan = CatalogPlan::new(&catalog, &CatalogContent::read(reader).await?);
                plan.report(&mut report);
                ids = plan.ids;
            }
            Part::Company(content, _) if options.is_chosen(content.company) => {
                found.insert(content.company);
                report.companies += 1;
                let content = options.prepared(*content, &ids);
                let outcome = compared(reader, &content, &options.quotas).await?;
                report.note(described(&content), outcome);
            }
            Part::Records(Some(company), records) if options.is_chosen(company) => {
                report.records += records.len() as u64;
            }
            Part::Records(None, records) if options.has_platform() => report.records += records.len() as u64,
            Part::ApiKeys(keys) if options.with_credentials && options.ids == Ids::Keep => {
                let there = reader.credentials().changes_since(0).await?;
                credentials::compare_keys(&there, &chosen_keys(keys, options, &found), &mut report);
            }
            Part::CutOffs(cut_offs) if options.with_credentials && options.ids == Ids::Keep => {
                let there = reader.credentials().changes_since(0).await?;
                credentials::compare_cut_offs(&there, &cut_offs, &mut report);
            }
            _ => {}
        }
    }
    check_found(options, &found)?;
    Ok(report)
}

/// Imports a file, and returns what was done. Each company is imported as a whole or not at all. If the import is
/// interrupted, its repetition continues: what the storage contains already remains unchanged. Call [`preview`] before:
/// this function writes while it verifies the file.
///
/// If rows have new ids, the audit log of the companies is written to `trail`, because its records name the old ids.
///
/// # Errors
///
/// Returns [`ImportError`] if the file is rejected, if there is a conflict, or if the storage fails.
pub async fn import(
    storage: &dyn Storage,
    file: impl BufRead + Send,
    options: &ImportOptions,
    trail: Option<&mut (dyn Write + Send)>,
) -> Result<Report, ImportError> {
    let (_, mut file) = FileReader::open(file)?;
    let mut import = Import {
        storage,
        options,
        trail,
        report: Report::default(),
        ids: CatalogIds::default(),
        found: BTreeSet::new(),
        skipped: None,
    };
    while let Some(part) = file.next()? {
        import.part(part).await?;
    }
    if let Some(trail) = import.trail {
        trail.flush()?;
    }
    check_found(options, &import.found)?;
    Ok(import.report)
}

fn check_found(options: &ImportOptions, found: &BTreeSet<CompanyId>) -> Result<(), ImportError> {
    let missing = options.companies.iter().flatten().find(|company| !found.contains(company));
    missing.map_or(Ok(()), |company| Err(ImportError::NoCompany(*company)))
}

/// Returns the keys of the imported companies and, if everything is imported, those of the platform.
fn chosen_keys(
    keys: Vec<credentials::Key>,
    options: &ImportOptions,
    found: &BTreeSet<CompanyId>,
) -> Vec<credentials::Key> {
    let is_chosen = |key: &credentials::Key| match key.0.company_id {
        Some(company) => found.contains(&company),
        None => options.companies.is_none(),
    };
    keys.into_iter().filter(is_chosen).collect()
}

struct Import<'a, 't> {
    storage: &'a dyn Storage,
    options: &'a ImportOptions,
    trail: Option<&'t mut (dyn Write + Send)>,
    report: Report,
    ids: CatalogIds,
    /// The chosen companies that the file contains.
    found: BTreeSet<CompanyId>,
    /// The latest company, if it was not imported.
    skipped: Option<CompanyId>,
}

impl Import<'_, '_> {
    async fn part(&mut self, part: Part) -> Result<(), ImportError> {
        let options = self.options;
        match part {
            Part::Catalog(catalog) => {
                let work = ImportCatalog { file: &catalog, on_conflict: options.on_conflict };
                let (plan, _) = self.transact(Target::Catalog, &work).await?;
                plan.report(&mut self.report);
                self.ids = plan.ids;
            }
            Part::Company(content, external_ids) if options.is_chosen(content.company) => {
                self.company(*content, external_ids).await?;
            }
            Part::Records(Some(company), records) if options.is_chosen(company) && self.skipped != Some(company) => {
                self.records(Some(company), records).await?;
            }
            Part::Records(None, records) if options.has_platform() => self.records(None, records).await?,
            Part::ApiKeys(keys) if options.with_credentials && options.ids == Ids::Keep => {
                let keys = chosen_keys(keys, options, &self.found);
                self.credentials(ImportCredentials::keys(keys, options.on_conflict)).await?;
            }
            Part::CutOffs(cut_offs) if options.with_credentials && options.ids == Ids::Keep => {
                self.credentials(ImportCredentials::cut_offs(cut_offs, options.on_conflict)).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn transact<W: Work<Error = ImportError>>(
        &self,
        target: Target,
        work: &W,
    ) -> Result<(W::Output, iam_domain::CommitStamp), ImportError> {
        transact(self.storage, target, &ChangeContext::command_line(), work).await
    }

    async fn company(&mut self, content: CompanyContent, external_ids: Vec<ExternalId>) -> Result<(), ImportError> {
        let (source, options) = (content.company, self.options);
        self.found.insert(source);
        self.report.companies += 1;
        let content = options.prepared(content, &self.ids);
        let work = ImportCompany { content, external_ids, on_conflict: options.on_conflict, quotas: &options.quotas };
        let outcome = match self.transact(Target::Company(work.content.company), &work).await {
            Ok((outcome, _)) => outcome,
            Err(ImportError::Storage(StorageError::Conflict { constraint: Constraint::CompanyErased })) => {
                Outcome::Refused(ERASED.to_owned())
            }
            Err(ImportError::Storage(StorageError::Conflict { constraint: Constraint::Duplicate })) => {
                return Err(ImportError::Conflict(format!("an id of {}", described(&work.content))));
            }
            Err(error) => return Err(error),
        };
        let is_skipped = match &outcome {
            Outcome::Create | Outcome::Unchanged => false,
            Outcome::Conflict(_) => options.on_conflict != OnConflict::Replace,
            Outcome::Refused(_) => true,
        };
        self.skipped = is_skipped.then_some(source);
        self.report.note(described(&work.content), outcome);
        Ok(())
    }

    async fn records(&mut self, owner: Option<CompanyId>, records: Vec<AuditRecord>) -> Result<(), ImportError> {
        if self.options.ids == Ids::Keep {
            let work = RestoreRecords { owner, records };
            self.report.records += self.transact(Target::of_menu(owner), &work).await?.0;
        } else if let Some(trail) = &mut self.trail {
            self.report.records += records.len() as u64;
            for record in records {
                serde_json::to_writer(&mut *trail, &Line::Record(record.into())).map_err(std::io::Error::from)?;
                trail.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    async fn credentials(&mut self, work: ImportCredentials) -> Result<(), ImportError> {
        let (part, _) = self.transact(Target::Credentials, &work).await?;
        self.report.findings.extend(part.findings);
        Ok(())
    }
}

const ERASED: &str = "the company was erased, so its id can never be used again";

/// Compares the content of a company with the storage.
async fn compared(
    reader: &dyn Reader,
    content: &CompanyContent,
    quotas: &QuotaLimits,
) -> Result<Outcome, StorageError> {
    if let Some(excess) = excess(content, quotas) {
        return Ok(Outcome::Refused(excess));
    }
    match reader.company_states().read(content.company).await? {
        None => return Ok(Outcome::Create),
        Some(state) if state.erased_at.is_some() => return Ok(Outcome::Refused(ERASED.to_owned())),
        Some(_) => {}
    }
    let there = content_of(reader, content.company).await?;
    Ok(if there == *content {
        Outcome::Unchanged
    } else if there == CompanyContent::empty(content.company) {
        Outcome::Create
    } else {
        Outcome::Conflict("it exists with other content".to_owned())
    })
}

fn described(content: &CompanyContent) -> String {
    let name = content.details.name.as_ref().map_or_else(String::new, |name| format!(" {:?}", name.as_str()));
    let (levels, users) = (content.levels.len(), content.holders.len());
    format!("company {}{name} (levels: {levels}, users: {users})", content.company)
}

/// Imports a company, if the storage does not contain it already.
struct ImportCompany<'a> {
    content: CompanyContent,
    external_ids: Vec<ExternalId>,
    on_conflict: OnConflict,
    quotas: &'a QuotaLimits,
}

#[async_trait]
impl Work for ImportCompany<'_> {
    type Output = Outcome;
    type Error = ImportError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Outcome, ImportError> {
        let outcome = compared(tx, &self.content, self.quotas).await?;
        match (&outcome, self.on_conflict) {
            (Outcome::Create, _) | (Outcome::Conflict(_), OnConflict::Replace) => {
                if !self.external_ids.is_empty() {
                    let external_ids: Vec<_> = self.external_ids.iter().collect();
                    tx.users_mut().remember(&external_ids).await?;
                }
                tx.company_contents_mut().install(&self.content).await?;
            }
            (Outcome::Conflict(_), OnConflict::Stop) => return Err(ImportError::Conflict(described(&self.content))),
            (Outcome::Conflict(_), OnConflict::Skip) | (Outcome::Unchanged | Outcome::Refused(_), _) => {}
        }
        Ok(outcome)
    }
}

/// Adds a page of audit records.
struct RestoreRecords {
    owner: Option<CompanyId>,
    records: Vec<AuditRecord>,
}

#[async_trait]
impl Work for RestoreRecords {
    type Output = u64;
    type Error = ImportError;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<u64, ImportError> {
        Ok(tx.audit_logs_mut().restore(self.owner, &self.records).await?)
    }
}

impl Retryable for ImportError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_retryable())
    }
}
