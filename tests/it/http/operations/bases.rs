//! The properties that several rows of the table of operations share.

use serde_json::Value;

use crate::http::operation::{CompanyParameter, Entity, Foreign, ForeignAnswer, Needs, Operation};

/// The base (`..DECISION`) of the operations that return the caller's own decisions or the caller's menu.
pub const DECISION: Operation = Operation {
    name: "",
    needs: Needs::Token,
    company: CompanyParameter::Required,
    ids: &[],
    query: "",
    body: || Value::Null,
    status: 200,
    foreign: &[],
};
pub const COMPANY_READ: Operation = Operation { needs: Needs::ReadIam, ..DECISION };
pub const CATALOG_READ: Operation = Operation { company: CompanyParameter::OptionalForSuperAdmins, ..COMPANY_READ };
pub const CATALOG_CHANGE: Operation =
    Operation { needs: Needs::SuperAdmin, company: CompanyParameter::Optional, ..DECISION };
pub const COMPANY_MODULES: Operation = Operation { company: CompanyParameter::InPath, ..CATALOG_CHANGE };
pub const CREDENTIALS: Operation = Operation { needs: Needs::ManageCredentials, ..CATALOG_CHANGE };
pub const TRAIL: Operation = Operation { needs: Needs::Membership, ..DECISION };

pub const FOREIGN: Foreign = Foreign { ids: &[], query: &[], body: None, answer: ForeignAnswer::Success };
pub const LEVEL: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirLevel], answer: ForeignAnswer::NotFound("User level not found"), ..FOREIGN }];
pub const USER: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirMember], answer: ForeignAnswer::NotFound("User not found"), ..FOREIGN }];
pub const ITEM: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirItem], answer: ForeignAnswer::NotFound("Menu item not found"), ..FOREIGN }];
pub const SUB_ITEM: &[Foreign] =
    &[Foreign { ids: &[Entity::TheirSub], answer: ForeignAnswer::NotFound("Sub menu item not found"), ..FOREIGN }];
