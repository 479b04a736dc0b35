//! Test cases for strings. Strings of every allowed length are stored unchanged, including the case of each character.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use iam_domain::{
    Action, Category, Description, Feature, FeatureKey, FeaturePermission, Icon, Label, MenuItem, Module, ModuleCode,
    Name, ResourceType, Scope, SessionId, SubMenuItem, TrailEntry, Url, UserLevel, View, ViewUrl,
};
use uuid::Uuid;

use super::fixtures::{
    OwnedSubItem, feature_cell, given, given_all, keys, level, menu_item, some_company, some_feature, some_module,
    some_user, some_view, sub_item, unique, versions,
};
use crate::{NewEffectiveFeaturePermission, NewTrailEntry, Storage};

/// Returns a string of `characters` pseudo-random four-byte characters. The database cannot compress such a string, not
/// even in an index.
fn longest(characters: usize) -> String {
    let mut state = Uuid::new_v4().as_u128() as u64 | 1;
    let scramble = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from_u32(0x2_0000 + (state % 40_000) as u32).unwrap()
    };
    (0..characters).map(scramble).collect()
}

/// Unusual strings: SQL, quotation marks, escape sequences, placeholders, white space, control characters, emoji, and
/// right-to-left text.
const UNUSUAL_STRINGS: [&str; 13] = [
    "'; DROP TABLE views; --",
    "\"quoted\" and 'quoted'",
    "back\\slash \\n \\u0041",
    "100 % of_them $1 ? :name {}",
    "line\nbreak\tand\rreturn",
    " space before and after ",
    // Invisible characters, which earlier versions of the service accepted.
    "\u{1}\u{7f}\u{85}\u{200b}\u{feff}",
    "\u{202e}nimdA\u{2066}",
    "👩‍👩‍👧‍👦 🇩🇪 é e\u{301}",
    "עברית العربية",
    "null",
    "İıſßẞ",
    "\u{10ffff}\u{fffd}",
];

/// Returns the string `odd` with a unique suffix, or a random string of `max` characters if `odd` is `None`.
fn texts(max: usize, odd: Option<&str>) -> String {
    odd.map_or_else(|| longest(max), |odd| format!("{odd}{}", Uuid::new_v4().simple()))
}

macro_rules! text {
    ($kind:ident, $odd:expr) => {
        $kind::stored(texts($kind::MAX, $odd)).unwrap()
    };
}

/// Returns a description that consists of the string `odd`, or of 100,000 random characters if `odd` is `None`.
fn description(odd: Option<&str>) -> Description {
    Description::stored(odd.map_or_else(|| longest(100_000), str::to_owned)).unwrap()
}

/// Returns the variants to test: `None`, which stands for a string of maximum length, and then each string of
/// [`UNUSUAL_STRINGS`].
fn string_variants() -> impl Iterator<Item = Option<&'static str>> {
    std::iter::once(None).chain(UNUSUAL_STRINGS.map(Some))
}

/// Returns an action that consists of the string `odd`, or of a random string of maximum length if `odd` is `None`. The
/// string has no unique suffix, because an action has at most fifty characters.
fn some_action(odd: Option<&str>) -> Action {
    Action::stored(odd.map_or_else(|| longest(Action::MAX), str::to_owned)).unwrap()
}

/// The strings of the catalog are stored unchanged, and views, modules and features are found by their natural keys.
pub async fn strings_of_the_catalog_are_stored_unchanged(storage: Arc<dyn Storage>) {
    for odd in string_variants() {
        let view = View {
            name: text!(Name, odd),
            url: text!(ViewUrl, odd),
            category: Some(text!(Category, odd)),
            description: Some(description(odd)),
            icon: Some(text!(Icon, odd)),
            ..some_view()
        };
        let module = Module {
            code: text!(ModuleCode, odd),
            name: text!(Name, odd),
            description: Some(description(odd)),
            icon: Some(text!(Icon, odd)),
            ..some_module()
        };
        let feature = Feature {
            key: Some(text!(FeatureKey, odd)),
            name: text!(Name, odd),
            description: Some(description(odd)),
            resource_type: Some(text!(ResourceType, odd)),
            actions: Some(vec![some_action(odd)]),
            category: Some(text!(Category, odd)),
            ..some_feature()
        };
        given(&storage, &[&view, &module, &feature]).await;
        let reader = storage.reader();
        assert_eq!(reader.views().find_by_url(view.url.as_str()).await.unwrap(), Some(view));
        assert_eq!(reader.modules().find_by_code(module.code.as_str()).await.unwrap(), Some(module));
        let key = feature.key.clone().unwrap();
        assert_eq!(reader.features().find_by_key(key.as_str()).await.unwrap(), Some(feature));
    }
}

/// The strings of levels and of their matrices are stored unchanged.
pub async fn strings_of_levels_are_stored_unchanged(storage: Arc<dyn Storage>) {
    let company = some_company();
    for odd in string_variants() {
        let named = UserLevel { name: text!(Name, odd), description: description(odd), ..level(company, "Level") };
        let action = some_action(odd);
        let feature = Feature { actions: Some(vec![action.clone()]), ..some_feature() };
        let cell = FeaturePermission { action, ..feature_cell(&named, feature.id, "Read") };
        given(&storage, &[&feature, &named, &cell]).await;
        let levels = storage.reader().user_levels();
        assert_eq!(levels.find_by_name(company, named.name.as_str()).await.unwrap(), Some(named.clone()));
        let cells = storage.reader().feature_permissions();
        let found = cells.find(company, named.id, feature.id, &cell.action).await.unwrap();
        assert_eq!(found, Some(cell));
    }
}

