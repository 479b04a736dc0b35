//! Questions, and their subjects.

use iam_domain::{Action, Caller, FeatureId, Scope, UserId, ViewId};

/// The subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, whose levels decide.
    User(UserId),
    /// A super admin who asks about themselves: everything that exists is allowed.
    SuperAdmin(UserId),
}

impl From<Caller> for Subject {
    /// Returns the caller as the subject.
    fn from(caller: Caller) -> Self {
        if caller.is_super_admin() { Self::SuperAdmin(caller.id()) } else { Self::User(caller.id()) }
    }
}

impl Subject {
    /// Returns the user id of the subject.
    #[must_use]
    pub const fn user_id(self) -> UserId {
        match self {
            Self::User(user) | Self::SuperAdmin(user) => user,
        }
    }
}

/// A view, identified by its id or by its exact URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRef {
    /// The id of the view.
    Id(ViewId),
    /// The URL of the view.
    Url(String),
}

impl ViewRef {
    /// Parses an id or a URL. The two cannot be confused, since URLs never look like ids.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        ViewId::parse(text).map_or_else(|_| Self::Url(text.to_owned()), Self::Id)
    }
}

/// A feature, identified by its id or by its exact key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureRef {
    /// The id of the feature.
    Id(FeatureId),
    /// The key of the feature.
    Key(String),
}

impl FeatureRef {
    /// Parses an id or a key. The two cannot be confused, since keys never look like ids.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        FeatureId::parse(text).map_or_else(|_| Self::Key(text.to_owned()), Self::Id)
    }
}

/// A question to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether the subject may see the view.
    View(ViewRef),
    /// Whether the subject may do the action of the feature.
    Feature {
        /// The feature.
        feature: FeatureRef,
        /// The action.
        action: Action,
        /// The required scope. `None` if any scope suffices.
        least_scope: Option<Scope>,
    },
}
