//! Extracts what a handler needs from a request: the authorized caller, the company, and the parsed parameters and
//! body.

mod authenticate;
mod authorized;
pub(crate) mod body;
pub(crate) mod body_reader;
mod company;
mod conditional;
pub(crate) mod consistency;
pub(crate) mod decision_request;
mod field;
mod idempotency;
pub(crate) mod json;
mod policy;
mod request_reader;

pub(crate) use authorized::Authorized;
pub(crate) use body_reader::FieldReader;
pub(crate) use company::agreed;
pub(crate) use conditional::{if_match, matches_if_none_match};
pub(crate) use policy::{
    Anyone, AssignLevels, FindAllowed, ManageCredentials, ManageLevels, ManagePermissions, Member, Myself, Platform,
    PlatformCompany, ReadAudit, ReadCatalog, ReadIam, ReadProfiles,
};
pub(crate) use request_reader::{Input, RequestLine, RequestReader};
