//! The handlers, by resource.

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod companies;
pub(crate) mod decisions;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod health;
pub(crate) mod matrices;
pub(crate) mod menu;
pub(crate) mod modules;
pub(crate) mod trail;
pub(crate) mod user_levels;
pub(crate) mod users;
pub(crate) mod views;

/// The data of an answer: one member, named in the singular or the plural of what it holds.
macro_rules! data {
    ($($name:ident { $member:ident as $wire:literal: $type:ty })+) => {$(
        #[doc = concat!("`{\"", $wire, "\": …}`")]
        #[derive(serde::Serialize, utoipa::ToSchema)]
        pub(crate) struct $name {
            #[serde(rename = $wire)]
            pub(crate) $member: $type,
        }
    )+};
}
pub(crate) use data;
