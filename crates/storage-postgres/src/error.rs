//! Maps database errors to [`StorageError`], by SQLSTATE and by constraint *name*, never by message text. No other
//! module maps database errors.

use std::borrow::Cow;
use std::sync::Arc;

use iam_domain::EntityType;
use iam_storage::{Constraint, StorageError};
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{DbErr, RuntimeErr, sqlx};
use uuid::Uuid;

use crate::connections::reachability;

/// The meaning of a named constraint in the storage contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A unique key. A violation means that another row already has the same key.
    Unique(Constraint),
    /// A foreign key. When a row is written, a violation means that the row refers to an entity of type `missing` that
    /// does not exist. When a row is deleted, a violation means that other rows still refer to the deleted row. The
    /// statement then fails with the conflict `in_use`.
    Reference { missing: EntityType, in_use: Option<Constraint> },
}

const fn reference(missing: EntityType) -> Rule {
    Rule::Reference { missing, in_use: None }
}

const fn restricting(missing: EntityType, in_use: Constraint) -> Rule {
    Rule::Reference { missing, in_use: Some(in_use) }
}

/// Returns the rule that a constraint of the schema enforces. Primary keys, and unique keys without a rule of their
/// own, map to [`Constraint::Duplicate`].
fn rule(constraint: &str) -> Option<Rule> {
    Some(match constraint {
        "views_url_key" => Rule::Unique(Constraint::ViewUrl),
        "modules_code_key" => Rule::Unique(Constraint::ModuleCode),
        "features_key_key" => Rule::Unique(Constraint::FeatureKey),
        "user_levels_company_id_name_key" => Rule::Unique(Constraint::UserLevelName),
        "menu_items_view_id_fkey" | "sub_menu_items_view_id_fkey" => {
            restricting(EntityType::View, Constraint::ViewInMenu)
        }
        "menu_items_feature_id_fkey" | "sub_menu_items_feature_id_fkey" => {
            restricting(EntityType::Feature, Constraint::FeatureInMenu)
        }
        "user_user_levels_company_id_user_level_id_fkey" => {
            restricting(EntityType::UserLevel, Constraint::UserLevelAssigned)
        }
        "ulvp_company_id_user_level_id_fkey" | "ulfp_company_id_user_level_id_fkey" => reference(EntityType::UserLevel),
        "sub_menu_items_menu_item_id_fkey" => reference(EntityType::Menu),
        "feature2views_view_id_fkey"
        | "module2views_view_id_fkey"
        | "ulvp_view_id_fkey"
        | "nav_trail_view_id_fkey"
        | "evp_view_id_fkey" => reference(EntityType::View),
        "feature2views_feature_id_fkey"
        | "module2features_feature_id_fkey"
        | "ulfp_feature_id_fkey"
        | "efp_feature_id_fkey" => reference(EntityType::Feature),
        "module2views_module_id_fkey" | "module2features_module_id_fkey" | "company2modules_module_id_fkey" => {
            reference(EntityType::Module)
        }
        name if name.ends_with("_pkey") || name.ends_with("_key") => Rule::Unique(Constraint::Duplicate),
        _ => return None,
    })
}

/// The kind of operation that a failed statement performed. It determines the meaning of a foreign-key violation. If
/// the statement wrote rows, a referenced row does not exist. If the statement deleted rows, other rows still refer to
/// the deleted rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation<'a> {
    /// The statement writes rows that refer to these entities.
    Write(&'a [(EntityType, Option<Uuid>)]),
    /// The statement deletes rows.
    Delete,
}

/// Maps the error of a statement for which no referenced entities are known.
pub(crate) fn from_db(error: DbErr) -> StorageError {
    operation_error(Operation::Write(&[]), error)
}

