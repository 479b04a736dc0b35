//! A fast parser for decision requests of the usual form. It parses in one pass, without building a tree of JSON
//! values.
//!
//! A body of the usual form has only documented fields, each at most once, and each string is valid and contains no
//! escape sequences. Nearly every body has this form. All other bodies are parsed on the slow path, by the
//! field-by-field reader in `extract`, which also reports all errors. The tests compare the results of both paths.

use std::fmt;
use std::str::FromStr;

use iam_domain::{Action, FeatureId, FeatureKey, Scope, UserId, ViewId, ViewUrl};
use iam_permissions_cache::{Check, FeatureRef, ViewRef};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::extract::decision_request::{Checks, DecisionRequest, Item, MOST_CHECKS};
use crate::extract::{Input, RequestReader};

impl Input for DecisionRequest {
    fn read_fast(body: &[u8]) -> Option<Self> {
        parse_fast(FastDecisionRequest { is_body: true }, body)
    }

    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Self::of(&mut request.body()?)
    }
}

impl Input for Checks {
    fn read_fast(body: &[u8]) -> Option<Self> {
        parse_fast(FastChecks, body)
    }

    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let company = request.company();
        Self::of(&mut request.body()?, company)
    }
}

/// Parses a whole body. Returns `None` if the fast path does not support the body.
fn parse_fast<'de, S: DeserializeSeed<'de>>(seed: S, body: &'de [u8]) -> Option<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = seed.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// Returns the error for a body that the slow path must parse. Clients never receive this error.
fn unsupported<E: Error>() -> E {
    E::custom("requires the slow path")
}

/// Reads a string without escape sequences into `place`. Returns an error if the field is a duplicate.
fn read_once<'de, A: MapAccess<'de>>(place: &mut Option<&'de str>, map: &mut A) -> Result<(), A::Error> {
    match place.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(unsupported()),
    }
}

/// The parser of a single check.
#[derive(Clone, Copy)]
struct FastDecisionRequest {
    /// `true` if the check is the whole body, `false` if it is an element of a batch. A `companyId` at the top level of
    /// the body is ignored, because the company of the request has already been determined. A `companyId` in an element
    /// of a batch requires the slow path.
    is_body: bool,
}

impl<'de> DeserializeSeed<'de> for FastDecisionRequest {
    type Value = DecisionRequest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DecisionRequest, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FastDecisionRequest {
    type Value = DecisionRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a check")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DecisionRequest, A::Error> {
        let (mut view, mut feature, mut action, mut scope, mut user, mut company) =
            (None, None, None, None, None, None);
        while let Some(name) = map.next_key::<&str>()? {
            let place = match name {
                "view" => &mut view,
                "feature" => &mut feature,
                "action" => &mut action,
                "scope" => &mut scope,
                "userId" => &mut user,
                "companyId" if self.is_body => &mut company,
                _ => return Err(unsupported()),
            };
            read_once(place, &mut map)?;
        }
        let check = match (view, feature, action) {
            (Some(view), None, None) if scope.is_none() => view_ref(view).map(Check::View),
            (None, Some(feature), Some(action)) => feature_check(feature, action, scope),
            _ => None,
        };
        let user = user.map(UserId::parse).transpose().map_err(|_| unsupported())?;
        Ok(DecisionRequest { check: check.ok_or_else(unsupported)?, subject: user.map(Ok), external_id: None })
    }
}

fn view_ref(text: &str) -> Option<ViewRef> {
    match ViewId::parse(text) {
        Ok(id) => Some(ViewRef::Id(id)),
        Err(_) => ViewUrl::stored(text).ok().map(|url| ViewRef::Url(url.into_string())),
    }
}

fn feature_check(feature: &str, action: &str, scope: Option<&str>) -> Option<Check> {
    let feature = match FeatureId::parse(feature) {
        Ok(id) => FeatureRef::Id(id),
        Err(_) => FeatureRef::Key(FeatureKey::stored(feature).ok()?.into_string()),
    };
    let least_scope = scope.map(Scope::from_str).transpose().ok()?;
    Some(Check::Feature { feature, action: Action::parse(action).ok()?, least_scope })
}

/// The parser of a body with a batch of checks.
struct FastChecks;

