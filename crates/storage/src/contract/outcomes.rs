//! Assertions about the outcome of a change.

use std::collections::BTreeSet;
use std::fmt::Debug;

use iam_domain::EntityType;
use uuid::Uuid;

use crate::{Constraint, Result, StorageError};

/// Asserts that the change failed with `NotFound`.
pub(super) fn assert_not_found<T: Debug>(outcome: Result<T>) {
    assert!(matches!(outcome, Err(StorageError::NotFound)), "expected `NotFound`, got {outcome:?}");
}

/// Asserts that the change failed with `Conflict` because of this constraint.
pub(super) fn assert_conflict<T: Debug>(outcome: Result<T>, rule: Constraint) {
    match outcome {
        Err(StorageError::Conflict { constraint }) => assert_eq!(constraint, rule),
        other => panic!("expected a conflict with {rule:?}, got {other:?}"),
    }
}

/// Asserts that the change failed with `Unknown` and exactly these ids, in ascending order.
pub(super) fn assert_unknown<T: Debug>(outcome: Result<T>, kind: EntityType, unknown: impl IntoIterator<Item = Uuid>) {
    let unknown: Vec<Uuid> = unknown.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    match outcome {
        Err(StorageError::Unknown { entity, ids }) => assert_eq!((entity, ids), (kind, unknown)),
        other => panic!("expected unknown {kind} {unknown:?}, got {other:?}"),
    }
}

/// Asserts that the unit of work rejected the operation with `Misuse`.
pub(super) fn assert_misuse<T: Debug>(outcome: Result<T>) {
    assert!(matches!(outcome, Err(StorageError::Misuse(_))), "expected `Misuse`, got {outcome:?}");
}

/// Asserts that the write failed with `Stale`.
pub(super) fn assert_stale<T: Debug>(outcome: Result<T>) {
    assert!(matches!(outcome, Err(StorageError::Stale)), "expected `Stale`, got {outcome:?}");
}
