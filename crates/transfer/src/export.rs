//! Exports a snapshot of a storage.

use std::collections::BTreeSet;
use std::io::Write;

use iam_domain::{CompanyId, ExternalId, Timestamp, UserId};
use iam_storage::{
    AuditCursor, AuditFilter, CompanyContent, CompanyFilter, CompanyOrder, CompanyPosition, PageBounds, Reader, Storage,
};

use crate::catalog::CatalogContent;
use crate::company::{self, write_menu};
use crate::error::ExportError;
use crate::lines::{CutOffRow, FORMAT, Header, Line, PAGE, VERSION};
use crate::moment::Moment;
use crate::writer::FileWriter;

/// The bounds of a page of audit records.
const RECORDS: PageBounds = PageBounds { records: PAGE as u64, bytes: 1024 * 1024 };

/// Maximum number of companies that are counted for the progress.
const MOST: u64 = 100_000_000;

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The companies. `None`: everything.
    pub companies: Option<BTreeSet<CompanyId>>,
    /// Whether to export API keys and token cut-offs.
    pub with_credentials: bool,
    /// The release of this program.
    pub release: String,
    /// The newest migration that this program knows.
    pub schema: String,
    /// The current time.
    pub now: Timestamp,
}

/// The progress of an export: the number of exported companies, and the number of all companies to export.
pub type Progress<'a> = dyn FnMut(u64, u64) + Send + 'a;

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Number of companies.
    pub companies: u64,
    /// Number of lines of the file.
    pub lines: u64,
}

/// Exports a snapshot of a storage. The memory that the export needs is bounded by the largest company.
///
/// # Errors
///
/// Returns [`ExportError`] if a chosen company does not exist, if the storage fails, or if the file cannot be written.
pub async fn export<W: Write + Send>(
    storage: &dyn Storage,
    out: W,
    options: &ExportOptions,
    progress: &mut Progress<'_>,
) -> Result<Exported, ExportError> {
    let snapshot = storage.snapshot().await?;
    let mut export = Export { reader: snapshot.as_ref(), out: FileWriter::new(out), users: BTreeSet::new() };
    export.header(options).await?;
    export.catalog().await?;
    let companies = match &options.companies {
        Some(chosen) => export.chosen(chosen, options.with_credentials, progress).await?,
        None => export.all(progress).await?,
    };
    if options.companies.is_none() {
        export.out.line(&Line::Platform {})?;
        export.records(None).await?;
        export.out.end()?;
    }
    if options.with_credentials {
        export.credentials(options.companies.as_ref()).await?;
    }
    Ok(Exported { companies, lines: export.out.finish(companies)? })
}

struct Export<'a, W> {
    reader: &'a dyn Reader,
    out: FileWriter<W>,
    /// The users of the chosen companies, whose cut-offs are exported. Empty if everything is exported.
    users: BTreeSet<UserId>,
}

