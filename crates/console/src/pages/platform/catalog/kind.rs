//! The kinds of entries of the catalog: what the forms of an entry contain, and which changes they make.

use iam_application::{Application, Change, Failure, IfMatch};
use iam_domain::{CompanyId, Versions};
use maud::Markup;
use serde::Serialize;

use super::super::control::Problems;
use super::content::{Chosen, ContentForm};
use super::frame::Tab;
use super::typed::Typed;
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::platform::OnPlatform;

/// What goes with an entry when it is deleted.
#[derive(Debug, Default)]
pub(crate) struct Goes {
    /// The names of what goes.
    pub(super) names: Vec<String>,
    /// The value with which the form states what the person saw.
    pub(super) seen: String,
}

/// The name of the field that states what the person saw.
pub(super) const SEEN: &str = "seen";

/// A kind of entries of the catalog. The owner of entries of the menu is a company, or `None` for the common menu; other
/// entries have no owner.
pub(crate) trait Kind: 'static {
    /// The identifier of an entry.
    type Id: Copy;
    /// An entry. Its entity tag is that of the API.
    type Entity: Serialize;
    /// The change that creates an entry.
    type Create: Change<Answer = Self::Entity>;
    /// The change that updates an entry.
    type Update: Change<Answer = Self::Entity>;
    /// The change that deletes an entry.
    type Delete: Change;
    /// What the controls of the form refer to.
    type Choices;

    /// The tab that the entries belong to.
    const TAB: Tab;
    /// The name of the kind.
    const NAME: &'static str;
    /// The last segment of the path of the entries.
    const SEGMENT: &'static str;
    /// The fields with text, with their labels.
    const FIELDS: &'static [(&'static str, &'static str)];
    /// The check boxes, with their labels.
    const FLAGS: &'static [(&'static str, &'static str)];
    /// What the deletion of an entry deletes, too.
    const DELETED: &'static str;

    /// Parses the id of an entry.
    fn parse_id(text: &str) -> Option<Self::Id>;

    /// Returns the id of an entry.
    fn id(entity: &Self::Entity) -> Self::Id;

    /// Returns the id of an entry as text.
    fn id_text(id: Self::Id) -> String;

    /// Returns the display name of an entry.
    fn name(entity: &Self::Entity) -> &str;

    /// Reads an entry.
    async fn read(application: &Application, owner: Option<CompanyId>, id: Self::Id) -> Result<Self::Entity, Failure>;

    /// Reads what the controls of the form refer to.
    async fn choices(application: &Application, owner: Option<CompanyId>) -> Result<Self::Choices, Failure>;

    /// Returns the fields of a new entry.
    fn blank(query: &Typed, choices: &Self::Choices) -> Typed;

    /// Returns the fields of a stored entry.
    fn stored(entity: &Self::Entity) -> Typed;

    /// Returns the controls of the form.
    fn controls(typed: &Typed, problems: &Problems, choices: &Self::Choices) -> Markup;

    /// Returns what a page shows for the value of a field, if it is not the value itself.
    fn text(_choices: &Self::Choices, _field: &str, _value: &str) -> Option<String> {
        None
    }

    /// Returns the change that creates the entry. If a field is not valid, `problems` contains the reason afterwards.
    fn creation(typed: &Typed, problems: &mut Problems, owner: Option<CompanyId>) -> Option<Self::Create>;

    /// Returns the change that updates the entry. If a field is not valid, `problems` contains the reason afterwards.
    fn update(
        typed: &Typed,
        problems: &mut Problems,
        owner: Option<CompanyId>,
        id: Self::Id,
        if_match: IfMatch,
    ) -> Option<Self::Update>;

    /// Returns the change that deletes the entry.
    fn deletion(typed: &Typed, owner: Option<CompanyId>, id: Self::Id, if_match: IfMatch) -> Self::Delete;

    /// Reads what goes with the entry when it is deleted.
    async fn goes(_: &Application, _owner: Option<CompanyId>, _: &Self::Entity) -> Result<Goes, Failure> {
        Ok(Goes::default())
    }

    /// Returns the versions at which the deletion has the effect that the person saw, if it depends on them.
    ///
    /// # Errors
    ///
    /// Returns [`PageError::Invalid`] if the form does not contain them.
    fn versions(_typed: &Typed) -> Result<Option<Versions>, PageError> {
        Ok(None)
    }

    /// Returns the controls of the form that deletes the entry.
    fn deletion_controls() -> Markup {
        Markup::default()
    }

    /// Returns the forms that set which views and features belong to the entry.
    async fn contents(_application: &Application, _entity: &Self::Entity) -> Result<Vec<ContentForm>, Failure> {
        Ok(Vec::new())
    }

    /// Sets which views or features belong to the entry.
    async fn set(_page: &OnPlatform<SuperAdmin>, _id: Self::Id, _: &Chosen<'_>, _: IfMatch) -> Result<(), Failure> {
        Err(Failure::NotFound("Page"))
    }
}
