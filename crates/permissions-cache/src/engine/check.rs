//! The permission checks that the engine can decide, and their subjects.

use iam_domain::{Action, Caller, FeatureId, Scope, UserId, ViewId};

/// The subject of a permission check: the user or service whose permissions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user. The user's levels determine the decision.
    User(UserId),
    /// A super admin who checks their own permissions. Every view and action that exists is allowed.
    SuperAdmin(UserId),
    /// A service that checks its own permissions. A service holds no levels, so it is treated as a non-member.
    Service,
}

impl From<Caller> for Subject {
    /// Converts the caller into the subject of a check of the caller's own permissions.
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::User { id, is_super_admin: true } => Self::SuperAdmin(id),
            Caller::User { id, is_super_admin: false } => Self::User(id),
            Caller::Service(_) => Self::Service,
        }
    }
}

impl Subject {
    /// Returns the id of the user. `None` for a service.
    #[must_use]
    pub const fn user_id(self) -> Option<UserId> {
        match self {
            Self::User(user) | Self::SuperAdmin(user) => Some(user),
            Self::Service => None,
        }
    }

    /// Returns the id of the user whose levels determine the decision. For a service, returns the nil UUID, which no
    /// level is assigned to.
    pub(crate) const fn holder(self) -> UserId {
        match self.user_id() {
            Some(user) => user,
            None => UserId::NIL,
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
    /// Parses an id or a URL. There is no ambiguity, because no URL has the form of an id.
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
    /// Parses an id or a key. There is no ambiguity, because no key has the form of an id.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        FeatureId::parse(text).map_or_else(|_| Self::Key(text.to_owned()), Self::Id)
    }
}

/// A permission check: whether the subject may see a view or perform an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Checks whether the subject may see the view.
    View(ViewRef),
    /// Checks whether the subject may perform the action of the feature.
    Feature {
        /// The feature to which the action applies.
        feature: FeatureRef,
        /// The action to check.
        action: Action,
        /// The minimum scope with which the action must be allowed. `None` if any scope suffices.
        least_scope: Option<Scope>,
    },
}
