//! The test cases of a body: every field with each kind of invalid value, and with valid values at its limits.

use serde_json::{Map, Value, json};

use super::expected::Expected;
use super::forms::{Clears, Field, Kind, METHODS, NO_USER, Nullable, Optional, PATH, Required};
use crate::http::operation::Entity;

/// The placeholder in a body for bytes that a [`Value`] cannot represent, such as invalid UTF-8.
pub const SPLICE: &str = "\"@@\"";

/// A test case: a body with placeholders, and the bytes that replace [`SPLICE`] in the body.
pub struct Case {
    pub what: String,
    pub body: String,
    pub splice: Option<Vec<u8>>,
    pub expected: Expected,
}

/// Returns the valid body with another value at the JSON pointer. `None` removes the field.
fn with(body: &Value, pointer: &str, value: Option<Value>) -> String {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("the valid body must contain {pointer}"));
    match (parent, value) {
        (Value::Object(object), Some(value)) => {
            object.insert(name.to_owned(), value);
        }
        (Value::Object(object), None) => {
            object.remove(name);
        }
        (Value::Array(elements), Some(value)) => elements[name.parse::<usize>().unwrap()] = value,
        (parent, _) => panic!("the parent of {pointer} must be an object or an array: {parent}"),
    }
    body.to_string()
}

/// A collection of test cases for the fields of one form. Each case modifies the valid body.
struct Cases<'a> {
    valid: &'a Value,
    /// The character that fills strings up to their maximum length. It has four bytes in UTF-8. Each form uses a
    /// different character, so that names at the length limit do not conflict.
    letter: char,
    all: Vec<Case>,
}

