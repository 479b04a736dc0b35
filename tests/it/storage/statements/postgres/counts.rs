//! A counter of SQL statements per storage operation.

use std::collections::BTreeMap;

use iam_storage::{ChangeContext, Result, Storage, Target, UnitOfWork};
use iam_storage_postgres::PostgresStorage;

use crate::support::proxy::Proxy;

/// The number of SQL statements per storage operation, as observed by a proxy.
pub struct Counts<'a> {
    pub proxy: &'a Proxy,
    pub table: BTreeMap<&'static str, usize>,
}

impl Counts<'_> {
    /// Runs `work` and records the number of its SQL statements for this operation.
    pub async fn of<T>(&mut self, operation: &'static str, work: impl Future<Output = Result<T>>) -> T {
        let before = self.proxy.statements();
        let answer = work.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
        let counted = self.table.insert(operation, self.proxy.statements() - before);
        assert_eq!(counted, None, "{operation} must be counted only once");
        answer
    }
}

pub async fn begin(storage: &PostgresStorage, target: Target) -> Result<Box<dyn UnitOfWork>> {
    storage.begin(target, ChangeContext::command_line()).await
}
