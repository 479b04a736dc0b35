//! Lists that clients read page by page: signed cursors, and the use cases of the lists.

pub(crate) mod companies;
pub(crate) mod cursor;
pub(crate) mod cursor_key;
pub(crate) mod ending;
pub(crate) mod members;
pub(crate) mod memberships;
pub(crate) mod page;
pub(crate) mod search;
