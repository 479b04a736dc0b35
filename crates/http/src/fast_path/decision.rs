//! Writes decisions as JSON without a serializer, since decisions are the most frequent output of this service.

use iam_domain::Scope;
use iam_permissions_cache::Verdict;

use crate::decision_metrics;
use crate::respond::{MAX_DECIDING_LEVELS, granted_scope};

/// Counts a decision, and writes it as JSON, in the format of [`DecisionData`](crate::respond::DecisionData). The strings of a
/// decision contain no characters that JSON requires to be escaped, so they are written unchanged.
pub(crate) fn write(verdict: &Verdict<'_>, body: &mut Vec<u8>) {
    let outcome = verdict.outcome;
    decision_metrics::count(outcome.reason);
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
    let mut levels = verdict.decided_by();
    let mut count = 0_usize;
    for level in levels.by_ref().take(MAX_DECIDING_LEVELS) {
        put(separator);
        put(level.as_uuid().hyphenated().encode_lower(&mut buffer));
        separator = "\",\"";
        count += 1;
    }
    count += levels.count();
    put(if separator == "\"" { r#"],"decidedByCount":"# } else { r#""],"decidedByCount":"# });
    write_number(count, body);
    body.push(b'}');
}

/// Writes a number in decimal digits.
fn write_number(number: usize, body: &mut Vec<u8>) {
    if number >= 10 {
        write_number(number / 10, body);
    }
    body.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use iam_domain::{Reason, UserLevelId};
    use iam_permissions_cache::Outcome;

    use super::*;
    use crate::respond::DecisionData;

    #[test]
    fn the_output_matches_the_schema() {
        let levels: Vec<_> = (1..=123).map(|n| UserLevelId::from_uuid(uuid::Uuid::from_u128(n))).collect();
        let scopes = [None, Some(Scope::Own), Some(Scope::Team), Some(Scope::Company), Some(Scope::Any)];
        for (reason, scope, allowed, count) in Reason::ALL.into_iter().flat_map(|reason| {
            scopes.into_iter().flat_map(move |scope| {
                [true, false]
                    .into_iter()
                    .flat_map(move |allowed| [0, 1, 3, 10, 11, 123].map(|n| (reason, scope, allowed, n)))
            })
        }) {
            let mut written = Vec::new();
            write(&Verdict::of(Outcome { allowed, scope, reason }, &levels[..count]), &mut written);
            let described = DecisionData {
                allowed,
                scope: granted_scope(allowed, scope),
                reason: reason.text(),
                reason_code: reason.code(),
                decided_by: levels[..count.min(10)].to_vec(),
                decided_by_count: count,
            };
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&described).unwrap());
        }
    }
}
