//! Test cases for user levels.

use std::sync::Arc;

use iam_domain::{Description, UserLevel, UserLevelId};

use super::fixtures::{at, change, given, given_all, holding, keys, level, name, some_company, some_user};
use super::outcomes::{assert_conflict, assert_not_found};
use crate::{Constraint, Storage};

/// A created level is returned by id, by name, and in the list.
pub async fn a_level_is_read_as_created(storage: Arc<dyn Storage>) {
    let company = some_company();
    let made = UserLevel {
        description: Description::parse("Sees \"all\"").unwrap(),
        is_default: true,
        ..level(company, "Admin")
    };
    given(&storage, &[&made]).await;

    let levels = storage.reader().user_levels();
    assert_eq!(levels.find_by_id(company, made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(levels.find_by_name(company, "Admin").await.unwrap(), Some(made.clone()));
    assert_eq!(levels.find_all(company).await.unwrap(), [made]);
}

/// An unknown level is not found, and the list of a company without levels is empty.
pub async fn an_unknown_level_is_not_found(storage: Arc<dyn Storage>) {
    let company = some_company();
    let levels = storage.reader().user_levels();
    assert_eq!(levels.find_by_id(company, UserLevelId::generate(at(0))).await.unwrap(), None);
    assert_eq!(levels.find_by_name(company, "Admin").await.unwrap(), None);
    assert_eq!(levels.find_all(company).await.unwrap(), []);
}

/// An update returns the previous level and replaces all fields except the id and the creation time.
pub async fn an_update_of_a_level_keeps_the_creation_time(storage: Arc<dyn Storage>) {
    let company = some_company();
    let old = level(company, "Old");
    given(&storage, &[&old]).await;

    let new = UserLevel {
        name: name("New"),
        description: Description::parse("renamed").unwrap(),
        is_default: true,
        created_at: at(50),
        updated_at: at(60),
        ..old.clone()
    };
    let before = change!(storage, company, tx => tx.user_levels_mut().update(&new)).unwrap();

    assert_eq!(before, old);
    let levels = storage.reader().user_levels();
    let expected = UserLevel { created_at: old.created_at, ..new };
    assert_eq!(levels.find_by_id(company, old.id).await.unwrap(), Some(expected));
    assert_eq!(levels.find_by_name(company, "Old").await.unwrap(), None);
}

/// A deletion returns the deleted level. Later look-ups return nothing.
pub async fn a_level_is_deleted(storage: Arc<dyn Storage>) {
    let company = some_company();
    let gone = level(company, "Gone");
    given(&storage, &[&gone]).await;

    let before = change!(storage, company, tx => tx.user_levels_mut().delete(company, gone.id)).unwrap();

    assert_eq!(before, gone);
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), []);
}

/// Updating or deleting an unknown level returns `NotFound` and stores nothing.
pub async fn a_level_that_does_not_exist_cannot_be_changed(storage: Arc<dyn Storage>) {
    let company = some_company();
    let missing = level(company, "Missing");
    assert_not_found(change!(storage, company, tx => tx.user_levels_mut().update(&missing)));
    assert_not_found(change!(storage, company, tx => tx.user_levels_mut().delete(company, missing.id)));
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), []);
}

/// Levels are sorted by the bytes of their names, regardless of the order of creation.
pub async fn levels_are_ordered_by_name(storage: Arc<dyn Storage>) {
    let company = some_company();
    let names = ["a", "ä", "B", "Z", "aa", "A", "z"];
    given_all(&storage, &names.map(|text| level(company, text))).await;

    let listed = storage.reader().user_levels().find_all(company).await.unwrap();
    assert_eq!(keys(&listed, |level| level.name.to_string()), ["A", "B", "Z", "a", "aa", "z", "ä"]);
}

/// The name of a level is unique in its company, on creation and on update. Another company may use the same name.
pub async fn a_level_name_is_unique_in_its_company(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let (admin, member) = (level(company, "Admin"), level(company, "Member"));
    given(&storage, &[&admin, &member, &level(other, "Admin")]).await;

    let again = level(company, "Admin");
    let made = change!(storage, company, tx => tx.user_levels_mut().create(&again));
    assert_conflict(made, Constraint::UserLevelName);

    let renamed = UserLevel { name: name("Admin"), ..member.clone() };
    let outcome = change!(storage, company, tx => tx.user_levels_mut().update(&renamed));
    assert_conflict(outcome, Constraint::UserLevelName);

    let levels = storage.reader().user_levels();
    assert_eq!(levels.find_all(company).await.unwrap(), [admin, member]);
    assert_eq!(levels.find_all(other).await.unwrap().len(), 1);
}