impl<'de> DeserializeSeed<'de> for FastChecks {
    type Value = Checks;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Checks, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FastChecks {
    type Value = Checks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of checks")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checks, A::Error> {
        let (mut checks, mut company) = (None, None);
        while let Some(name) = map.next_key::<&str>()? {
            match name {
                "checks" if checks.is_none() => checks = Some(map.next_value_seed(FastList)?),
                "companyId" => read_once(&mut company, &mut map)?,
                _ => return Err(unsupported()),
            }
        }
        checks.map(Checks).ok_or_else(unsupported)
    }
}

/// The parser of the list of checks in a batch.
struct FastList;

impl<'de> DeserializeSeed<'de> for FastList {
    type Value = Vec<Item>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FastList {
    type Value = Vec<Item>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of checks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(asked) = sequence.next_element_seed(FastDecisionRequest { is_body: false })? {
            list.push(Ok(asked));
        }
        if list.is_empty() || list.len() > MOST_CHECKS { Err(unsupported()) } else { Ok(list) }
    }
}

#[cfg(test)]
mod tests {
    use iam_domain::{Caller, CompanyId, UserId};
    use iam_identity::{TokenVerifier, UserNames};
    use serde_json::{Map, Value};

    use super::*;
    use crate::extract::body_reader::{FieldReader, Findings};
    use crate::extract::json;

