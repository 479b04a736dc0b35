//! Questions, and the subjects that they are about.

use iam_domain::{Action, Caller, FeatureId, Scope, UserId, ViewId};

/// The subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user, whose levels decide.
    User(UserId),
    /// A super admin asking about themselves: everything that exists is allowed.
    SuperAdmin(UserId),
    /// A service asking about itself. It holds no levels, so it is answered as a non-member.
    Service,
}

impl From<Caller> for Subject {
    /// The caller as the subject.
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
