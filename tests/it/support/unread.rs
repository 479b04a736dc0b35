//! The responses of the API under test before their bodies are read.

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, to_bytes};
use actix_web::http::Method;

use super::answer::Answer;
use super::contract;

/// A response whose body has not been read.
pub struct Unread {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) response: HttpResponse<BoxBody>,
}

impl Unread {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Reads the body. The response and the request with this body must conform to the OpenAPI document.
    pub(super) async fn read(self, sent: &[u8]) -> Answer {
        let Self { method, uri, response } = self;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: to_bytes(response.into_body()).await.unwrap().to_vec() };
        contract::check(&method, &uri, sent, &answer);
        answer
    }
}
