//! Test cases for replacing a whole set. A replace operation is atomic, even if other operations read or replace the
//! set concurrently.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{Feature, FeaturePermission, Scope, ViewPermission, ViewState};
use uuid::Uuid;

use super::concurrency::{at_once, while_reading};
use super::fixtures::{
    action, at, change, change_with_retries, feature_cell, given, given_all, keys, level, some_company, some_feature,
    some_view, versions, view_cell,
};
use super::outcomes::{assert_conflict, assert_unknown};
use super::sets::{Scene, scenes};
use crate::{Constraint, Storage};

fn set(elements: &[Uuid]) -> BTreeSet<Uuid> {
    elements.iter().copied().collect()
}

/// Replaces the elements of a set, and checks that the set then contains exactly the requested elements.
async fn replaced(storage: &Arc<dyn Storage>, Scene { set: kept, .. }: &Scene, wanted: &[Uuid]) {
    change!(*storage, kept.target(), tx => kept.replace(tx, wanted)).unwrap();
    assert_eq!(kept.read(storage.reader()).await, set(wanted), "{kept:?}");
}

/// After a replace operation, the set contains exactly the requested elements. The requested set may be larger,
/// smaller, different, unchanged or empty.
pub async fn a_replaced_set_is_exactly_the_requested_set(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let elements = &scene.elements;
        for wanted in
            [&[][..], &elements[..2], &elements[1..4], &elements[4..], elements, elements, &elements[..1], &[]]
        {
            replaced(&storage, &scene, wanted).await;
        }
    }
}

/// Replacing a set with the same elements changes nothing: it increments no version and writes no audit record.
pub async fn replacing_a_set_with_itself_is_no_change(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let elements = &scene.elements[..3];
        replaced(&storage, &scene, elements).await;
        let company = scene.set.target().company();
        let before = versions(&storage, company).await;
        replaced(&storage, &scene, elements).await;
        let reversed: Vec<_> = elements.iter().rev().copied().collect();
        replaced(&storage, &scene, &reversed).await;
        assert_eq!(versions(&storage, company).await, before, "{:?}", scene.set);
    }
}

/// A replace operation changes the set of one owner (a feature, module, company, user or level). It does not change the
/// sets of other owners.
pub async fn a_replacement_leaves_other_sets_unchanged(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let neighbour = &scene.neighbour;
        let (theirs, mine) = (&scene.elements[..3], &scene.elements[2..]);
        change!(storage, neighbour.target(), tx => neighbour.replace(tx, theirs)).unwrap();
        replaced(&storage, &scene, mine).await;
        assert_eq!(neighbour.read(storage.reader()).await, set(theirs), "{neighbour:?}");
        replaced(&storage, &scene, &[]).await;
        assert_eq!(neighbour.read(storage.reader()).await, set(theirs), "{neighbour:?}");
    }
}

/// A replace operation with unknown ids returns `Unknown` with all unknown ids in ascending order, and does not change
/// the set.
pub async fn the_error_of_a_replacement_contains_all_unknown_ids(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let there = &scene.elements[..2];
        replaced(&storage, &scene, there).await;
        let unknown = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
        let wanted = [unknown[0], scene.elements[3], unknown[1], scene.elements[0], unknown[2]];
        let outcome = change!(storage, scene.set.target(), tx => scene.set.replace(tx, &wanted));
        assert_unknown(outcome, scene.set.kind(), unknown);
        assert_eq!(scene.set.read(storage.reader()).await, set(there), "{:?}", scene.set);
    }
}

/// Replacing the set of an unknown owner returns `Unknown`, even if the new set is empty.
pub async fn the_error_of_a_replacement_contains_an_unknown_owner(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let Some((with_unknown_owner, kind, owner)) = scene.set.with_unknown_owner() else { continue };
        for wanted in [&scene.elements[..1], &[]] {
            let outcome = change!(storage, with_unknown_owner.target(), tx => with_unknown_owner.replace(tx, wanted));
            assert_unknown(outcome, kind, [owner]);
        }
    }
}

/// A replace operation ignores duplicate elements in the request. For a matrix, two cells with the same position cause
/// a `Conflict`.
pub async fn duplicates_are_ignored_in_sets_and_rejected_in_matrices(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let kept = &scene.set;
        let [one, other, ..] = scene.elements[..] else { panic!("expected six elements") };
        if kept.is_matrix() {
            replaced(&storage, &scene, &[one]).await;
            let outcome = change!(storage, kept.target(), tx => kept.replace(tx, &[one, other, one]));
            assert_conflict(outcome, Constraint::Duplicate);
            assert_eq!(kept.read(storage.reader()).await, set(&[one]), "{kept:?}");
        } else {
            replaced(&storage, &scene, &[one, other, one]).await;
        }
    }
}

