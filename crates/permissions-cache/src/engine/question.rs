//! Questions, and the subjects that they are about.

use iam_domain::{Action, Caller, FeatureId, Scope, UserId, ViewId};

/// The subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, whose levels decide.
    User(UserId),
    /// A super admin asking about themselves: everything that exists is allowed.
    SuperAdmin(UserId),
}

impl From<Caller> for Subject {
    /// The caller as the subject.
    fn from(caller: Caller) -> Self {
        if caller.is_super_admin() { Self::SuperAdmin(caller.id()) } else { Self::User(caller.id()) }
    }
}

impl Subject {
    /// The user id of the subject.
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
    /// Text that parses as an id is one: urls never look like ids.
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
    /// Text that parses as an id is one: keys never look like ids.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        FeatureId::parse(text).map_or_else(|_| Self::Key(text.to_owned()), Self::Id)
    }
}

/// A question that a decision answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether a view may be seen.
    View(ViewRef),
    /// Whether an action may be done.
    Feature {
        /// The feature.
        feature: FeatureRef,
        /// The action.
        action: Action,
        /// The scope that is needed at least.
        least_scope: Option<Scope>,
    },
}
