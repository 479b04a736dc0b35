//! The responses of the API under test.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use serde_json::Value;

/// A response of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns `true` if the response announces that the server will close the connection (`Connection: close`).
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the whole body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Returns the member `data` of a successful response.
    pub fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!(json["status"], "success", "{} {json}", self.status);
        json["data"].take()
    }

    /// Returns the status, code and message of an error response.
    pub fn error(&self) -> (u16, String, String) {
        let json = self.json();
        assert_eq!(json["status"], "error", "{} {json}", self.status);
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        (self.status.as_u16(), text("code"), text("message"))
    }

    /// Returns the value of the `ETag` header.
    pub fn etag(&self) -> &str {
        self.header("etag").unwrap()
    }

    /// Returns the field and the message of each validation error in the response.
    pub fn findings(&self) -> Vec<(String, String)> {
        assert_eq!(self.error(), (400, "ERR_VALIDATION_003".to_owned(), "Validation failed".to_owned()));
        let json = self.json();
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let findings = json["errors"].as_array().unwrap();
        findings.iter().map(|finding| (text(finding, "field"), text(finding, "message"))).collect()
    }

    /// Returns the value of a header. Panics if the value is not a valid string.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts the status, then returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}
