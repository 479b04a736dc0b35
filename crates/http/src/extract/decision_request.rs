//! Reads requests for one decision or for a batch of decisions. Unlike the fast path, this reader reports invalid
//! fields.

use iam_application::{FieldCode, FieldError, NamedSubject};
use iam_domain::{CompanyId, ExternalId};
use iam_permissions_cache::Check;

use super::body_reader::FieldReader;
use super::request_reader::{Input, RequestReader};

/// Maximum number of checks in a batch.
pub(crate) const MOST_CHECKS: usize = 1000;

/// Maximum number of checks in a batch of explanations.
const MOST_EXPLANATIONS: usize = 100;

/// The fields of a check. A check that is rejected because of one field may not read the others.
const FIELDS: [&str; 5] = ["view", "feature", "action", "scope", "userId"];

/// A check, together with its subject: the user whose permissions are checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DecisionRequest {
    pub(crate) check: Check,
    pub(crate) subject: NamedSubject,
    /// The external id of the subject, if the request identifies the subject by it.
    pub(crate) external_id: Option<ExternalId>,
}

/// A check in a batch, or its field errors if the check is invalid.
pub(crate) type Item = Result<DecisionRequest, Vec<FieldError>>;

/// A batch of checks. An invalid check is replaced by its field errors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checks(pub(crate) Vec<Item>);

/// A batch of checks to explain. An invalid check is replaced by its field errors.
pub(crate) struct Explanations(pub(crate) Vec<Item>);

impl Input for Explanations {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let company = request.company();
        batch(&mut request.body()?, company, MOST_EXPLANATIONS).map(Self)
    }
}

impl DecisionRequest {
    /// Reads a check from its JSON object. Unknown fields are errors: if a misspelled field name were ignored, the
    /// decision would be made for another user or another scope.
    pub(crate) fn of(fields: &mut FieldReader<'_>) -> Option<Self> {
        fields.know(&FIELDS);
        let subject = fields.subject("userId");
        let check = match (fields.has("view"), fields.has("feature")) {
            (true, false) => {
                if fields.has("action") || fields.has("scope") {
                    return fields.reject("view", FieldCode::Alone, "cannot be combined with action or scope");
                }
                fields.required("view").map(Check::View)
            }
            (false, true) => {
                let feature = fields.required("feature");
                let action = fields.required("action");
                let least_scope = fields.optional("scope");
                Some(Check::Feature { feature: feature?, action: action?, least_scope: least_scope? })
            }
            (false, false) => fields.reject("view", FieldCode::Required, "or feature is required"),
            (true, true) => fields.reject("view", FieldCode::Alone, "cannot be combined with feature"),
        };
        let (check, subject) = (check?, subject?);
        let external_id = subject.as_ref().and_then(|user| user.as_ref().ok()?.external_id.clone());
        Some(Self { check, subject: subject.map(|user| user.map(|user| user.id)), external_id })
    }
}

impl Checks {
    /// Reads a batch of checks, all in the company of the request.
    pub(crate) fn of(fields: &mut FieldReader<'_>, company: Option<CompanyId>) -> Option<Self> {
        batch(fields, company, MOST_CHECKS).map(Self)
    }
}

/// Reads a batch of at most `most` checks, all in the company of the request.
fn batch(fields: &mut FieldReader<'_>, company: Option<CompanyId>, most: usize) -> Option<Vec<Item>> {
    let read = |fields: &mut FieldReader<'_>| {
        // All checks are decided in the company of the request. Therefore, a check that specifies another company is
        // invalid.
        fields.know(&FIELDS);
        if fields.optional("companyId")?.is_some_and(|named| Some(named) != company) {
            return fields.reject("companyId", FieldCode::Disagree, "is not the company of the request");
        }
        DecisionRequest::of(fields)
    };
    fields.each("checks", most, read)
}

#[cfg(test)]
mod tests {
    use iam_domain::{Caller, UserId};
    use iam_identity::{TokenVerifier, UserNames};

    use super::*;
    use crate::extract::body_reader::Findings;

    const ID: &str = "018f3c1e-0000-7000-8000-000000000001";

    #[test]
    fn an_invalid_check_is_replaced_by_its_field_errors() {
        let body = format!(
            r#"{{"checks":[{{"view":"/"}},{{}},7,{{"view":"/","companyId":"{}"}},{{"view":"/","companyId":"{ID}"}}]}}"#,
            "018f3c1e-0000-7000-8000-000000000002"
        );
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let (verifier, mut findings) = (TokenVerifier::hs256(&"secret".into()), Findings::default());
        let names = UserNames::of_caller(&verifier, Caller::user(UserId::parse(ID).unwrap()));
        let mut fields = FieldReader::of(body.as_object().unwrap(), String::new(), names, &mut findings);
        let Checks(items) = Checks::of(&mut fields, Some(CompanyId::parse(ID).unwrap())).unwrap();
        drop(fields);
        findings.reject_unknown();
        assert!(findings.is_empty());
        let told: Vec<_> =
            items.iter().map(|item| item.as_ref().map_or_else(|e| e[0].message.as_str(), |_| "")).collect();
        assert_eq!(
            told,
            [
                "",
                "View or feature is required",
                "check must be an object",
                "companyId is not the company of the request",
                ""
            ]
        );
    }
}
