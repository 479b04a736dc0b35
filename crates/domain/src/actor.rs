//! Who acts.

use crate::UserId;
use crate::permission::words;

/// Somebody whose token was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Who.
    pub user_id: UserId,
    /// Whether the token says, with JSON `true`, that this is an administrator of the platform.
    pub is_super_admin: bool,
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