/// A level can be updated without changing its name. After the level is deleted, its name can be reused.
pub async fn a_level_may_keep_its_name_and_a_deleted_name_can_be_reused(storage: Arc<dyn Storage>) {
    let company = some_company();
    let admin = level(company, "Admin");
    given(&storage, &[&admin]).await;

    let described = UserLevel { description: Description::parse("described").unwrap(), ..admin.clone() };
    change!(storage, company, tx => tx.user_levels_mut().update(&described)).unwrap();
    change!(storage, company, tx => tx.user_levels_mut().delete(company, admin.id)).unwrap();
    let again = level(company, "Admin");
    change!(storage, company, tx => tx.user_levels_mut().create(&again)).unwrap();

    assert_eq!(storage.reader().user_levels().find_by_name(company, "Admin").await.unwrap(), Some(again));
}

/// A name can be reused within the unit of work that renames its level, so two levels can swap their names.
pub async fn levels_can_swap_names_in_one_unit_of_work(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (one, other) = (level(company, "One"), level(company, "Other"));
    given(&storage, &[&one, &other]).await;
    let renamed = |level: &UserLevel, text: &str| UserLevel { name: name(text), ..level.clone() };

    let steps = [renamed(&one, "Between"), renamed(&other, "One"), renamed(&one, "Other")];
    change!(storage, company, tx => async {
        for step in &steps {
            tx.user_levels_mut().update(step).await?;
        }
        Ok(())
    })
    .unwrap();

    let levels = storage.reader().user_levels();
    assert_eq!(levels.find_by_name(company, "One").await.unwrap().unwrap().id, other.id);
    assert_eq!(levels.find_by_name(company, "Other").await.unwrap().unwrap().id, one.id);
}

/// The id of a level is unique, both within a company and across companies.
pub async fn a_level_id_is_unique(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let first = level(company, "First");
    given(&storage, &[&first]).await;

    let second = UserLevel { id: first.id, ..level(company, "Second") };
    assert_conflict(change!(storage, company, tx => tx.user_levels_mut().create(&second)), Constraint::Duplicate);
    let foreign = UserLevel { id: first.id, ..level(other, "Foreign") };
    assert_conflict(change!(storage, other, tx => tx.user_levels_mut().create(&foreign)), Constraint::Duplicate);

    assert_eq!(storage.reader().user_levels().find_by_id(company, first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(storage.reader().user_levels().find_by_id(other, first.id).await.unwrap(), None);
}

/// A level cannot be deleted while a user holds it.
pub async fn an_assigned_level_cannot_be_deleted(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let held = level(company, "Held");
    given(&storage, &[&held, &holding(user, &held)]).await;

    let refused = change!(storage, company, tx => tx.user_levels_mut().delete(company, held.id));
    assert_conflict(refused, Constraint::UserLevelAssigned);
    assert_eq!(storage.reader().user_levels().find_by_id(company, held.id).await.unwrap(), Some(held.clone()));

    change!(storage, company, tx => tx.assignments_mut().remove(company, user, held.id)).unwrap();
    change!(storage, company, tx => tx.user_levels_mut().delete(company, held.id)).unwrap();
    assert_eq!(storage.reader().user_levels().find_by_id(company, held.id).await.unwrap(), None);
}

/// A company cannot read, update or delete another company's level by its id. Look-ups by name and lists do not return
/// it.
pub async fn levels_of_two_companies_are_separate(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (some_company(), some_company());
    let (admin, foreign) = (level(mine, "Admin"), level(theirs, "Boss"));
    given(&storage, &[&admin, &foreign]).await;

    let levels = storage.reader().user_levels();
    assert_eq!(levels.find_by_id(mine, foreign.id).await.unwrap(), None);
    assert_eq!(levels.find_by_name(mine, "Boss").await.unwrap(), None);
    assert_eq!(levels.find_all(mine).await.unwrap(), [admin]);

    let taken = UserLevel { company_id: mine, ..foreign.clone() };
    assert_not_found(change!(storage, mine, tx => tx.user_levels_mut().update(&taken)));
    assert_not_found(change!(storage, mine, tx => tx.user_levels_mut().delete(mine, foreign.id)));
    assert_eq!(levels.find_all(theirs).await.unwrap(), [foreign]);
}

/// Several companies can have a level of the same name. Each company lists only its own level.
pub async fn level_names_of_two_companies_may_be_equal(storage: Arc<dyn Storage>) {
    let companies = [(); 5].map(|()| some_company());
    let admins: Vec<_> = companies.iter().map(|company| level(*company, "Admin")).collect();
    given_all(&storage, &admins).await;

    for (company, admin) in companies.iter().zip(admins) {
        assert_eq!(storage.reader().user_levels().find_all(*company).await.unwrap(), [admin]);
    }
}
