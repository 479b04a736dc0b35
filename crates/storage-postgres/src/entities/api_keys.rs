//! API keys of services.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Deserializer};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub prefix: String,
    /// The digest of the key. In JSON it is encoded as Base64.
    #[serde(deserialize_with = "base64")]
    pub digest: Vec<u8>,
    pub name: String,
    pub role: String,
    pub company_id: Option<Uuid>,
    pub created_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub expires_at: Option<DateTimeUtc>,
    pub revoked_at: Option<DateTimeUtc>,
    pub last_used_at: Option<DateTimeUtc>,
    pub version: i64,
    pub requests_per_second: Option<i32>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Deserializes bytes from Base64.
fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
