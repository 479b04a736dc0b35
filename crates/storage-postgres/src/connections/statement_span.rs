//! The spans of statements.

use std::borrow::Cow;

use iam_traces::{KeyValue, SpanKind, Traced, child, traced};
use sea_orm::sqlx;

use crate::operation;

/// The first words of statements. Any other statement has the name [`OTHER`], so that the number of names is bounded.
const VERBS: [&str; 12] =
    ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "SET", "LOCK", "NOTIFY", "LISTEN"];

/// The name of statements whose first word is unknown.
const OTHER: &str = "statement";

/// Executes a statement within a span, whose name is the first word of the statement. Its attributes name the storage
/// operation. They contain neither the statement nor its values.
pub(crate) fn in_span<T, F: Future<Output = sqlx::Result<T>>>(sql: &str, call: F) -> Traced<F, sqlx::Result<T>> {
    let verb = sql.split_whitespace().next().and_then(|word| VERBS.into_iter().find(|verb| *verb == word));
    let attributes = || {
        let mut attributes = vec![
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.query.summary", operation::current()),
        ];
        attributes.extend(verb.map(|verb| KeyValue::new("db.operation.name", verb)));
        attributes
    };
    traced(child(verb.unwrap_or(OTHER), SpanKind::Client, attributes), call, failure)
}

/// Returns the SQLSTATE of an error, or the kind of a failure to obtain a response.
fn failure<T>(outcome: &sqlx::Result<T>) -> Option<Cow<'static, str>> {
    Some(match outcome.as_ref().err()? {
        sqlx::Error::RowNotFound => return None,
        sqlx::Error::Database(error) => error.code().map_or("database".into(), |code| code.into_owned().into()),
        sqlx::Error::Io(error) => error.kind().to_string().into(),
        _ => "driver".into(),
    })
}
