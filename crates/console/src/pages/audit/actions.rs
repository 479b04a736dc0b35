//! The recorded actions, as sentences contain them.

use iam_domain::EntityType;

/// A recorded action.
pub(crate) struct RecordedAction {
    /// The name in the audit log.
    pub(crate) name: &'static str,
    /// What the actor did, followed by the name of the entity.
    pub(crate) did: &'static str,
    /// Whether records of companies can have the action. Records of the platform can have all others.
    pub(crate) of_company: bool,
}

const fn of_company(name: &'static str, did: &'static str) -> RecordedAction {
    RecordedAction { name, did, of_company: true }
}

const fn of_platform(name: &'static str, did: &'static str) -> RecordedAction {
    RecordedAction { name, did, of_company: false }
}

/// All actions.
pub(crate) const ACTIONS: &[RecordedAction] = &[
    of_company("user_level.created", "created the level"),
    of_company("user_level.updated", "changed the level"),
    of_company("user_level.deleted", "deleted the level"),
    of_company("permissions.views_updated", "changed the view permissions of the level"),
    of_company("permissions.features_updated", "changed the feature permissions of the level"),
    of_company("assignment.user_levels_updated", "changed the levels of the user"),
    of_company("assignment.expired", "removed expired levels of the user"),
    of_company("user.profile_updated", "changed the profile of the user"),
    of_company("user.data_deleted", "deleted the personal data of the user"),
    of_company("company.provisioned", "created the company"),
    of_company("company.imported", "imported the company"),
    of_company("company.updated", "changed the company"),
    of_company("company.modules_updated", "changed the modules of the company"),
    of_company("company.module_updated", "switched a module of the company"),
    of_company("company.quotas_updated", "changed the quotas of the company"),
    of_company("company.ceilings_updated", "changed the ceilings of the company"),
    of_company("menu.created", "created the menu item"),
    of_company("menu.updated", "changed the menu item"),
    of_company("menu.deleted", "deleted the menu item"),
    of_company("sub_menu.created", "created the menu sub-item"),
    of_company("sub_menu.updated", "changed the menu sub-item"),
    of_company("sub_menu.deleted", "deleted the menu sub-item"),
    of_company("api_key.created", "created the API key"),
    of_company("api_key.revoked", "revoked the API key"),
    of_platform("company.erased", "erased the company"),
    of_platform("user.cut_off", "signed out everywhere the user"),
    of_platform("view.created", "created the view"),
    of_platform("view.updated", "changed the view"),
    of_platform("view.deleted", "deleted the view"),
    of_platform("feature.created", "created the feature"),
    of_platform("feature.updated", "changed the feature"),
    of_platform("feature.deleted", "deleted the feature"),
    of_platform("feature.views_updated", "changed the views of the feature"),
    of_platform("module.created", "created the module"),
    of_platform("module.updated", "changed the module"),
    of_platform("module.deleted", "deleted the module"),
    of_platform("module.views_updated", "changed the views of the module"),
    of_platform("module.features_updated", "changed the features of the module"),
];

/// The actions of a company that the audit log of the platform contains, too, for what belongs to no company.
const SHARED: [&str; 8] = [
    "menu.created",
    "menu.updated",
    "menu.deleted",
    "sub_menu.created",
    "sub_menu.updated",
    "sub_menu.deleted",
    "api_key.created",
    "api_key.revoked",
];

/// Returns the actions that the audit log of a company, or of the platform, can contain.
pub(crate) fn actions(of_company: bool) -> impl Iterator<Item = &'static RecordedAction> {
    let is_listed = move |action: &&RecordedAction| {
        action.of_company == of_company || (!of_company && SHARED.contains(&action.name))
    };
    ACTIONS.iter().filter(is_listed)
}

/// Returns what the actor did. An action that this release does not know is named as it was recorded.
pub(crate) fn did(action: &str) -> String {
    match ACTIONS.iter().find(|known| known.name == action) {
        Some(known) => known.did.to_owned(),
        None => format!("made the change {action} to"),
    }
}

/// Returns the text with a capital letter at its beginning.
pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Returns what entities of a type are called.
pub(crate) const fn kind_of_entity(kind: EntityType) -> &'static str {
    match kind {
        EntityType::UserLevel | EntityType::Permission => "Level",
        EntityType::Assignment | EntityType::User => "User",
        EntityType::View => "View",
        EntityType::Feature => "Feature",
        EntityType::Module => "Module",
        EntityType::Menu => "Menu item",
        EntityType::Company => "Company",
        EntityType::ApiKey => "API key",
    }
}
