//! Actors: users, services and the command line.

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, ServiceRole, UserId};

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A person, with a token.
    User {
        /// The user.
        id: UserId,
        /// Whether the token, from an issuer that is trusted to do so, claims super admin.
        is_super_admin: bool,
    },
    /// Another service, with an API key.
    Service(Service),
}

/// A service. Its key alone defines what it may do: it holds no levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// Its key.
    pub key: ApiKeyId,
    /// Its role.
    pub role: ServiceRole,
    /// The one company that the key is valid for; `None` means all companies and the platform.
    pub company: Option<CompanyId>,
}

impl Caller {
    /// A user who is not a super admin.
    #[must_use]
    pub const fn user(id: UserId) -> Self {
        Self::User { id, is_super_admin: false }
    }

    /// A super admin.
    #[must_use]
    pub const fn super_admin(id: UserId) -> Self {
        Self::User { id, is_super_admin: true }
    }

    /// The id of the caller in audit records and rate limits, and as the subject of its own decisions. A service is
    /// identified by its key's id, which is never a user's id.
    #[must_use]
    pub const fn id(&self) -> UserId {
        match self {
            Self::User { id, .. } => *id,
            Self::Service(service) => UserId::from_uuid(service.key.as_uuid()),
        }
    }

    /// Whether it is a super admin in person.
    #[must_use]
    pub const fn is_super_admin(&self) -> bool {
        matches!(self, Self::User { is_super_admin: true, .. })
    }

    /// The kind of actor.
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
        /// A person.
        User = "user",
        /// Another service.
        Service = "service",
        /// A command of the operator.
        CommandLine = "command_line",
}
