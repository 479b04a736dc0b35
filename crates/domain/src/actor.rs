//! The callers of the API, and the actors that make changes: users, services, the command line and the system.

use std::fmt;

use uuid::Uuid;

use crate::permission::words;
use crate::{ApiKeyId, CompanyId, RequestRate, ServiceRole, UserId};

/// The authenticated caller of a request: a user or a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A user who authenticated with a token.
    User {
        /// The id of the user.
        id: UserId,
        /// `true` if the token has the super admin claim and its issuer is allowed to grant super admin rights.
        is_super_admin: bool,
    },
    /// A service that authenticated with an API key.
    Service(Service),
}

/// A service that authenticates with an API key. Services hold no levels. The role and the company of the API key
/// determine the service's permissions instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// The id of the API key.
    pub key: ApiKeyId,
    /// The role of the API key.
    pub role: ServiceRole,
    /// The only company for which the API key is valid. `None` if the key is valid for all companies and for
    /// platform-wide requests.
    pub company: Option<CompanyId>,
    /// The API key's own limit on its work. `None` if the limit for all API keys applies.
    pub rate: Option<RequestRate>,
}

impl Service {
    /// Returns `true` if the API key is valid for the company.
    #[must_use]
    pub fn is_valid_for(&self, company: CompanyId) -> bool {
        self.company.is_none_or(|own| own == company)
    }

    /// Returns `true` if the API key is a platform key: it may administer, and is valid for all companies.
    #[must_use]
    pub fn has_platform_key(&self) -> bool {
        self.role == ServiceRole::Administer && self.company.is_none()
    }
}

impl Caller {
    /// Creates a caller that is a user without super admin rights.
    #[must_use]
    pub const fn user(id: UserId) -> Self {
        Self::User { id, is_super_admin: false }
    }

    /// Creates a caller that is a super admin.
    #[must_use]
    pub const fn super_admin(id: UserId) -> Self {
        Self::User { id, is_super_admin: true }
    }

    /// Returns the actor that represents the caller in audit records and rate limits. It is also the subject when the
    /// caller requests decisions about itself. A service is identified by the id of its API key, which never equals a
    /// user id.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        match self {
            Self::User { id, .. } => Actor::User(*id),
            Self::Service(service) => Actor::ApiKey(service.key),
        }
    }

    /// Returns the user id, or `None` if the caller is a service.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        self.actor().user_id()
    }

    /// Returns `true` if the caller is a user whose token grants super admin rights.
    #[must_use]
    pub const fn is_super_admin(&self) -> bool {
        matches!(self, Self::User { is_super_admin: true, .. })
    }
}

/// The actor of a change, as recorded in the audit log: a user, a service, the command line or the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A user, identified by the user id.
    User(UserId),
    /// A service, identified by the id of its API key.
    ApiKey(ApiKeyId),
    /// The command line, used by an operator. It has no id.
    CommandLine,
    /// The server itself, in a background task. It has no id.
    System,
}

impl Actor {
    /// Creates an actor from its kind and its id.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidActor`] if a user or a service has no id, or if the command line or the
    /// system has one.
    pub const fn from_parts(kind: ActorKind, id: Option<Uuid>) -> Result<Self, InvalidActor> {
        match (kind, id) {
            (ActorKind::User, Some(id)) => Ok(Self::User(UserId::from_uuid(id))),
            (ActorKind::Service, Some(id)) => Ok(Self::ApiKey(ApiKeyId::from_uuid(id))),
            (ActorKind::CommandLine, None) => Ok(Self::CommandLine),
            (ActorKind::System, None) => Ok(Self::System),
            (ActorKind::User | ActorKind::Service, None) => Err(InvalidActor::MissingId(kind)),
            (ActorKind::CommandLine | ActorKind::System, Some(_)) => Err(InvalidActor::UnexpectedId(kind)),
        }
    }

    /// Returns the kind of the actor: user, service, command line or system.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::User(_) => ActorKind::User,
            Self::ApiKey(_) => ActorKind::Service,
            Self::CommandLine => ActorKind::CommandLine,
            Self::System => ActorKind::System,
        }
    }

    /// Returns the id of the user or of the API key, or `None` for the command line and the system.
    #[must_use]
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.as_uuid()),
            Self::ApiKey(id) => Some(id.as_uuid()),
            Self::CommandLine | Self::System => None,
        }
    }

    /// Returns the user id, or `None` if the actor is not a user.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::ApiKey(_) | Self::CommandLine | Self::System => None,
        }
    }
}

impl fmt::Display for Actor {
    /// Formats the actor for logs: `user:<id>`, `service:<key id>`, `command_line` or `system`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{}:{id}", self.kind()),
            None => self.kind().fmt(f),
        }
    }
}

/// The error for an invalid combination of actor kind and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidActor {
    /// The id is missing. An actor of this kind must have an id.
    #[error("an actor of kind {0} requires an id")]
    MissingId(ActorKind),
    /// The id is unexpected. An actor of this kind has no id.
    #[error("an actor of kind {0} must not have an id")]
    UnexpectedId(ActorKind),
}

words! {
    /// The kind of the actor that made a change.
    ActorKind ("user, service, command_line, system"):
        /// A user.
        User = "user",
        /// A service that authenticated with an API key.
        Service = "service",
        /// The command line, used by an operator.
        CommandLine = "command_line",
        /// The server itself, in a background task.
        System = "system",
}
