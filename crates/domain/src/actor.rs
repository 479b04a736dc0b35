//! Callers, and the actors that make changes: users, services and the command line.

use std::fmt;

use uuid::Uuid;

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
    pub const fn actor(&self) -> Actor {
        match self {
            Self::User { id, .. } => Actor::User(*id),
            Self::Service(service) => Actor::ApiKey(service.key),
        }
    }

    /// The user, if the caller is one.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        self.actor().user_id()
    }

    /// Whether it is a super admin in person.
    #[must_use]
    pub const fn is_super_admin(&self) -> bool {
        matches!(self, Self::User { is_super_admin: true, .. })
    }
}

/// The actor that makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A person.
    User(UserId),
    /// Another service, by its API key.
    ApiKey(ApiKeyId),
    /// A command of the operator.
    CommandLine,
}

impl Actor {
    /// Reads an actor from its kind and its id.
    ///
    /// # Errors
    ///
    /// [`InvalidActor`] when the kind needs an id and there is none, or the reverse.
    pub const fn from_parts(kind: ActorKind, id: Option<Uuid>) -> Result<Self, InvalidActor> {
        match (kind, id) {
            (ActorKind::User, Some(id)) => Ok(Self::User(UserId::from_uuid(id))),
            (ActorKind::Service, Some(id)) => Ok(Self::ApiKey(ApiKeyId::from_uuid(id))),
            (ActorKind::CommandLine, None) => Ok(Self::CommandLine),
            (ActorKind::User | ActorKind::Service, None) => Err(InvalidActor::MissingId(kind)),
            (ActorKind::CommandLine, Some(_)) => Err(InvalidActor::UnexpectedId(kind)),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::User(_) => ActorKind::User,
            Self::ApiKey(_) => ActorKind::Service,
            Self::CommandLine => ActorKind::CommandLine,
        }
    }

    /// The id of the user or of the API key; `None` for the command line.
    #[must_use]
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.as_uuid()),
            Self::ApiKey(id) => Some(id.as_uuid()),
            Self::CommandLine => None,
        }
    }

    /// The user, if the actor is one.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::ApiKey(_) | Self::CommandLine => None,
        }
    }
}

impl fmt::Display for Actor {
    /// Formats the actor for logs: `user:<id>`, `service:<key id>` or `command_line`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{}:{id}", self.kind()),
            None => self.kind().fmt(f),
        }
    }
}

/// The error for a kind and an id that together are no actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidActor {
    /// The kind needs an id.
    #[error("an actor of the kind {0} needs an id")]
    MissingId(ActorKind),
    /// The kind has no id.
    #[error("an actor of the kind {0} has no id")]
    UnexpectedId(ActorKind),
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
