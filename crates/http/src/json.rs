//! JSON, strictly: a member that occurs twice is an error, and every error says where it is.

use std::fmt;

use iam_application::FieldError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The most characters of a path that an error repeats.
const LONGEST_PATH: usize = 200;

/// Reads a document.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let located = serde_path_to_error::deserialize::<_, Strict>(&mut deserializer);
    let outcome = located.map_err(|error| {
        let path: String = error.path().to_string().chars().take(LONGEST_PATH).collect();
        (path, error.into_inner())
    });
    match outcome.and_then(|value| deserializer.end().map(|()| value).map_err(|error| (".".to_owned(), error))) {
        Ok(Strict(value)) => Ok(value),
        Err((path, error)) => {
            let field = match path.as_str() {
                "." | "?" => "body".to_owned(),
                // A place in a body that is no object.
                path if path.starts_with('[') => format!("body{path}"),
                _ => path,
            };
            Err(FieldError::new(field, "malformed", format_args!("is not valid JSON: {error}")))
        }
    }
}

/// A value none of whose objects has a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let Strict(value) = map.next_value()?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member {name:?} occurs twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,3.5,null,true,"x"],"b":{"a":{}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), json!({"a":[1,-2,3.5,null,true,"x"],"b":{"a":{}}}));
    }

    #[test]
    fn errors_name_the_place() {
        let field = |bytes: &[u8]| parse(bytes).unwrap_err().field;
        assert_eq!(field(br#"{"name":"\ud800"}"#), "name");
        assert_eq!(field(b"{\"views\":[{},{\"viewId\":\"\xff\"}]}"), "views[1].viewId");
        assert_eq!(field(br#"{"a":{"b":1,"b":2}}"#), "a");
        assert_eq!(field(b"nonsense"), "body");
        assert_eq!(field(b"{} {}"), "body");
        assert_eq!(field(b"[[],[nope]]"), "body[1][0]");
        assert!(field(format!("{}{}", "{\"a\":".repeat(500), "}".repeat(500)).as_bytes()).starts_with("a.a"));
    }
}
