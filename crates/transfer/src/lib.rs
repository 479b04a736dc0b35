//! Exports the data of a storage to a file, and imports such a file into any storage.
//!
//! The file is NDJSON: a header, then sections, then a manifest. Each section ends with the number and the SHA-256 of
//! its lines, and the manifest contains those of the whole file. `docs/moving.md` describes the format.
//!
//! * [`export`] reads one consistent [snapshot](iam_storage::Storage::snapshot). Its memory is bounded by the largest
//!   company.
//! * [`preview`] verifies a whole file and compares it with a storage. It changes nothing.
//! * [`import`] writes each company in one unit of work, and compares it again in this unit of work. So two imports at
//!   once, or an import after an interruption, write nothing twice.

mod catalog;
mod catalog_plan;
mod company;
mod credentials;
mod error;
mod export;
mod import;
mod lines;
mod moment;
mod options;
mod quotas;
mod reader;
mod references;
mod remap;
mod report;
mod rows;
mod writer;

pub use error::{ExportError, FileError, ImportError, Problem};
pub use export::{ExportOptions, Exported, Progress, export};
pub use import::{import, preview, read_header};
pub use lines::Header;
pub use options::{Ids, ImportOptions, OnConflict};
pub use report::{Finding, Outcome, Report};
