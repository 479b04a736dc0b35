//! What can be asked, and about whom.

use iam_domain::{Action, Caller, FeatureId, Scope, UserId, ViewId};

/// About whom a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Somebody, by what the levels say.
    User(UserId),
    /// A super admin asking about himself: everything that exists is allowed.
    SuperAdmin(UserId),
}

impl From<Caller> for Subject {
    /// The caller himself.
    fn from(caller: Caller) -> Self {
        if caller.is_super_admin() { Self::SuperAdmin(caller.id()) } else { Self::User(caller.id()) }
    }
}

impl Subject {
    /// Who.
    #[must_use]
    pub const fn user_id(self) -> UserId {
        match self {
            Self::User(user) | Self::SuperAdmin(user) => user,
        }
    }
}

/// A view, by its id or its exact url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRef {
    /// By id.
    Id(ViewId),
    /// By url.
    Url(String),
}

impl ViewRef {
    /// What parses as an id is one: urls never look like ids.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        ViewId::parse(text).map_or_else(|_| Self::Url(text.to_owned()), Self::Id)
    }
}

/// A feature, by its id or its exact key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureRef {
    /// By id.
    Id(FeatureId),
    /// By key.
    Key(String),
}

impl FeatureRef {
    /// What parses as an id is one: keys never look like ids.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        FeatureId::parse(text).map_or_else(|_| Self::Key(text.to_owned()), Self::Id)
    }
}

/// A question that a decision answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// May this view be seen?
    View(ViewRef),
    /// May this be done?
    Feature {
        /// With what.
        feature: FeatureRef,
        /// What.
        action: Action,
        /// How far it must reach.
        least_scope: Option<Scope>,
    },
}
