//! The extractor of a form, which is read only after the person who sent it was authorized.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use crate::authorized::{Admitted, Extraction};
use crate::error::PageError;
use crate::form::Fields;

/// A form that an authorized person has sent. `A` is the authorization, and `T` is the type of the form.
pub(crate) struct Submitted<A, T> {
    pub(crate) page: A,
    pub(crate) form: T,
    /// All fields, also those that `T` does not contain.
    pub(crate) fields: Fields,
}

impl<A: Admitted, T: DeserializeOwned + 'static> FromRequest for Submitted<A, T> {
    type Error = PageError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let page = A::of(&request).await?;
            let (form, fields) = page.signed_in().read_form(&mut payload).await?;
            Ok(Self { page, form, fields })
        })
    }
}
