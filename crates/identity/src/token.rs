//! Parses tokens without verifying them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{Algorithm, AuthenticationError};

/// The fields of a JSON object. Objects with duplicate field names are rejected, because parsers differ in which of the
/// values they use.
pub(crate) struct JsonFields(BTreeMap<String, Value>);

impl JsonFields {
    /// Returns the value of the field, or `None` if it is absent or `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

impl<'de> Deserialize<'de> for JsonFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = JsonFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonFields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("duplicate field name"));
                    }
                }
                Ok(JsonFields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A signed token (JWS), parsed from its compact serialization: the claims, and the data that is needed to verify the
/// signature.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    /// The `kid` of the header: the id of the key that signed the token.
    pub(crate) key_id: Option<String>,
    pub(crate) claims: JsonFields,
    /// The JWS signing input: header and claims in base64url, joined by a dot.
    pub(crate) message: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Parses a token. The error is [`AuthenticationError::MalformedToken`] if the string is not a token, or
    /// [`AuthenticationError::Untrusted`] if the token's header is not supported.
    pub(crate) fn parse(text: &'a str) -> Result<Self, AuthenticationError> {
        let (header, claims, message, signature) = split(text).ok_or(AuthenticationError::MalformedToken)?;
        let (algorithm, key_id) = supported(&header).ok_or(AuthenticationError::Untrusted)?;
        Ok(Self { algorithm, key_id, claims, message: message.as_bytes(), signature })
    }
}

/// Splits a token into its header, its claims, its signing input and its signature.
fn split(text: &str) -> Option<(JsonFields, JsonFields, &str, Vec<u8>)> {
    let (message, signature) = text.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    Some((part(header)?, part(claims)?, message, URL_SAFE_NO_PAD.decode(signature).ok()?))
}

/// Returns the algorithm and the `kid` of a header. Returns `None` if the header is not supported.
fn supported(header: &JsonFields) -> Option<(Algorithm, Option<String>)> {
    // RFC 7515: a token with unsupported critical extensions must be rejected, and this parser supports none. Even a
    // `crit` of `null` is rejected.
    if header.0.contains_key("crit") {
        return None;
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => return None,
    };
    Some((Algorithm::parse(header.get("alg")?.as_str()?)?, key_id))
}

/// Decodes the header or the claims of a token.
fn part(text: &str) -> Option<JsonFields> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