impl Cases<'_> {
    fn add(&mut self, pointer: &str, what: impl std::fmt::Display, value: Option<Value>, expected: Expected) {
        let what = format!("{pointer} {what}");
        self.all.push(Case { what, body: with(self.valid, pointer, value), splice: None, expected });
    }

    fn set(&mut self, pointer: &str, value: Value, expected: Expected) {
        let what: String = value.to_string().chars().take(60).collect();
        self.add(pointer, what, Some(value), expected);
    }

    /// Adds all test cases of a field: each kind of invalid value, and valid values at its limits.
    fn field(&mut self, parent: &str, prefix: &str, field: Field) {
        let (pointer, name) = (format!("{parent}/{}", field.name), format!("{prefix}{}", field.name));
        self.raw(parent, prefix, &pointer, &name, field.name);
        self.presence(&pointer, &name, field);
        self.values(&pointer, &name, field.kind);
    }

    /// Adds test cases with bytes that are not valid JSON.
    fn raw(&mut self, parent: &str, prefix: &str, pointer: &str, name: &str, field: &str) {
        let within = if parent.is_empty() { "body".to_owned() } else { prefix.trim_end_matches('.').to_owned() };
        let twice = format!("null,\"{field}\":null");
        let nested = [b"[".repeat(1000), b"]".repeat(1000)].concat();
        for (what, bytes, at, part) in [
            ("lone surrogate", br#""\ud800""#.to_vec(), name, "is not valid JSON"),
            ("lone trailing surrogate", br#""\udc00x""#.to_vec(), name, "is not valid JSON"),
            ("invalid UTF-8", b"\"\xff\xfe\"".to_vec(), name, "is not valid JSON"),
            ("control character", b"\"a\nb\"".to_vec(), name, "is not valid JSON"),
            ("deep", nested, name, "is not valid JSON"),
            ("not a value", b"nope".to_vec(), name, "is not valid JSON"),
            ("not a number", b"NaN".to_vec(), name, "is not valid JSON"),
            ("beyond all numbers", b"1e999".to_vec(), name, "is not valid JSON"),
            ("twice", twice.into_bytes(), within.as_str(), "occurs twice"),
        ] {
            let body = with(self.valid, pointer, Some(json!("@@")));
            let expected = Expected::Begins(at.to_owned(), part);
            self.all.push(Case { what: format!("{pointer} {what}"), body, splice: Some(bytes), expected });
        }
    }

    fn presence(&mut self, pointer: &str, name: &str, field: Field) {
        self.add(pointer, "is missing", None, missing(name, field));
        if matches!(field.presence, Clears | Nullable) {
            self.set(pointer, Value::Null, Expected::Accepted);
        } else {
            self.set(pointer, Value::Null, wrong_type(name, field.kind));
        }
    }

    fn values(&mut self, pointer: &str, name: &str, kind: Kind) {
        for value in [json!(true), json!(0), json!(1.5), json!("false"), json!([]), json!({})] {
            let fits = match kind {
                Kind::Flag => value.is_boolean(),
                Kind::Integer | Kind::Limit | Kind::Rate => value.is_u64(),
                Kind::Ids(_) | Kind::Texts(..) | Kind::Objects(..) | Kind::Apart(..) => value.is_array(),
                Kind::Inner => value.is_object(),
                _ => value.is_string(),
            };
            if !fits {
                self.set(pointer, value, wrong_type(name, kind));
            }
        }
        match kind {
            Kind::Text(most) => self.text(pointer, name, most, true),
            Kind::KnownAction => {
                self.text(pointer, name, 50, false);
                for action in ["Fly".to_owned(), "read".to_owned(), self.letters(50)] {
                    self.set(
                        pointer,
                        json!(action),
                        Expected::invalid(name, &format!("refers to an unknown action: {action}")),
                    );
                }
            }
            Kind::Key(most) => {
                self.text(pointer, name, most, true);
                for id in [
                    "018f3c1e-0000-7000-8000-000000000001",
                    "018f3c1e000070008000000000000001",
                    "{018f3c1e-0000-7000-8000-000000000001}",
                    "urn:uuid:018f3c1e-0000-7000-8000-000000000001",
                ] {
                    self.set(pointer, json!(id), Expected::invalid(name, "must not be a UUID"));
                }
            }
            Kind::Prose => {
                self.set(pointer, json!("a\0b"), Expected::invalid(name, "must not contain NUL characters"));
                let too_long = Expected::invalid(name, "must be at most 2000 characters");
                self.set(pointer, json!(self.letters(2001)), too_long);
                for text in [String::new(), "  ".to_owned(), self.letters(2000)] {
                    self.set(pointer, json!(text), Expected::Accepted);
                }
            }
            Kind::Reference(most) => {
                for blank in ["", " "] {
                    self.set(pointer, json!(blank), Expected::required(name));
                }
                self.set(pointer, json!("a\0b"), Expected::invalid(name, "must not contain NUL characters"));
                let too_long = format!("must be at most {most} characters");
                self.set(pointer, json!(self.letters(most + 1)), Expected::invalid(name, &too_long));
                let bare = "018f3c1e000070008000000000000001";
                self.set(pointer, json!(bare), Expected::invalid(name, "must not be a UUID"));
                let unknown = ["018f3c1e-0000-7000-8000-000000000001".to_owned(), self.letters(most)];
                for text in unknown {
                    self.set(pointer, json!(text), Expected::NothingToDo);
                }
            }
            Kind::Email => {
                for blank in ["", " "] {
                    self.set(pointer, json!(blank), Expected::required(name));
                }
                self.set(pointer, json!("a@b\0"), Expected::invalid(name, "must not contain NUL characters"));
                let long = format!("{}@b", self.letters(253));
                self.set(pointer, json!(long), Expected::invalid(name, "must be at most 254 characters"));
                let wrong = "contains a disallowed character or has an invalid format";
                for text in ["a", "@b", "a@", "a@b@c", "a b@c", "a@b c"] {
                    self.set(pointer, json!(text), Expected::invalid(name, wrong));
                }
                for text in ["a@b".to_owned(), format!("{}@b", self.letters(252))] {
                    self.set(pointer, json!(text), Expected::Accepted);
                }
            }
            Kind::Flag | Kind::Inner => {}
            Kind::Method => self.wrong(pointer, name, &["", " ", "post", "TRACE", "POST\0"], METHODS),
            Kind::Path => self.wrong(pointer, name, &["", " ", "a\0b", "x", "//a/b", "https://a.example/b"], PATH),
            Kind::Header => {
                self.wrong(pointer, name, &["\0", "a\nb", "\u{7f}"], "must be a value of the header If-Match")
            }
            Kind::Integer => {
                for number in [i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1, i64::MAX, i64::MIN] {
                    let range = "must be between -2147483648 and 2147483647";
                    self.set(pointer, json!(number), Expected::invalid(name, range));
                }
                self.set(pointer, json!(u64::MAX), Expected::invalid(name, "must be an integer"));
                self.set(pointer, json!(7.0), Expected::invalid(name, "must be an integer"));
                for number in [i32::MAX, i32::MIN, 0] {
                    self.set(pointer, json!(number), Expected::Accepted);
                }
            }
            Kind::Limit => {
                for number in [i64::from(u32::MAX) + 1, -1, i64::MAX, i64::MIN] {
                    self.set(pointer, json!(number), Expected::invalid(name, "must be between 0 and 4294967295"));
                }
                self.set(pointer, json!(7.0), Expected::invalid(name, "must be an integer"));
                for number in [1000, 0, u32::MAX] {
                    self.set(pointer, json!(number), Expected::Accepted);
                }
            }
            Kind::Rate => {
                for number in [0, -1, 1_000_001, i64::from(u32::MAX) + 2, i64::MAX, i64::MIN] {
                    self.set(pointer, json!(number), Expected::invalid(name, "must be between 1 and 1000000"));
                }
                self.set(pointer, json!(7.0), Expected::invalid(name, "must be an integer"));
                for number in [1, 1_000_000] {
                    self.set(pointer, json!(number), Expected::Accepted);
                }
            }
            Kind::Word(words) => {
                let first = words.split(", ").next().unwrap();
                let spellings =
                    [String::new(), " ".to_owned(), "banana".to_owned(), first.to_uppercase(), format!("{first}\0")];
                for word in spellings {
                    self.set(pointer, json!(word), Expected::invalid(name, &format!("must be one of: {words}")));
                }
                // The first word is the initial state, which remains.
                for word in words.split(", ").collect::<Vec<_>>().into_iter().rev() {
                    self.set(pointer, json!(word), Expected::Accepted);
                }
            }
            Kind::Id(names) => {
                self.id(pointer, name, names);
                if names.is_none() {
                    self.set(pointer, json!(Entity::Gone), Expected::Accepted);
                }
            }
            Kind::User => {
                self.id(pointer, name, None);
                self.set(pointer, json!(Entity::Gone), Expected::Accepted);
                // Only callers of the whole platform, such as those who provision, learn which issuers are trusted.
                let expected = match name {
                    "adminUserId" => Expected::invalid(name, "specifies an unknown issuer"),
                    _ => Expected::Accepted,
                };
                for unknown in ["issuer|subject", "https://a.example|auth0|1"] {
                    self.set(pointer, json!(unknown), expected.clone());
                }
            }
            Kind::Time => {
                for text in ["", "x", "0", "2026-11-22", "2026-11-22T12:00:00", "2026-13-01T00:00:00Z", "a\0b"] {
                    self.set(
                        pointer,
                        json!(text),
                        Expected::invalid(
                            name,
                            "must be an RFC 3339 time with a time zone, such as 2026-12-31T00:00:00Z",
                        ),
                    );
                }
                for text in ["1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"] {
                    self.set(pointer, json!(text), Expected::invalid(name, "must be between the years 1970 and 9999"));
                }
                for text in ["2998-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999999Z"] {
                    self.set(pointer, json!(text), Expected::Accepted);
                }
            }
            Kind::Ids(what) => self.ids(pointer, name, what),
            Kind::Texts(most, are_keys) => self.texts(pointer, name, most, are_keys),
            Kind::Objects(fields, key) => self.objects(pointer, name, fields, key),
            Kind::Apart(fields, most) => self.apart(pointer, name, fields, most),
        }
    }

    /// Adds test cases with texts that are invalid for the same reason.
    fn wrong(&mut self, pointer: &str, name: &str, texts: &[&str], reason: &str) {
        for text in texts {
            self.set(pointer, json!(text), Expected::invalid(name, reason));
        }
    }

    fn letters(&self, count: usize) -> String {
        self.letter.to_string().repeat(count)
    }

    fn text(&mut self, pointer: &str, name: &str, most: usize, is_any: bool) {
        for blank in ["", " ", "\t\u{a0}\n"] {
            self.set(pointer, json!(blank), Expected::required(name));
        }
        let too_long = Expected::invalid(name, &format!("must be at most {most} characters"));
        self.set(pointer, json!(self.letters(most + 1)), too_long.clone());
        self.set(pointer, json!("x".repeat(most + 1)), too_long);
        for text in ["\0", "a\0b", "ab\0"] {
            self.set(pointer, json!(text), Expected::invalid(name, "must not contain NUL characters"));
        }
        let invisible =
            "must not begin or end with an invisible character, or contain one between two ASCII characters";
        let direction = "must not contain characters that override or isolate the direction of text";
        for (text, what) in [("a\u{200b}", invisible), ("a\u{200d}b", invisible), ("a\u{202e}b", direction)] {
            self.set(pointer, json!(text), Expected::invalid(name, what));
        }
        if is_any {
            self.set(pointer, json!(self.letters(most)), Expected::Accepted);
        }
    }

    fn id(&mut self, pointer: &str, name: &str, names: Option<&str>) {
        let no_id = if name.ends_with("serId") { NO_USER } else { "must be a valid UUID" };
        for text in [
            "",
            " ",
            "x",
            "1",
            "a\0b",
            "00000000-0000-0000-0000-000000000000",
            "018f3c1e000070008000000000000001",
            "{018f3c1e-0000-7000-8000-000000000001}",
            "018f3c1e-0000-7000-8000-00000000000g",
            &format!("{} ", Entity::Gone),
        ] {
            self.set(pointer, json!(text), Expected::invalid(name, no_id));
        }
        self.set(pointer, json!(self.letters(36)), Expected::invalid(name, no_id));
        if let Some(what) = names {
            let unknown = |id: Entity| Expected::invalid(name, &format!("refers to an unknown {what}: {id}"));
            self.set(pointer, json!(Entity::Gone), unknown(Entity::Gone));
            let theirs = match what {
                "menu" => Entity::TheirItem,
                "user-level" => Entity::TheirLevel,
                _ => Entity::Company,
            };
            self.set(pointer, json!(theirs), unknown(theirs));
        }
    }

    fn ids(&mut self, pointer: &str, name: &str, what: &'static str) {
        let valid = self.valid.pointer(pointer).unwrap()[0].as_str().unwrap().to_owned();
        let (first, place) = (format!("{pointer}/0"), format!("{name}[0]"));
        self.id(&first, &place, Some(what));
        self.elements(pointer, name, &[&first, &place], "must be a string");
        let second = format!("{name}[1]");
        self.set(pointer, json!([valid, valid]), Expected::invalid(&second, "occurs twice"));
        let capitals = valid.to_uppercase();
        self.set(pointer, json!([valid, capitals]), Expected::invalid(&second, "occurs twice"));
        let unknown = Expected::invalid(&second, &format!("refers to an unknown {what}: {}", Entity::Gone));
        self.set(pointer, json!([valid, Entity::Gone]), unknown);
        self.set(pointer, json!([]), Expected::Accepted);
        self.set(pointer, json!([capitals]), Expected::Accepted);
    }

    fn texts(&mut self, pointer: &str, name: &str, most: usize, are_keys: bool) {
        let (first, place) = (format!("{pointer}/0"), format!("{name}[0]"));
        self.text(&first, &place, most, !are_keys);
        self.elements(pointer, name, &[&first, &place], "must be a string");
        let valid = self.valid.pointer(&first).unwrap().clone();
        self.set(pointer, json!([valid, valid]), Expected::invalid(&format!("{name}[1]"), "occurs twice"));
        if are_keys {
            for key in ["nope".to_owned(), "GENERAL.READ".to_owned(), self.letters(most)] {
                self.set(
                    &first,
                    json!(key),
                    Expected::invalid(&place, &format!("refers to an unknown feature: {key}")),
                );
            }
            let id = json!("018f3c1e-0000-7000-8000-000000000001");
            self.set(&first, id, Expected::invalid(&place, "must not be a UUID"));
        }
        self.set(pointer, json!([]), Expected::Accepted);
    }

    fn objects(&mut self, pointer: &str, name: &str, fields: &[Field], key: &str) {
        let place = format!("{name}[0]");
        for field in fields {
            self.field(&format!("{pointer}/0"), &format!("{place}."), *field);
        }
        self.elements(pointer, name, &[&format!("{pointer}/0"), &place], "must be an object");
        let valid = self.valid.pointer(&format!("{pointer}/0")).unwrap().clone();
        self.set(pointer, json!([valid, valid]), Expected::invalid(&format!("{name}[1].{key}"), "occurs twice"));
        self.set(pointer, json!([]), Expected::Accepted);
    }

    fn apart(&mut self, pointer: &str, name: &str, fields: &[Field], most: usize) {
        let valid = self.valid.pointer(&format!("{pointer}/0")).unwrap().clone();
        for case in cases_of(&valid, self.letter, fields, true) {
            let body = format!(r#"{{"{name}":[{},{valid}]}}"#, case.body);
            let expected = case.expected.in_place(name);
            self.all.push(Case { what: format!("{pointer}/0{}", case.what), body, splice: case.splice, expected });
        }
        for value in [json!(null), json!(true), json!(0), json!(1.5), json!([]), json!("x")] {
            self.set(pointer, json!([value, valid]), Expected::InPlace("check must be an object".to_owned()));
        }
        let length = Expected::invalid(name, &format!("must contain 1 to {most} elements"));
        self.set(pointer, json!([]), length.clone());
        self.set(pointer, json!(vec![valid.clone(); most + 1]), length);
        self.set(pointer, json!(vec![valid; most]), Expected::Accepted);
    }

    /// Adds test cases for lists in which one element or several elements have the wrong type.
    fn elements(&mut self, pointer: &str, name: &str, [first, place]: &[&str; 2], what: &str) {
        for value in [json!(null), json!(true), json!(0), json!(1.5), json!([])] {
            self.set(first, value, Expected::invalid(place, what));
        }
        self.set(first, if what.contains("object") { json!("x") } else { json!({}) }, Expected::invalid(place, what));
        let both = vec![(*place).to_owned(), format!("{name}[1]")];
        self.set(pointer, json!([null, true]), Expected::Findings(both));
    }
}

/// Returns the expected error for a value of the wrong JSON type.
fn wrong_type(name: &str, kind: Kind) -> Expected {
    let what = match kind {
        Kind::Flag => "must be a boolean",
        Kind::Integer | Kind::Limit | Kind::Rate => "must be an integer",
        Kind::Ids(_) | Kind::Texts(..) | Kind::Objects(..) | Kind::Apart(..) => "must be an array",
        Kind::Inner => "must be an object",
        _ => "must be a string",
    };
    Expected::invalid(name, what)
}

/// Returns the expected response if the field with this path is missing.
fn missing(name: &str, field: Field) -> Expected {
    let is_list = matches!(field.kind, Kind::Ids(_) | Kind::Texts(..) | Kind::Objects(..) | Kind::Apart(..));
    match (field.presence, field.kind) {
        (Optional | Clears, _) => Expected::Accepted,
        (Required | Nullable, Kind::Reference(_)) => Expected::Invalid("View or feature is required".to_owned()),
        (Required | Nullable, _) if is_list => Expected::invalid(name, "must be an array"),
        (Required | Nullable, _) => Expected::required(name),
    }
}

/// Returns all test cases of a form: each field, several errors in one body, and unknown fields. If `is_strict` is
/// `true`, unknown fields are errors.
pub fn cases_of(valid: &Value, letter: char, fields: &[Field], is_strict: bool) -> Vec<Case> {
    let mut cases = Cases { valid, letter, all: Vec::new() };
    for field in fields {
        cases.field("", "", *field);
    }
    let mut all = cases.all;
    if fields.len() > 1 {
        let names: Vec<_> = fields.iter().map(|field| field.name.to_owned()).collect();
        let is_object = |name: &str| fields.iter().any(|field| field.name == name && matches!(field.kind, Kind::Inner));
        let wrong = |name: &String| (name.clone(), if is_object(name) { json!([]) } else { json!({}) });
        let wrong: Map<_, _> = names.iter().map(wrong).collect();
        let body = Value::Object(wrong).to_string();
        all.push(Case { what: "all wrong".to_owned(), body, splice: None, expected: Expected::Findings(names) });
    }
    all.extend(fields.iter().map(|field| in_other_case(valid, *field, is_strict)));
    let mut more = valid.clone();
    more["createdAt"] = json!(Entity::Gone);
    more["an unknown field"] = json!({ "isDefault": [null] });
    let expected = if is_strict {
        Expected::Findings(vec!["createdAt".to_owned(), "an unknown field".to_owned()])
    } else {
        Expected::Accepted
    };
    all.push(Case { what: "more fields".to_owned(), body: more.to_string(), splice: None, expected });
    all
}

/// Returns the test case in which the field name begins with a capital letter. Field names are case-sensitive, so this
/// is an unknown field.
fn in_other_case(valid: &Value, field: Field, is_strict: bool) -> Case {
    let name = field.name;
    let other = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let mut body = valid.clone();
    let value = body.as_object_mut().unwrap().remove(name);
    body[&other] = value.unwrap_or_else(|| json!("x"));
    let expected = match (is_strict, field.presence) {
        (false, _) => missing(name, field),
        (true, Required | Nullable) => {
            let missing = if matches!(field.kind, Kind::Reference(_)) { "view" } else { name };
            Expected::Findings(vec![missing.to_owned(), other.clone()])
        }
        (true, _) => Expected::invalid(&other, &format!("is unknown; did you mean {name}?")),
    };
    Case { what: format!("{other} instead of {name}"), body: body.to_string(), splice: None, expected }
}