/// A replace operation sees the earlier changes of its own unit of work.
pub async fn a_replacement_sees_earlier_writes_of_its_unit_of_work(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let kept = &scene.set;
        let [one, other, third, ..] = scene.elements[..] else { panic!("expected six elements") };
        let seen = change!(storage, kept.target(), tx => async {
            kept.replace(tx, &[one, other]).await?;
            kept.remove(tx, one).await?;
            kept.add(tx, third).await?;
            kept.replace(tx, &[third, one]).await?;
            Ok(kept.read(&*tx).await)
        });
        assert_eq!(seen.unwrap(), set(&[one, third]), "{kept:?}");
        assert_eq!(kept.read(storage.reader()).await, set(&[one, third]), "{kept:?}");
    }
}

/// If a unit of work reads a set, changes it, and then replaces it, the replace operation applies to the changed set,
/// not to the set that was read. The sets of other owners are not changed.
pub async fn a_replacement_sees_writes_after_a_read_in_its_unit_of_work(storage: Arc<dyn Storage>) {
    for scene in scenes(&storage).await {
        let Scene { set: kept, neighbour, .. } = &scene;
        let [one, other, third, fourth, ..] = scene.elements[..] else { panic!("expected six elements") };
        replaced(&storage, &scene, &[one, other]).await;
        change!(storage, neighbour.target(), tx => neighbour.replace(tx, &[fourth])).unwrap();
        let seen = change!(storage, kept.target(), tx => async {
            let mut seen = vec![kept.read(&*tx).await];
            kept.add(tx, third).await?;
            kept.replace(tx, &[one, other]).await?;
            seen.push(kept.read(&*tx).await);
            kept.replace(tx, &[third]).await?;
            kept.replace(tx, &[one]).await?;
            seen.push(kept.read(&*tx).await);
            if neighbour.target() == kept.target() {
                neighbour.replace(tx, &[one]).await?;
                seen.push(neighbour.read(&*tx).await);
                kept.replace(tx, &[one]).await?;
                seen.push(kept.read(&*tx).await);
            }
            Ok(seen)
        });
        let seen = seen.unwrap();
        assert_eq!(seen[..3], [set(&[one, other]), set(&[one, other]), set(&[one])], "{kept:?}");
        assert!(seen[3..].iter().all(|seen| *seen == set(&[one])), "{kept:?} {neighbour:?}");
        assert_eq!(kept.read(storage.reader()).await, set(&[one]), "{kept:?}");
    }
}

/// Checks that a replace operation is atomic: concurrent readers see either the old or the new elements, never a mix
/// and never an empty set.
async fn is_atomic(storage: Arc<dyn Storage>, kind: usize) {
    let Scene { set: kept, elements, .. } = scenes(&storage).await[kind].clone();
    let (one, other) = (elements[..3].to_vec(), elements[2..].to_vec());
    change!(storage, kept.target(), tx => kept.replace(tx, &one)).unwrap();

    let (writer, written) = (Arc::clone(&storage), kept.clone());
    let (odd, even) = (set(&one), set(&other));
    let write = async move {
        for round in 0..30 {
            let wanted = if round % 2 == 0 { &other } else { &one };
            change_with_retries!(writer, written.target(), tx => written.replace(tx, wanted)).unwrap();
            tokio::task::yield_now().await;
        }
    };
    while_reading(write, move || {
        let (storage, kept, odd, even) = (Arc::clone(&storage), kept.clone(), odd.clone(), even.clone());
        async move {
            let seen = kept.read(storage.reader()).await;
            assert!(
                seen == odd || seen == even,
                "a reader must not see a mix of old and new elements: {kept:?} with {seen:?}"
            );
        }
    })
    .await;
}

/// The views of a feature are replaced atomically.
pub async fn the_views_of_a_feature_are_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 0).await;
}

/// The views of a module are replaced atomically.
pub async fn the_views_of_a_module_are_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 1).await;
}

/// The features of a module are replaced atomically.
pub async fn the_features_of_a_module_are_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 2).await;
}

/// The modules of a company are replaced atomically.
pub async fn the_modules_of_a_company_are_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 3).await;
}

/// The levels of a user are replaced atomically.
pub async fn the_levels_of_a_user_are_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 4).await;
}

/// The view matrix of a level is replaced atomically.
pub async fn a_view_matrix_is_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 5).await;
}

/// The feature matrix of a level is replaced atomically.
pub async fn a_feature_matrix_is_replaced_atomically(storage: Arc<dyn Storage>) {
    is_atomic(storage, 6).await;
}

/// After two concurrent replace operations on a set, the set contains exactly the elements of one of them.
pub async fn two_concurrent_replacements_end_as_one_of_them(storage: Arc<dyn Storage>) {
    for Scene { set: kept, elements, .. } in scenes(&storage).await {
        let (one, other) = (elements[..3].to_vec(), elements[2..].to_vec());
        for _ in 0..4 {
            let replace = |wanted: &[Uuid]| {
                let (storage, kept, wanted) = (Arc::clone(&storage), kept.clone(), wanted.to_vec());
                async move { change_with_retries!(storage, kept.target(), tx => kept.replace(tx, &wanted)).unwrap() }
            };
            at_once(replace(&one), replace(&other)).await;
            let seen = kept.read(storage.reader()).await;
            assert!(
                seen == set(&one) || seen == set(&other),
                "the result must be that of one replace operation: {kept:?} with {seen:?}"
            );
        }
    }
}

