//! Who acts.

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, ServiceRole, UserId};

/// Somebody whose credentials were verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A person, with a token.
    User {
        /// Who.
        id: UserId,
        /// Whether a token that may say so says that this is an administrator of the platform.
        is_super_admin: bool,
    },
    /// Another service, with an API key.
    Service(Service),
}

/// What a service may do is said by its key alone: it holds no levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// Its key.
    pub key: ApiKeyId,
    /// How much it may do.
    pub role: ServiceRole,
    /// The one company that the key is good for; `None` is every company, and the platform.
    pub company: Option<CompanyId>,
}

impl Caller {
    /// A person without rights of the platform's.
    #[must_use]
    pub const fn user(id: UserId) -> Self {
        Self::User { id, is_super_admin: false }
    }

    /// An administrator of the platform.
    #[must_use]
    pub const fn super_admin(id: UserId) -> Self {
        Self::User { id, is_super_admin: true }
    }

    /// Who it is in records and limits, and as the subject of questions about oneself. A service is known by its key's id,
    /// which is no person's.
    #[must_use]
    pub const fn id(&self) -> UserId {
        match self {
            Self::User { id, .. } => *id,
            Self::Service(service) => UserId::from_uuid(service.key.as_uuid()),
        }
    }

    /// Whether it is an administrator of the platform, in person.
    #[must_use]
    pub const fn is_super_admin(&self) -> bool {
        matches!(self, Self::User { is_super_admin: true, .. })
    }

    /// What kind of actor it is.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::User { .. } => ActorKind::User,
            Self::Service(_) => ActorKind::Service,
        }
    }
}

words! {
    /// What kind of actor made a change.
    ActorKind ("user, service, command_line"):
        /// A person.
        User = "user",
        /// Another service.
        Service = "service",
        /// A command of the operator's.
        CommandLine = "command_line",
}