    const ID: &str = r#""018f3c1e-0000-7000-8000-000000000001""#;
    /// The JSON values of the field `view`: values that both paths accept, values that only the slow path accepts, and
    /// invalid values. An empty string means that the field is missing.
    const VIEWS: [&str; 12] = [
        "",
        ID,
        r#""/home""#,
        r#""/ä""#,
        r#""\/home""#,
        r#""""#,
        r#"" ""#,
        r#""\u0000""#,
        "null",
        "1",
        "[]",
        r#""/home"#,
    ];
    const FEATURES: [&str; 5] = ["", ID, r#""general.read""#, r#""018f3c1e000070008000000000000001""#, "{}"];
    const ACTIONS: [&str; 5] = ["", r#""Read""#, r#""Sign off""#, r#""Re\u0061d""#, r#""""#];
    const SCOPES: [&str; 4] = ["", r#""team""#, r#""world""#, "null"];
    const USERS: [&str; 4] = ["", ID, r#""somebody""#, "null"];
    const OTHERS: [&str; 6] = [
        "",
        r#""companyId":"018f3c1e-0000-7000-8000-000000000001""#,
        r#""companyId":1"#,
        r#""view":"/home""#,
        r#""nobody asked":{"for":[1]}"#,
        r#""vi\u0065w":"/home""#,
    ];

    fn company() -> CompanyId {
        CompanyId::parse(ID.trim_matches('"')).unwrap()
    }

    fn fields(body: &[u8]) -> Option<Map<String, Value>> {
        json::parse(body).ok()?.as_object().cloned()
    }

    fn exactly<T>(body: &[u8], read: impl Fn(&mut FieldReader<'_>) -> Option<T>) -> Option<T> {
        let mut findings = Findings::default();
        let verifier = TokenVerifier::hs256(&"secret".into());
        let names = UserNames::of_caller(&verifier, Caller::user(UserId::from_uuid(uuid::Uuid::nil())));
        let value = read(&mut FieldReader::of(&fields(body)?, String::new(), names, &mut findings));
        findings.reject_unknown();
        value.filter(|_| findings.is_empty())
    }

    fn slow_path_check(body: &[u8]) -> Option<DecisionRequest> {
        exactly(body, DecisionRequest::of)
    }

    fn slow_path_batch(body: &[u8]) -> Option<Checks> {
        exactly(body, |fields| Checks::of(fields, Some(company())))
    }

    /// Returns bodies with every combination of the field values.
    fn bodies() -> impl Iterator<Item = String> {
        let written = |name: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!(r#""{name}":{value}"#) }
        };
        let places = VIEWS.len() * FEATURES.len() * ACTIONS.len() * SCOPES.len() * USERS.len() * OTHERS.len();
        (0..places).map(move |mut number| {
            let mut pick = |from: &[&'static str]| {
                let picked = from[number % from.len()];
                number /= from.len();
                picked
            };
            let parts = [
                written("view", pick(&VIEWS)),
                written("feature", pick(&FEATURES)),
                written("action", pick(&ACTIONS)),
                written("scope", pick(&SCOPES)),
                written("userId", pick(&USERS)),
                pick(&OTHERS).to_owned(),
            ];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!("{{{}}}", parts.join(","))
        })
    }

    /// Returns `true` if the body has the form that the fast path supports. The fast path must accept every valid body
    /// of this form.
    fn is_plain(body: &str) -> bool {
        !body.contains('\\') && !body.contains("nobody asked")
    }

    #[test]
    fn the_fast_path_parses_a_check_like_the_strict_parser() {
        let mut at_once = 0;
        for body in bodies() {
            let (fast, exact) = (DecisionRequest::read_fast(body.as_bytes()), slow_path_check(body.as_bytes()));
            match fast {
                Some(fast) => assert_eq!(Some(fast), exact, "{body}"),
                // The slow path does not read `companyId`, so it also accepts a body whose `companyId` is a number.
                // The fast path does not support such a body.
                None => assert!(exact.is_none() || !is_plain(&body) || body.contains("companyId\":1"), "{body}"),
            }
            at_once += usize::from(DecisionRequest::read_fast(body.as_bytes()).is_some());
        }
        assert!(at_once > 40, "{at_once}");
    }

    #[test]
    fn the_fast_path_parses_many_checks_like_the_strict_parser() {
        let mut at_once = 0;
        let some: Vec<_> = bodies().step_by(97).collect();
        let fitting: Vec<_> = bodies().filter(|body| DecisionRequest::read_fast(body.as_bytes()).is_some()).collect();
        let bodies = fitting.iter().flat_map(|one| {
            let pairs = some.iter().chain(&fitting).map(move |other| format!(r#"{{"checks":[{one},{other}]}}"#));
            pairs.chain([
                format!(r#"{{"checks":[{one}],"companyId":{ID}}}"#),
                format!(r#"{{"checks":[{one}],"checks":[{one}]}}"#),
                format!(r#"{{"checks":[{one}],"more":1}}"#),
                format!(r#"{{"checks":[{one},null]}}"#),
                format!(r#"{{"checks":{one}}}"#),
            ])
        });
        for body in bodies {
            let (fast, exact) = (Checks::read_fast(body.as_bytes()), slow_path_batch(body.as_bytes()));
            at_once += usize::from(fast.is_some());
            if fast.is_some() {
                assert_eq!(fast, exact, "{body}");
            }
        }
        assert!(at_once > 500, "{at_once}");
    }

    #[test]
    fn the_fast_path_treats_a_damaged_body_like_the_strict_parser() {
        let asked = format!(r#"{{"feature":"general.read","action":"Read","scope":"own","userId":{ID}}}"#);
        let checks = format!(r#"{{"checks":[{{"view":"/home"}},{asked}]}}"#);
        for body in [asked, checks] {
            for place in 0..body.len() {
                let cut = body.as_bytes()[..place].to_vec();
                let without = [&body.as_bytes()[..place], &body.as_bytes()[place + 1..]].concat();
                let damages = b"\0\" \\{}[]:,x0-\n\xff\xc3".map(|byte| {
                    let mut body = body.clone().into_bytes();
                    body[place] = byte;
                    body
                });
                for damaged in damages.into_iter().chain([cut, without]) {
                    let shown = String::from_utf8_lossy(&damaged);
                    if let Some(asked) = DecisionRequest::read_fast(&damaged) {
                        assert_eq!(Some(asked), slow_path_check(&damaged), "{shown}");
                    }
                    if let Some(checks) = Checks::read_fast(&damaged) {
                        assert_eq!(Some(checks), slow_path_batch(&damaged), "{shown}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_request_has_from_one_to_a_thousand_checks() {
        let body = |count| format!(r#"{{"checks":[{}]}}"#, vec![r#"{"view":"/"}"#; count].join(","));
        for (count, fits) in [(0, false), (1, true), (MOST_CHECKS, true), (MOST_CHECKS + 1, false)] {
            let body = body(count);
            assert_eq!(Checks::read_fast(body.as_bytes()).is_some(), fits, "{count}");
            assert_eq!(slow_path_batch(body.as_bytes()).is_some(), fits, "{count}");
        }
    }
}