/// A view cell that exists before and after a replace operation keeps its id and creation time. If its content does not
/// change, it also keeps `updated_at`.
pub async fn unchanged_view_cells_keep_their_ids(storage: Arc<dyn Storage>) {
    let company = some_company();
    let admin = level(company, "Admin");
    let views = [(); 4].map(|()| some_view());
    given_all(&storage, &views).await;
    given(&storage, &[&admin]).await;
    let mut old = views.each_ref().map(|view| view_cell(&admin, view.id, ViewState::Allow));
    old.sort_by_key(|cell| cell.view_id);
    let [same, changed, pinned, gone] = &old;
    given_all(&storage, &old).await;

    let again = |cell: &ViewPermission| {
        let fresh = view_cell(&admin, cell.view_id, cell.state);
        ViewPermission { created_at: at(900), updated_at: at(901), ..fresh }
    };
    let added = some_view();
    given(&storage, &[&added]).await;
    let new = [
        ViewPermission { modifiable: false, ..again(pinned) },
        view_cell(&admin, added.id, ViewState::Inherit),
        ViewPermission { state: ViewState::Deny, ..again(changed) },
        again(same),
    ];
    let matrix = storage.reader().view_permissions();
    change!(storage, company, tx => tx.view_permissions_mut().replace_for_user_level(company, admin.id, &new)).unwrap();

    let updated_at = at(901);
    let mut expected = vec![
        same.clone(),
        ViewPermission { state: ViewState::Deny, updated_at, ..changed.clone() },
        ViewPermission { modifiable: false, updated_at, ..pinned.clone() },
        new[1].clone(),
    ];
    expected.sort_by_key(|cell| cell.view_id);
    assert_eq!(matrix.find_by_user_level(company, admin.id).await.unwrap(), expected);
    assert_eq!(matrix.find(company, admin.id, gone.view_id).await.unwrap(), None);
}

/// A feature cell that exists before and after a replace operation keeps its id and creation time. If its content does
/// not change, it also keeps `updated_at`.
pub async fn unchanged_feature_cells_keep_their_ids(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, feature) = (level(company, "Admin"), some_feature());
    given(&storage, &[&feature, &admin]).await;
    let old = ["Approve", "Create", "Export", "Read", "Update"].map(|word| feature_cell(&admin, feature.id, word));
    let [same, denied, narrowed, pinned, _gone] = &old;
    given_all(&storage, &old).await;

    let updated_at = at(901);
    let again = |cell: &FeaturePermission| {
        let fresh = feature_cell(&admin, feature.id, cell.action.as_str());
        FeaturePermission { created_at: at(900), updated_at, ..fresh }
    };
    let new = [
        FeaturePermission { modifiable: false, ..again(pinned) },
        FeaturePermission { value: false, ..again(denied) },
        again(same),
        FeaturePermission { scope: Scope::Own, ..again(narrowed) },
        feature_cell(&admin, feature.id, "Publish"),
    ];
    change!(storage, company, tx => tx.feature_permissions_mut().replace_for_user_level(company, admin.id, &new))
        .unwrap();

    let expected = [
        same.clone(),
        FeaturePermission { value: false, updated_at, ..denied.clone() },
        FeaturePermission { scope: Scope::Own, updated_at, ..narrowed.clone() },
        new[4].clone(),
        FeaturePermission { modifiable: false, updated_at, ..pinned.clone() },
    ];
    let matrix = storage.reader().feature_permissions();
    assert_eq!(matrix.find_by_user_level(company, admin.id).await.unwrap(), expected);
}

/// Ten thousand cells can be replaced with ten thousand cells, of which half existed before. The matrix can then be
/// replaced with an empty matrix.
pub async fn ten_thousand_cells_are_replaced(storage: Arc<dyn Storage>) {
    let company = some_company();
    let admin = level(company, "Admin");
    let words: Vec<String> = (0..15_000).map(|n| format!("Action {n:05}")).collect();
    let feature = Feature { actions: Some(words.iter().map(action).collect()), ..some_feature() };
    given(&storage, &[&feature, &admin]).await;
    let matrix = storage.reader().feature_permissions();

    for wanted in [&words[..10_000], &words[5_000..], &[]] {
        let cells: Vec<_> = wanted.iter().map(|word| feature_cell(&admin, feature.id, word)).collect();
        change!(storage, company, tx => tx.feature_permissions_mut().replace_for_user_level(company, admin.id, &cells))
            .unwrap();
        let there = matrix.find_by_user_level(company, admin.id).await.unwrap();
        assert_eq!(keys(&there, |cell| cell.action.to_string()), wanted);
    }
}
