//! Questions, and their subjects.

use iam_domain::{Action, Caller, FeatureId, Scope, UserId, ViewId};

/// The subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user, whose levels decide.
    User(UserId),
    /// A super admin who asks about themselves: everything that exists is allowed.
    SuperAdmin(UserId),
    /// A service asking about itself. It holds no levels, so it is answered as a non-member.
    Service,
}

impl From<Caller> for Subject {
    /// Returns the caller as the subject.
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::User { id, is_super_admin: true } => Self::SuperAdmin(id),
            Caller::User { id, is_super_admin: false } => Self::User(id),
            Caller::Service(_) => Self::Service,
        }
    }
}

impl Subject {
    /// The user whose levels count. For a service it is the nil id, which holds none.
    pub(crate) const fn holder(self) -> UserId {
        match self {
            Self::User(user) | Self::SuperAdmin(user) => user,
            Self::Service => UserId::NIL,
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
