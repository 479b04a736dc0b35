//! Checks whether the statements of this release can run on the schema of a newer release.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr};

use crate::Migrator;
use crate::error::MigrationError;
use crate::session::{Records, begin};

/// A statement, with the types of its parameters as a list in parentheses.
pub(crate) type TypedStatement = (&'static str, &'static str);

/// Checks that the server can parse all `statements`: all tables and columns that they name exist and have matching
/// types. No statement is executed. `unknown` contains the names of the migrations of the newer release, for the error.
pub(crate) async fn check(
    db: &DatabaseConnection,
    statements: &[TypedStatement],
    unknown: &[String],
) -> Result<(), MigrationError> {
    let tx = begin::<Migrator>(db, Records::Optional).await?;
    for (types, sql) in statements {
        let prepare = format!("PREPARE iam_compatibility {types} AS {sql}; DEALLOCATE iam_compatibility");
        if let Err(error) = tx.execute_unprepared(&prepare).await {
            return Err(match rejection(&error) {
                Some(problem) => MigrationError::Incompatible { unknown: unknown.to_vec(), problem, source: error },
                None => error.into(),
            });
        }
    }
    tx.rollback().await.map_err(Into::into)
}

/// Returns the server's message if it rejected the statement itself: SQLSTATE class 42, syntax error or access rule
/// violation.
fn rejection(error: &DbErr) -> Option<String> {
    let DbErr::Exec(RuntimeErr::SqlxError(error)) = error else { return None };
    let answer = error.as_database_error()?;
    answer.code()?.starts_with("42").then(|| answer.message().to_owned())
}
