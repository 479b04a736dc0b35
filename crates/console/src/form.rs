//! Reads the forms that people send.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::{BytesMut, Query};
use futures_util::StreamExt as _;
use iam_application::Refusal;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::error::PageError;
use crate::layout::FORM_TOKEN;

/// Maximum size of a form.
const MAX_BYTES: usize = 256 * 1024;

/// The fields of a form, in the order in which they were sent.
pub(crate) type Fields = Vec<(String, String)>;

/// What forms belong to: a session, or a sign-in that is not complete.
pub(crate) trait FormOwner {
    /// Returns `true` if the token belongs to this owner.
    fn accepts(&self, token: &str) -> bool;
}

/// Returns `true` if a query or a form contains only UTF-8. Otherwise, a value would not be what was sent.
pub(crate) fn is_utf8(encoded: &str) -> bool {
    percent_decode_str(encoded).decode_utf8().is_ok()
}

/// Returns the page for a body that cannot be read.
fn unreadable(error: &PayloadError) -> PageError {
    let refusal = match error {
        PayloadError::Io(error) => error.get_ref().and_then(|error| error.downcast_ref::<Refusal>()),
        _ => None,
    };
    refusal.map_or_else(invalid, |refusal| PageError::from(*refusal))
}

fn invalid() -> PageError {
    PageError::Invalid("The form is incomplete or too large".to_owned())
}

/// Reads the fields of a form, after it has been checked that the form belongs to its owner. The server limits the pace
/// and the memory of the body.
///
/// # Errors
///
/// Returns [`PageError::Forged`] if the form does not contain a token of the owner, [`PageError::Invalid`] if the body is
/// not a form or too large, and the error of the [`Refusal`] if the server refuses the body.
pub(crate) async fn read<T: DeserializeOwned>(
    payload: &mut Payload,
    owner: &impl FormOwner,
) -> Result<(T, Fields), PageError> {
    let mut body = BytesMut::new();
    while let Some(part) = payload.next().await {
        body.extend_from_slice(&part.map_err(|error| unreadable(&error))?);
        if body.len() > MAX_BYTES {
            return Err(invalid());
        }
    }
    let text = std::str::from_utf8(&body).ok().filter(|text| is_utf8(text)).ok_or_else(invalid)?;
    let fields = Query::<Fields>::from_query(text).map_err(|_| invalid())?.into_inner();
    let token = fields.iter().find(|(name, _)| name == FORM_TOKEN).map(|(_, value)| value.as_str());
    if !token.is_some_and(|token| owner.accepts(token)) {
        return Err(PageError::Forged);
    }
    let form = Query::<T>::from_query(text).map_err(|_| invalid())?.into_inner();
    Ok((form, fields))
}
