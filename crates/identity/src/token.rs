//! The text of a token, taken apart. What it says is not believed yet.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Algorithm;

/// A JSON object in which no name occurs twice. A name that did would mean one thing to this program, and another to the next.
pub(crate) struct Members(BTreeMap<String, Value>);

impl Members {
    /// What the member says, unless there is none or it is `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A signed token in its compact form: what it claims, and what is needed to see whether that is true.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    /// `kid`: which of its issuer's keys signed it.
    pub(crate) key_id: Option<String>,
    pub(crate) claims: Members,
    /// What was signed.
    pub(crate) message: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// `None` if it is no such token, or of an algorithm that is never accepted.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Members = part(header)?;
        // RFC 7515: extensions that must be understood are not. `null` is no list of them either.
        if header.0.contains_key("crit") {
            return None;
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return None,
        };
        Some(Self {
            algorithm: Algorithm::parse(header.get("alg")?.as_str()?)?,
            key_id,
            claims: part(claims)?,
            message: message.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

fn part(text: &str) -> Option<Members> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