/// The strings of menu entries are stored unchanged.
pub async fn strings_of_menus_are_stored_unchanged(storage: Arc<dyn Storage>) {
    let owner = Some(some_company());
    for odd in string_variants() {
        let item = MenuItem {
            label: text!(Label, odd),
            icon: Some(text!(Icon, odd)),
            required_permissions: Some(vec![text!(FeatureKey, odd), text!(FeatureKey, odd)]),
            ..menu_item(owner, "Item")
        };
        let below = SubMenuItem { label: text!(Label, odd), icon: Some(text!(Icon, odd)), ..sub_item(&item, "Below") };
        given(&storage, &[&item, &OwnedSubItem(owner, &below)]).await;
        assert_eq!(storage.reader().menu_items().find_by_id(owner, item.id).await.unwrap(), Some(item));
        assert_eq!(storage.reader().sub_menu_items().find_by_id(owner, below.id).await.unwrap(), Some(below));
    }
}

/// The strings of navigation trails are stored unchanged.
pub async fn strings_of_trails_are_stored_unchanged(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    for odd in string_variants() {
        let step = NewTrailEntry {
            user_id: user,
            company_id: company,
            session_id: text!(SessionId, odd),
            view_id: None,
            url: text!(Url, odd),
            label: text!(Label, odd),
        };
        let TrailEntry { session_id, url, label, .. } = storage.nav_trail().track(&step).await.unwrap();
        assert_eq!((&session_id, &url, &label), (&step.session_id, &step.url, &step.label));
        let trail = storage.nav_trail().find_by_session(company, user, &step.session_id).await.unwrap();
        assert_eq!(keys(&trail, |step| (step.url.clone(), step.label.clone())), [(url, label)]);
    }
}

/// The actions of effective-permission rows are stored unchanged.
pub async fn strings_of_effective_rows_are_stored_unchanged(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let actions: Vec<_> = string_variants().map(some_action).collect();
    let feature = Feature { actions: Some(actions.clone()), ..some_feature() };
    given(&storage, &[&feature, &level(company, "Level")]).await;
    let now = versions(&storage, Some(company)).await;
    let rows: Vec<_> = actions
        .iter()
        .map(|action| NewEffectiveFeaturePermission {
            user_id: user,
            feature_id: feature.id,
            action: action.clone(),
            allowed: true,
            scope: Scope::Any,
        })
        .collect();
    let effective = storage.effective_feature_permissions();
    let written = effective.upsert_many(company, now, Duration::from_secs(3600), &rows).await.unwrap();
    assert_eq!(written, rows.len() as u64);
    for action in actions {
        let found = effective.find(company, user, feature.id, &action).await.unwrap();
        assert_eq!(found.map(|row| row.action), Some(action));
    }
}

/// Names that look alike are different if they differ in case, accents, white space, script or Unicode normalization.
pub async fn similar_names_are_different(storage: Arc<dyn Storage>) {
    let company = some_company();
    let names = [
        "admin",
        "Admin",
        "ADMIN",
        " admin",
        "admin ",
        "adm\u{131}n",
        "admin\u{200b}",
        "ädmin",
        "a\u{308}dmin",
        "Ädmin",
        "ａｄｍｉｎ",
        "аdmin",
        "👍",
        "👍🏽",
        "ß",
        "ss",
        "ẞ",
        "K",
        "\u{212a}",
    ];
    let levels = names.map(|text| UserLevel { name: Name::stored(text).unwrap(), ..level(company, "Level") });
    given_all(&storage, &levels).await;
    let known = storage.reader().user_levels();
    for level in &levels {
        assert_eq!(known.find_by_name(company, level.name.as_str()).await.unwrap().as_ref(), Some(level));
    }
    let listed = known.find_all(company).await.unwrap();
    let listed = keys(&listed, |level| level.name.as_str().to_owned());
    let sorted: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(listed, sorted, "the names must be sorted by their bytes");
    assert_eq!(known.find_by_name(company, "aDMIN").await.unwrap(), None);
    assert_eq!(known.find_by_name(company, "%").await.unwrap(), None);
}

/// URLs, codes and keys of the catalog are compared exactly. Values that look alike are different keys.
pub async fn similar_keys_are_different(storage: Arc<dyn Storage>) {
    let word = unique("alike");
    for end in ["é", "e\u{301}", "É", "e", " e", "e "] {
        let text = format!("{word}{end}");
        let view = View { url: ViewUrl::parse(&*text).unwrap(), ..some_view() };
        let module = Module { code: ModuleCode::parse(&*text).unwrap(), ..some_module() };
        let feature = Feature { key: Some(FeatureKey::parse(&*text).unwrap()), ..some_feature() };
        given(&storage, &[&view, &module, &feature]).await;
        let reader = storage.reader();
        assert_eq!(reader.views().find_by_url(&text).await.unwrap(), Some(view));
        assert_eq!(reader.modules().find_by_code(&text).await.unwrap(), Some(module));
        assert_eq!(reader.features().find_by_key(&text).await.unwrap(), Some(feature));
    }
}
