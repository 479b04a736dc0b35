//! Forms that create something once, however often they are sent.

use std::sync::Arc;

use iam_application::{IdempotentRequest, RequestContext, request_digest};
use iam_domain::IdempotencyKey;
use maud::{Markup, html};
use uuid::Uuid;

use crate::error::PageError;
use crate::form::Fields;
use crate::layout::FORM_TOKEN;

/// The name of the field with the random id of the form.
pub(crate) const ONCE: &str = "once";

/// Returns a new random id of a form.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// Returns the hidden field with the random id of the form.
pub(crate) fn once_field(id: &str) -> Markup {
    html! { input type="hidden" name=(ONCE) value=(id); }
}

/// Returns the context in which a creation repeats the previous one if the same form was sent before to the same path.
pub(crate) fn once(context: RequestContext, path: &str, fields: &Fields) -> Result<RequestContext, PageError> {
    let fields: Vec<_> = fields.iter().filter(|(name, _)| name != FORM_TOKEN).collect();
    let content = fields.iter().map(|(name, value)| format!("{name}\0{value}")).collect::<Vec<_>>().join("\0");
    let digest = request_digest(None, format!("{path}\0{content}").as_bytes());
    let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = IdempotencyKey::parse(&format!("console-{key}")).map_err(|error| PageError::internal(&error))?;
    let (method, path) = ("POST".to_owned(), path.to_owned());
    let request = IdempotentRequest { actor: context.caller.actor(), key, method, path, digest };
    Ok(RequestContext { idempotency: Some(Arc::new(request)), ..context })
}
