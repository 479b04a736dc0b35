//! The expected response to a test case, and its comparison with the actual response.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::Answer;

/// The expected response to a test case.
#[derive(Debug, Clone)]
pub enum Expected {
    /// An error with status 400 and exactly this message.
    Invalid(String),
    /// An error with status 400. Its message begins with the first string and contains the second string.
    Begins(String, &'static str),
    /// An error with status 400 and validation errors for exactly these fields.
    Findings(Vec<String>),
    /// An error with this status, code and message.
    Error(u16, &'static str, String),
    /// The response to a batch of two checks, with status 200. The result of the first check is an error with exactly
    /// this message. The second check is evaluated.
    InPlace(String),
    /// The response to a batch of two checks, with status 200. The result of the first check is an error with
    /// validation errors for exactly these fields. The second check is evaluated.
    InPlaceFindings(Vec<String>),
    /// A response with the success status of the operation.
    Accepted,
    /// A response with the success status of the operation. The operation has no effect and stores nothing.
    NothingToDo,
}

impl Expected {
    pub fn invalid(field: &str, what: &str) -> Self {
        Self::Invalid(format!("{field} {what}"))
    }

    /// Returns the expected error for a missing field in the format of the original system. The message begins with a
    /// capital letter: "Name is required".
    pub fn required(field: &str) -> Self {
        let (first, rest) = field.split_at(1);
        Self::Invalid(format!("{}{rest} is required", first.to_uppercase()))
    }

    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    pub fn is_success(&self) -> bool {
        matches!(self, Self::Accepted | Self::NothingToDo)
    }

    pub fn check(&self, about: &str, status: u16, answer: &Answer) {
        let code = |answer: &Answer| answer.error().1;
        if matches!(self, Self::InPlace(_) | Self::InPlaceFindings(_)) {
            return self.check_in_place(about, answer);
        }
        if !self.is_success() && answer.status.is_success() {
            panic!(
                "{about}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body[..200.min(answer.body.len())])
            );
        }
        match self {
            Self::Accepted | Self::NothingToDo => {
                assert_eq!(answer.status.as_u16(), status, "{about}: {}", String::from_utf8_lossy(&answer.body));
            }
            Self::Invalid(message) => {
                let expected = (400, "ERR_VALIDATION_001".to_owned(), message.clone());
                assert_eq!(answer.error(), expected, "{about}");
                let errors = answer.json()["errors"].take();
                assert_eq!(errors.as_array().map(Vec::len), Some(1), "{about}: {errors}");
                assert_eq!(errors[0]["message"], message.as_str(), "{about}");
            }
            Self::Begins(start, part) => {
                let (status, code, message) = answer.error();
                assert_eq!((status, code.as_str()), (400, "ERR_VALIDATION_001"), "{about}: {message}");
                assert!(message.starts_with(start.as_str()) && message.contains(part), "{about}: {message}");
            }
            Self::InPlace(_) | Self::InPlaceFindings(_) => {}
            Self::Findings(fields) => {
                assert_eq!(code(answer), "ERR_VALIDATION_003", "{about}: {}", answer.json());
                assert_eq!(answer.error().2, "Validation failed", "{about}");
                let errors = answer.json()["errors"].as_array().unwrap().clone();
                let found: BTreeSet<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
                assert_eq!(found, fields.iter().map(String::as_str).collect(), "{about}");
                for error in &errors {
                    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{about}: {error}");
                    assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{about}: {error}");
                }
            }
            Self::Error(status, code, message) => {
                assert_eq!(answer.error(), (*status, (*code).to_owned(), message.clone()), "{about}");
            }
        }
    }
}

impl Expected {
    fn check_in_place(&self, about: &str, answer: &Answer) {
        assert_eq!(answer.status, 200, "{about}: {}", String::from_utf8_lossy(&answer.body));
        let results = answer.data()["results"].as_array().unwrap().clone();
        let [refused, other] = <[Value; 2]>::try_from(results).unwrap();
        assert_eq!(other["allowed"], true, "{about}: {other}");
        assert_eq!(refused["allowed"], false, "{about}: {refused}");
        let error = &refused["error"];
        match self {
            Self::InPlace(message) => {
                assert_eq!(
                    (&error["code"], &error["message"]),
                    (&json!("ERR_VALIDATION_001"), &json!(message)),
                    "{about}"
                );
                assert_eq!(error["errors"].as_array().map(Vec::len), Some(1), "{about}");
            }
            Self::InPlaceFindings(fields) => {
                assert_eq!(error["code"], "ERR_VALIDATION_003", "{about}: {refused}");
                let found: BTreeSet<_> =
                    error["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
                assert_eq!(found, fields.iter().map(String::as_str).collect(), "{about}");
            }
            other => panic!("{other:?} is not an expected response to a batch of checks"),
        }
    }

    /// Returns the expected response to a list whose first element is an invalid object. `self` is the expected
    /// response to this object alone. Each element of the list is evaluated separately.
    pub fn in_place(self, list: &str) -> Self {
        match self {
            Self::Invalid(message) => Self::InPlace(message),
            Self::Findings(fields) => Self::InPlaceFindings(fields),
            // A body with invalid JSON is rejected as a whole.
            Self::Begins(at, part) if at == "body" => Self::Begins(format!("{list}[0]"), part),
            Self::Begins(at, part) => Self::Begins(format!("{list}[0].{at}"), part),
            other => other,
        }
    }
}
