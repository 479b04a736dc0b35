//! Reads the forms that people send.

use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::web::{BytesMut, Query};
use actix_web::{HttpMessage as _, HttpRequest};
use futures_util::StreamExt as _;
use iam_application::RequestAccount;
use serde::de::DeserializeOwned;

use crate::error::PageError;
use crate::layout::FORM_TOKEN;
use crate::session::Session;

/// Maximum size of a form.
const MAX_BYTES: usize = 256 * 1024;

/// The fields of a form, in the order in which they were sent.
pub(crate) type Fields = Vec<(String, String)>;

/// Reads the fields of a form, after it has been checked that the form belongs to the session.
///
/// # Errors
///
/// Returns [`PageError::Forged`] if the form does not contain the token of the session, and [`PageError::Invalid`] if the
/// body is not a form or too large.
pub(crate) async fn read<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: &mut Payload,
    session: &Session,
) -> Result<(T, Fields), PageError> {
    let invalid = || PageError::Invalid("The form is incomplete or too large".to_owned());
    let account = request.extensions().get::<Rc<dyn RequestAccount>>().cloned().ok_or(PageError::Internal)?;
    let mut body = BytesMut::new();
    while let Some(part) = payload.next().await {
        body.extend_from_slice(&part.map_err(|_| invalid())?);
        if body.len() > MAX_BYTES {
            return Err(invalid());
        }
        account.body_read(false);
    }
    account.body_read(true);
    let text = std::str::from_utf8(&body).map_err(|_| invalid())?;
    let fields = Query::<Fields>::from_query(text).map_err(|_| invalid())?.into_inner();
    let token = fields.iter().find(|(name, _)| name == FORM_TOKEN).map(|(_, value)| value.as_str());
    if !token.is_some_and(|token| session.accepts(token)) {
        return Err(PageError::Forged);
    }
    let form = Query::<T>::from_query(text).map_err(|_| invalid())?.into_inner();
    Ok((form, fields))
}
