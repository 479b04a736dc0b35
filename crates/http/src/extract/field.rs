//! The types of parameters and body fields.

use std::fmt::Display;

use iam_application::FieldCode;
use iam_domain::{TextError, Timestamp};
use iam_permissions_cache::{FeatureRef, ViewRef};
use serde_json::Value;

/// A type that can be read from the JSON value of a field or parameter.
pub(crate) trait Field: Sized {
    /// Converts a JSON value. `Err` contains the error code and the message. The message does not contain the field
    /// name; the caller prepends it.
    fn read(value: &Value) -> Result<Self, (FieldCode, String)>;
}

fn wrong(code: FieldCode, what: impl Display) -> (FieldCode, String) {
    (code, what.to_string())
}

impl Field for bool {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        value.as_bool().ok_or_else(|| wrong(FieldCode::Type, "must be a boolean"))
    }
}

impl Field for i32 {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        let number = value.as_i64().ok_or_else(|| wrong(FieldCode::Type, "must be an integer"))?;
        Self::try_from(number).map_err(|_| wrong(FieldCode::Range, "must be between -2147483648 and 2147483647"))
    }
}

impl Field for u32 {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        if !value.is_i64() && !value.is_u64() {
            return Err(wrong(FieldCode::Type, "must be an integer"));
        }
        let number = value.as_u64().and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| wrong(FieldCode::Range, "must be between 0 and 4294967295"))
    }
}

impl Field for iam_domain::RequestRate {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        if !value.is_i64() && !value.is_u64() {
            return Err(wrong(FieldCode::Type, "must be an integer"));
        }
        let per_second = value.as_u64().and_then(|number| u32::try_from(number).ok()).ok_or(iam_domain::InvalidRate);
        per_second.and_then(Self::new).map_err(|error| wrong(FieldCode::Range, error))
    }
}

impl Field for String {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        value.as_str().map(str::to_owned).ok_or_else(|| wrong(FieldCode::Type, "must be a string"))
    }
}

fn text_error(error: TextError) -> (FieldCode, String) {
    let code = match error {
        TextError::Blank => FieldCode::Required,
        TextError::TooLong { .. } => FieldCode::TooLong,
        TextError::Nul => FieldCode::Nul,
        TextError::Character => FieldCode::Character,
        TextError::Invisible => FieldCode::Invisible,
        TextError::Direction => FieldCode::Direction,
        TextError::LooksLikeId => FieldCode::LooksLikeId,
    };
    wrong(code, error)
}

macro_rules! text_fields {
    ($($name:ident),+) => {$(
        impl Field for iam_domain::$name {
            fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
                Self::parse(String::read(value)?).map_err(text_error)
            }
        }
    )+};
}

text_fields!(
    Action,
    Category,
    Description,
    Email,
    FeatureKey,
    Icon,
    Label,
    ModuleCode,
    Name,
    ResourceType,
    SessionId,
    Url,
    ViewUrl
);

/// Reads a string that identifies stored data, such as a view URL or a feature key. Earlier releases may have stored
/// strings that are no longer valid for new data. Therefore, `read` must apply only the rules for stored strings.
fn stored<T>(value: &Value, read: fn(String) -> Result<T, TextError>) -> Result<T, (FieldCode, String)> {
    read(String::read(value)?).map_err(text_error)
}

impl Field for ViewRef {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        let id = value.as_str().and_then(|text| iam_domain::ViewId::parse(text).ok());
        id.map_or_else(
            || stored(value, iam_domain::ViewUrl::stored).map(|url| Self::Url(url.into_string())),
            |id| Ok(Self::Id(id)),
        )
    }
}

impl Field for FeatureRef {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        let id = value.as_str().and_then(|text| iam_domain::FeatureId::parse(text).ok());
        id.map_or_else(
            || stored(value, iam_domain::FeatureKey::stored).map(|key| Self::Key(key.into_string())),
            |id| Ok(Self::Id(id)),
        )
    }
}

impl Field for uuid::Uuid {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        // The ids of all entity types are parsed in the same way.
        iam_domain::UserId::read(value).map(|id| id.as_uuid())
    }
}

/// The latest valid time, in microseconds since the Unix epoch: the end of the year 9999. Some clients cannot parse
/// later times.
const LATEST: i64 = 253_402_300_799_999_999;

impl Field for Timestamp {
    fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
        let text = value.as_str().ok_or_else(|| wrong(FieldCode::Type, "must be a string"))?;
        let time = Self::parse(text).ok_or_else(|| {
            wrong(FieldCode::Time, "must be an RFC 3339 time with a time zone, such as 2026-12-31T00:00:00Z")
        })?;
        if (0..=LATEST).contains(&time.micros()) {
            Ok(time)
        } else {
            Err(wrong(FieldCode::Range, "must be between the years 1970 and 9999"))
        }
    }
}

macro_rules! id_fields {
    ($($name:ident),+) => {$(
        impl Field for iam_domain::$name {
            fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
                let text = value.as_str().ok_or_else(|| wrong(FieldCode::Type, "must be a string"))?;
                Self::parse(text).map_err(|error| wrong(FieldCode::Uuid, error))
            }
        }
    )+};
}

id_fields!(ApiKeyId, CompanyId, FeatureId, MenuItemId, ModuleId, SubMenuItemId, UserId, UserLevelId, ViewId);

macro_rules! word_fields {
    ($($name:ident),+) => {$(
        impl Field for iam_domain::$name {
            fn read(value: &Value) -> Result<Self, (FieldCode, String)> {
                let text = value.as_str().ok_or_else(|| wrong(FieldCode::Type, "must be a string"))?;
                text.parse().map_err(|error| wrong(FieldCode::Unknown, error))
            }
        }
    )+};
}

word_fields!(CompanyStatus, Priority, Scope, ServiceRole, ViewState);
