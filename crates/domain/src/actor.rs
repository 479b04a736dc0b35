//! Actors of changes: users, services and the command line.

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, ServiceRole, UserId};

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A user, authenticated by a token.
    User {
        /// The id of the user.
        id: UserId,
        /// `true` if the token has the super admin claim and its issuer may grant super admin.
        is_super_admin: bool,
    },
    /// Another service, authenticated by an API key.
    Service(Service),
}

/// A service that calls with an API key. The key alone defines its permissions; a service holds no levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// The id of the API key.
    pub key: ApiKeyId,
    /// The role of the key.
    pub role: ServiceRole,
    /// The company that the key is restricted to. `None`: the key is valid for all companies and for the platform.
    pub company: Option<CompanyId>,
}

impl Caller {
    /// Returns a user who is not a super admin.
    #[must_use]
    pub const fn user(id: UserId) -> Self {
        Self::User { id, is_super_admin: false }
    }

    /// Returns a user who is a super admin.
    #[must_use]
    pub const fn super_admin(id: UserId) -> Self {
        Self::User { id, is_super_admin: true }
    }

    /// Returns the id of the caller, as used in audit records, in rate limits, and as the subject of the caller's own
    /// decisions. A service is identified by the id of its API key, which is never a user's id.
    #[must_use]
    pub const fn id(&self) -> UserId {
        match self {
            Self::User { id, .. } => *id,
            Self::Service(service) => UserId::from_uuid(service.key.as_uuid()),
        }
    }

    /// Returns `true` if the caller is a user, not a service, and a super admin.
    #[must_use]
    pub const fn is_super_admin(&self) -> bool {
        matches!(self, Self::User { is_super_admin: true, .. })
    }

    /// Returns the kind of actor that audit records name.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::User { .. } => ActorKind::User,
            Self::Service(_) => ActorKind::Service,
        }
    }
}

words! {
    /// The kind of actor that made a change.
    ActorKind ("user, service, command_line"):
        /// A user.
        User = "user",
        /// Another service.
        Service = "service",
        /// An operator, through the command line.
        CommandLine = "command_line",
}