impl<W: Write + Send> Export<'_, W> {
    async fn header(&mut self, options: &ExportOptions) -> Result<(), ExportError> {
        let versions = self.reader.company_states().versions(None).await?;
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            release: options.release.clone(),
            schema: options.schema.clone(),
            epoch: versions.epoch,
            exported_at: Moment(options.now),
            everything: options.companies.is_none(),
            credentials: options.with_credentials,
        };
        Ok(self.out.header(&Line::Header(header))?)
    }

    async fn catalog(&mut self) -> Result<(), ExportError> {
        let CatalogContent { views, features, modules, menu } = CatalogContent::read(self.reader).await?;
        self.out.line(&Line::Catalog {})?;
        for view in views {
            self.out.line(&Line::View(view.into()))?;
        }
        for feature in features {
            self.out.line(&Line::Feature(feature.into()))?;
        }
        for module in modules {
            self.out.line(&Line::Module(module.into()))?;
        }
        write_menu(&mut self.out, menu)?;
        Ok(self.out.end()?)
    }

    async fn chosen(
        &mut self,
        chosen: &BTreeSet<CompanyId>,
        with_credentials: bool,
        progress: &mut Progress<'_>,
    ) -> Result<u64, ExportError> {
        let total = chosen.len() as u64;
        for (done, company) in (1..).zip(chosen) {
            let state = self.reader.company_states().read(*company).await?;
            if state.is_none_or(|state| state.erased_at.is_some()) {
                return Err(ExportError::NoCompany(*company));
            }
            let users = self.company(*company).await?;
            if with_credentials {
                self.users.extend(users);
            }
            progress(done, total);
        }
        Ok(total)
    }

    async fn all(&mut self, progress: &mut Progress<'_>) -> Result<u64, ExportError> {
        let (directory, filter) = (self.reader.company_directory(), CompanyFilter::default());
        let total = directory.count(&filter, MOST).await?;
        let (mut after, mut done) = (None, 0);
        loop {
            let page = directory.list(&filter, CompanyOrder::Id, after.as_ref(), PAGE as u64).await?;
            let Some(last) = page.last() else { return Ok(done) };
            after = Some(CompanyPosition { name: None, id: last.id });
            for company in page {
                self.company(company.id).await?;
                done += 1;
                progress(done, total);
            }
        }
    }

    /// Exports a company, and returns its users.
    async fn company(&mut self, company: CompanyId) -> Result<Vec<UserId>, ExportError> {
        let content = content_of(self.reader, company).await?;
        let users: BTreeSet<_> =
            content.holders.keys().copied().chain(content.profiles.iter().map(|profile| profile.user_id)).collect();
        let users: Vec<_> = users.into_iter().collect();
        let mut external_ids: BTreeSet<ExternalId> = BTreeSet::new();
        for page in users.chunks(PAGE) {
            let known = self.reader.users().find(page).await?;
            external_ids.extend(known.into_iter().filter_map(|user| user.external_id));
        }
        company::write(&mut self.out, content, external_ids.into_iter().collect())?;
        self.records(Some(company)).await?;
        self.out.end()?;
        Ok(users)
    }

    /// Exports the audit log of a company or of the platform, newest records first.
    async fn records(&mut self, owner: Option<CompanyId>) -> Result<(), ExportError> {
        let mut after = None;
        loop {
            let logs = self.reader.audit_logs();
            let page = logs.list_for_company(owner, &AuditFilter::default(), after, RECORDS).await?;
            let Some(last) = page.records.last() else { return Ok(()) };
            after = Some(AuditCursor { timestamp: last.timestamp, id: last.id });
            for record in page.records {
                self.out.line(&Line::Record(record.into()))?;
            }
            if !page.has_more {
                return Ok(());
            }
        }
    }

    async fn credentials(&mut self, companies: Option<&BTreeSet<CompanyId>>) -> Result<(), ExportError> {
        let mut all = self.reader.credentials().changes_since(0).await?;
        all.api_keys.sort_unstable_by_key(|(key, _)| key.id);
        all.cutoffs.sort_unstable();
        self.out.line(&Line::Credentials {})?;
        for (key, digest) in all.api_keys {
            let is_chosen = |chosen: &BTreeSet<_>| key.company_id.is_some_and(|company| chosen.contains(&company));
            if companies.is_none_or(is_chosen) {
                self.out.line(&Line::ApiKey((key, digest).into()))?;
            }
        }
        for (user, not_before) in all.cutoffs {
            if companies.is_none() || self.users.contains(&user) {
                self.out.line(&Line::CutOff(CutOffRow { user, not_before: Moment(not_before) }))?;
            }
        }
        Ok(self.out.end()?)
    }
}

/// Returns the content of a company.
pub(crate) async fn content_of(reader: &dyn Reader, company: CompanyId) -> iam_storage::Result<CompanyContent> {
    let copy = reader.snapshots().load_copy(company).await?.value;
    Ok(CompanyContent::new(copy, reader.user_profiles().find_all(company).await?))
}
