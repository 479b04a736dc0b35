//! Writes decisions as JSON without a serializer, since decisions are the most frequent output of this service.

use iam_domain::Scope;
use iam_permissions_cache::Verdict;

use crate::respond::granted_scope;

/// Writes a decision as JSON, in the format of [`DecisionData`](crate::respond::DecisionData). The strings of a
/// decision contain no characters that JSON requires to be escaped, so they are written unchanged.
pub(crate) fn write(verdict: &Verdict<'_>, body: &mut Vec<u8>) {
    let outcome = verdict.outcome;
    let mut put = |text: &str| body.extend_from_slice(text.as_bytes());
    put(if outcome.allowed { r#"{"allowed":true,"scope":"# } else { r#"{"allowed":false,"scope":"# });
    put(match granted_scope(outcome.allowed, outcome.scope) {
        None => "null",
        Some(Scope::Own) => r#""own""#,
        Some(Scope::Team) => r#""team""#,
        Some(Scope::Company) => r#""company""#,
        Some(Scope::Any) => r#""any""#,
    });
    put(r#","reason":""#);
    put(outcome.reason.text());
    put(r#"","reasonCode":""#);
    put(outcome.reason.code());
    put(r#"","decidedBy":["#);
    let mut separator = "\"";
    let mut buffer = uuid::Uuid::encode_buffer();
    for level in verdict.decided_by() {
        put(separator);
        put(level.as_uuid().hyphenated().encode_lower(&mut buffer));
        separator = "\",\"";
    }
    put(if separator == "\"" { "]}" } else { "\"]}" });
}

#[cfg(test)]
mod tests {
    use iam_domain::{Reason, UserLevelId};
    use iam_permissions_cache::Outcome;

    use super::*;
    use crate::respond::DecisionData;

    #[test]
    fn the_output_matches_the_schema() {
        let levels: Vec<_> = (1..=3).map(|n| UserLevelId::from_uuid(uuid::Uuid::from_u128(n))).collect();
        let scopes = [None, Some(Scope::Own), Some(Scope::Team), Some(Scope::Company), Some(Scope::Any)];
        for (reason, scope, allowed, count) in Reason::ALL.into_iter().flat_map(|reason| {
            scopes.into_iter().flat_map(move |scope| {
                [true, false].into_iter().flat_map(move |allowed| (0..=3).map(move |n| (reason, scope, allowed, n)))
            })
        }) {
            let decided_by = levels[..count].to_vec();
            let mut written = Vec::new();
            write(&Verdict::of(Outcome { allowed, scope, reason }, &decided_by), &mut written);
            let described = DecisionData {
                allowed,
                scope: granted_scope(allowed, scope),
                reason: reason.text(),
                reason_code: reason.code(),
                decided_by,
            };
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&described).unwrap());
        }
    }
}