/// Maps the error of a statement that performed `operation`.
pub(crate) fn operation_error(operation: Operation<'_>, error: DbErr) -> StorageError {
    if let Some((code, constraint)) = violation(&error)
        && let Some(rule) = constraint.and_then(rule)
    {
        match (rule, code, operation) {
            (Rule::Unique(constraint), "23505", _)
            | (Rule::Reference { in_use: Some(constraint), .. }, "23503" | "23001", Operation::Delete) => {
                return StorageError::conflict(constraint);
            }
            (Rule::Reference { missing, .. }, "23503", Operation::Write(references)) => {
                let mut ids: Vec<Uuid> =
                    references.iter().filter(|(entity, _)| *entity == missing).filter_map(|(_, id)| *id).collect();
                ids.sort_unstable();
                ids.dedup();
                return StorageError::Unknown { entity: missing, ids };
            }
            _ => {}
        }
    }
    by_sqlstate(error)
}

/// Returns `true` if the statement failed because another session holds a lock that the statement needs (at once with
/// `NOWAIT`, otherwise after the lock timeout).
pub(crate) fn is_lock_not_available(error: &DbErr) -> bool {
    code(error).as_deref() == Some("55P03")
}

/// Returns `true` if the statement violated a foreign key.
pub(crate) fn is_foreign_key_violation(error: &DbErr) -> bool {
    code(error).as_deref() == Some("23503")
}

/// Returns `true` if the statement failed because the role lacks a privilege.
pub(crate) fn is_forbidden(error: &DbErr) -> bool {
    code(error).as_deref() == Some("42501")
}

/// Returns `true` if the server has cancelled a read: after a timeout, or, on a standby, in order to replay a change.
pub(crate) fn is_cancelled(error: &DbErr) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "57014"))
}

/// Returns `true` if the database does not support a statement, or does not permit it to the role.
pub(crate) fn is_unsupported(error: &DbErr) -> bool {
    // undefined_function, undefined_table, undefined_column, feature_not_supported
    let is_missing = matches!(code(error).as_deref(), Some("42883" | "42P01" | "42703" | "0A000"));
    (is_missing && !is_outdated(error)) || is_forbidden(error)
}

/// Returns `true` if the error shows that the connection is outdated although its server responds. There are three
/// causes: the schema changed, and with it the result types of a prepared statement; a pooler switched to a server
/// session with other prepared statements; or the server has become read-only. In each case nothing was committed.
pub(crate) fn is_outdated(error: &DbErr) -> bool {
    match code(error).as_deref() {
        // feature_not_supported has many causes. The server routine `RevalidateCachedQuery` raises it for one cause:
        // the result type of a cached plan would change.
        Some("0A000") => routine(error) == Some("RevalidateCachedQuery"),
        // invalid_sql_statement_name, duplicate_prepared_statement, read_only_sql_transaction
        Some("26000" | "42P05" | "25006") => true,
        _ => false,
    }
}

/// Returns `true` if the statement, or the transaction that contains it, can be retried at once because nothing was
/// committed.
pub(crate) fn is_retryable(error: &DbErr) -> bool {
    // serialization_failure, deadlock_detected
    matches!(code(error).as_deref(), Some("40001" | "40P01")) || is_outdated(error)
}

/// Maps an error by its SQLSTATE, if no rule for a constraint applies.
fn by_sqlstate(error: DbErr) -> StorageError {
    if let Some(why) = reported(&error).and_then(reachability::reason) {
        return StorageError::Unavailable { retryable: false, source: Some(Box::new(Arc::clone(why))) };
    }
    let retryable = match code(&error).as_deref() {
        _ if is_retryable(&error) => Some(true),
        // in_failed_sql_transaction
        Some("25P02") => return StorageError::Misuse("an earlier operation failed"),
        // lock_not_available, query_canceled, idle_in_transaction_session_timeout
        Some("55P03" | "57014" | "25P03") => Some(false),
        // insufficient_privilege, undefined_table, undefined_column, undefined_function, undefined_object: the schema
        // lacks an object, or the role lacks a privilege. A restore may be in progress, or an operator must correct the
        // schema or the privileges.
        Some("42501" | "42P01" | "42703" | "42883" | "42704") => Some(false),
        // The SQLSTATE classes connection exception, invalid authorization specification, invalid catalog name, invalid
        // schema name, insufficient resources, operator intervention
        Some(code) if ["08", "28", "3D", "3F", "53", "57P"].iter().any(|class| code.starts_with(class)) => Some(false),
        _ if is_connection_error(&error) => Some(false),
        _ => None,
    };
    match retryable {
        Some(retryable) => StorageError::Unavailable { retryable, source: Some(Box::new(error)) },
        None => {
            let what = match violation(&error) {
                Some((code, Some(constraint))) => format!("the database reported SQLSTATE {code} ({constraint})"),
                Some((code, None)) => format!("the database reported SQLSTATE {code}"),
                None => "the response of the database cannot be interpreted".to_owned(),
            };
            StorageError::Corrupt { what, source: Some(Box::new(error)) }
        }
    }
}

