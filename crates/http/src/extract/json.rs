//! Parses JSON strictly. A duplicate member is an error, and each error contains the path of the invalid value.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use iam_application::{FieldCode, FieldError};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Maximum length of a path in an error, in characters.
const LONGEST_PATH: usize = 200;

/// Maximum number of values in a document, where an object counts as [`OBJECT_COST`] values in addition to its members.
/// This suffices for a permission matrix with 20,000 cells. It also limits memory usage: parsing a body of
/// [`BODY_LIMIT`](super::body::BODY_LIMIT) bytes uses at most about twenty times that size.
const BUDGET: usize = 250_000;
/// The number of values that an object adds to the total, in addition to its members. It accounts for the memory usage
/// of the object's map.
const OBJECT_COST: usize = 10;

/// Parses a document. The error contains the path of the invalid field, or `body`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (mut track, budget) = (serde_path_to_error::Track::new(), Cell::new(BUDGET));
    let located = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let outcome = Strict(&budget).deserialize(located).map_err(|error| {
        let path: String = track.path().to_string().chars().take(LONGEST_PATH).collect();
        (path, error)
    });
    match outcome.and_then(|value| deserializer.end().map(|()| value).map_err(|error| (".".to_owned(), error))) {
        Ok(value) => Ok(value),
        Err((path, error)) => {
            let field = match path.as_str() {
                "." | "?" => "body".to_owned(),
                path if path.starts_with('[') => format!("body{path}"),
                _ => path,
            };
            Err(FieldError::new(field, FieldCode::Malformed, format_args!("is not valid JSON: {error}")))
        }
    }
}

/// Returns `true` if a document may have a field of this name, because it contains the name or an escape sequence that
/// could encode the name.
pub(crate) fn may_have(bytes: &[u8], field: &str) -> bool {
    memchr::memmem::find(bytes, field.as_bytes()).is_some() || memchr::memchr(b'\\', bytes).is_some()
}

/// Returns the string value of one member of an object, without allocating the other members. Returns `Some(None)` if
/// the value of the member is not a string. Returns `None` if the document is not a valid object, lacks the member, or
/// contains it twice.
pub(crate) fn peek(bytes: &[u8], field: &str) -> Option<Option<String>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let found = deserializer.deserialize_map(Peek(field)).ok()?;
    deserializer.end().ok()?;
    found
}

/// A visitor that reads one member of an object and skips all other members.
struct Peek<'m>(&'m str);

impl<'de> Visitor<'de> for Peek<'_> {
    type Value = Option<Option<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(A::Error::custom("the member occurs twice"));
            } else {
                found = Some(map.next_value_seed(Text)?);
            }
        }
        Ok(found)
    }
}

/// A visitor that reads a string, and returns `None` for any other value.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A visitor that rejects duplicate members, and rejects documents whose values exceed the [`BUDGET`]. Without this
/// limit, the parsed values could use far more memory than the document.
#[derive(Clone, Copy)]
struct Strict<'b>(&'b Cell<usize>);

impl Strict<'_> {
    fn spend<E: Error>(self, cost: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(cost).ok_or_else(|| E::custom("the document contains too many values"))?;
        self.0.set(left);
        Ok(())
    }

    fn one<E: Error>(self, value: Value) -> Result<Value, E> {
        self.spend(1)?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.one(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.one(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.one(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.one(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        self.one(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.one(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        self.spend(1)?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.spend(OBJECT_COST)?;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member {name:?} occurs twice")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_parsed_without_changes() {
        let text = r#"{"a":[1,-2,3.5,null,true,"x"],"b":{"a":{}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), json!({"a":[1,-2,3.5,null,true,"x"],"b":{"a":{}}}));
    }

    #[test]
    fn errors_contain_the_path_of_the_value() {
        let field = |bytes: &[u8]| parse(bytes).unwrap_err().field;
        assert_eq!(field(br#"{"name":"\ud800"}"#), "name");
        assert_eq!(field(b"{\"views\":[{},{\"viewId\":\"\xff\"}]}"), "views[1].viewId");
        assert_eq!(field(br#"{"a":{"b":1,"b":2}}"#), "a");
        assert_eq!(field(b"nonsense"), "body");
        assert_eq!(field(b"{} {}"), "body");
        assert_eq!(field(b"[[],[nope]]"), "body[1][0]");
        assert!(field(format!("{}{}", "{\"a\":".repeat(500), "}".repeat(500)).as_bytes()).starts_with("a.a"));
    }

    #[test]
    fn small_documents_cannot_allocate_very_many_values() {
        let objects = |count: usize| format!("[{}0]", "{\"\":0},".repeat(count));
        assert!(parse(objects(20_000).as_bytes()).is_ok());
        assert!(parse(objects(30_000).as_bytes()).unwrap_err().message.contains("too many values"));
        assert!(parse(format!("[{}0]", "0,".repeat(300_000)).as_bytes()).is_err());
    }

    #[test]
    fn a_field_is_found_without_parsing_the_rest() {
        let company = |text: &str| peek(text.as_bytes(), "companyId");
        assert_eq!(company(r#"{"a":[{}],"companyId":"x","b":1}"#), Some(Some("x".to_owned())));
        for other in ["null", "1", "-1", "1.5", "true", "[1]", r#"{"companyId":"y"}"#] {
            assert_eq!(company(&format!(r#"{{"companyId":{other}}}"#)), Some(None), "{other}");
        }
        for none in ["{}", "[]", "", "x", r#"{"a":{"companyId":"x"}}"#, r#"{"companyId":"x"} 1"#, r#"{"companyId":"x""#]
        {
            assert_eq!(company(none), None, "{none}");
        }
        assert_eq!(company(r#"{"companyId":"x","companyId":"x"}"#), None);
        assert_eq!(company(r#"{"company\u0049d":"x"}"#), Some(Some("x".to_owned())));
    }
}