/// Returns the driver's error.
fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    reported(error).map(reachability::original)
}

/// Returns the driver's error, possibly with the address of the database.
fn reported(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    driver(error)?.as_database_error()?.code()
}

/// Returns the name of the server routine that raised the error.
fn routine(error: &DbErr) -> Option<&str> {
    driver(error)?.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.routine()
}

/// Returns the SQLSTATE of a server error, and the violated constraint, if any.
fn violation(error: &DbErr) -> Option<(&str, Option<&str>)> {
    let error = driver(error)?.as_database_error()?;
    match error.code()? {
        Cow::Borrowed(code) => Some((code, error.constraint())),
        Cow::Owned(_) => None,
    }
}

/// Returns `true` if a statement received no response in time, or if no connection became available in time.
pub(crate) fn is_timeout(error: &DbErr) -> bool {
    match driver(error) {
        Some(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::TimedOut,
        Some(sqlx::Error::PoolTimedOut) => true,
        _ => matches!(error, DbErr::ConnectionAcquire(_)),
    }
}

/// Returns `true` if an open connection broke before the response arrived.
pub(crate) fn is_lost_connection(error: &DbErr) -> bool {
    let is_broken = |error: &sqlx::Error| match error {
        // A timeout does not count as a lost connection, because a retry would double the wait.
        sqlx::Error::Io(error) => error.kind() != std::io::ErrorKind::TimedOut,
        sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        _ => false,
    };
    let is_ended = |code: Cow<'_, str>| code.starts_with("57P") || code.starts_with("08");
    driver(error).is_some_and(is_broken) || code(error).is_some_and(is_ended)
}

fn is_connection_error(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        _ => driver(error).is_some_and(|error| {
            matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::BeginFailed
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt;

    use sea_orm::ConnAcquireErr;
    use sea_orm::sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// A server error with an SQLSTATE and possibly a constraint.
    #[derive(Debug)]
    struct Answer {
        code: &'static str,
        constraint: Option<&'static str>,
    }

    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("in any language")
        }
    }

    impl Error for Answer {}

    impl DatabaseError for Answer {
        fn message(&self) -> &str {
            "in any language"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(Cow::Borrowed(self.code))
        }

        fn constraint(&self) -> Option<&str> {
            self.constraint
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn exec(error: sqlx::Error) -> DbErr {
        DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
    }

    fn answer(code: &'static str, constraint: Option<&'static str>) -> DbErr {
        exec(sqlx::Error::Database(Box::new(Answer { code, constraint })))
    }

    #[test]
    fn unique_constraints_are_distinguished_by_name() {
        for (name, expected) in [
            ("views_url_key", Constraint::ViewUrl),
            ("modules_code_key", Constraint::ModuleCode),
            ("features_key_key", Constraint::FeatureKey),
            ("user_levels_company_id_name_key", Constraint::UserLevelName),
            ("views_pkey", Constraint::Duplicate),
            ("ulvp_company_id_user_level_id_view_id_key", Constraint::Duplicate),
        ] {
            let mapped = from_db(answer("23505", Some(name)));
            assert!(
                matches!(mapped, StorageError::Conflict { constraint } if constraint == expected),
                "{name}: {mapped}"
            );
        }
    }

    #[test]
    fn a_foreign_key_means_unknown_when_writing_and_conflict_when_deleting() {
        let id = Uuid::from_u128(7);
        let error = || answer("23503", Some("menu_items_view_id_fkey"));
        let references = [(EntityType::Feature, Some(Uuid::nil())), (EntityType::View, Some(id))];
        let mapped = operation_error(Operation::Write(&references), error());
        assert!(matches!(mapped, StorageError::Unknown { entity: EntityType::View, ids } if ids == [id]));
        for code in ["23503", "23001"] {
            let mapped = operation_error(Operation::Delete, answer(code, Some("menu_items_view_id_fkey")));
            assert!(matches!(mapped, StorageError::Conflict { constraint: Constraint::ViewInMenu }));
        }
    }

    #[test]
    fn an_unsupported_feature_is_not_an_outdated_plan() {
        assert!(!is_outdated(&answer("0A000", None)));
        assert!(matches!(from_db(answer("0A000", None)), StorageError::Corrupt { .. }));
    }

    #[test]
    fn only_errors_that_rolled_back_are_retryable() {
        for code in ["40001", "40P01", "26000", "42P05", "25006"] {
            assert!(from_db(answer(code, None)).is_retryable(), "{code}");
        }
        for code in ["55P03", "57014", "57P01", "57P03", "08006", "53300", "42P01", "42703", "42501", "3D000", "28P01"]
        {
            let mapped = from_db(answer(code, None));
            assert!(matches!(mapped, StorageError::Unavailable { retryable: false, .. }), "{code}: {mapped}");
        }
        for error in [
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            DbErr::Conn(RuntimeErr::Internal("x".to_owned())),
            exec(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())),
            exec(sqlx::Error::WorkerCrashed),
        ] {
            let mapped = from_db(error);
            assert!(matches!(mapped, StorageError::Unavailable { retryable: false, .. }), "{mapped}");
        }
    }

    #[test]
    fn an_error_with_the_address_of_the_database_has_the_same_kind() {
        let io = |kind: std::io::ErrorKind| sqlx::Error::Io(kind.into());
        let server = |code| sqlx::Error::Database(Box::new(Answer { code, constraint: None }));
        let errors: [&dyn Fn() -> sqlx::Error; 5] = [
            &|| io(std::io::ErrorKind::ConnectionReset),
            &|| io(std::io::ErrorKind::TimedOut),
            &|| sqlx::Error::Protocol("expected to read 5 bytes, got 0 bytes at EOF".to_owned()),
            &|| server("57P01"),
            &|| server("25P03"),
        ];
        for error in errors {
            for add_address in [reachability::lost, reachability::not_opened] {
                let (plain, addressed) = (exec(error()), exec(add_address("db:5432, database iam", error())));
                assert_eq!(code(&plain), code(&addressed));
                assert_eq!(is_timeout(&plain), is_timeout(&addressed), "{plain}");
                assert_eq!(is_lost_connection(&plain), is_lost_connection(&addressed), "{plain}");
                let StorageError::Unavailable { retryable: false, source: Some(source) } = from_db(addressed) else {
                    panic!("{plain}")
                };
                assert!(source.to_string().ends_with(" (db:5432, database iam)"), "{source}");
                assert!(source.source().is_some());
            }
        }
    }

    #[test]
    fn every_other_error_is_corrupt_with_its_source() {
        for error in [
            answer("42601", None),
            answer("23514", Some("modules_priority_check")),
            answer("23505", Some("somebody_elses_index")),
            answer("23503", Some("views_url_key")),
            exec(sqlx::Error::ColumnNotFound("x".to_owned())),
        ] {
            let mapped = from_db(error);
            assert!(matches!(mapped, StorageError::Corrupt { source: Some(_), .. }), "{mapped}");
        }
    }

    #[test]
    fn a_statement_in_a_failed_transaction_is_misuse() {
        assert!(matches!(from_db(answer("25P02", None)), StorageError::Misuse(_)));
    }
}
