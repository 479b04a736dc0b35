//! Authenticates the caller: a user by a token, or a service by an API key.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use actix_web::http::header;
use iam_application::ServiceAdmission;
use iam_domain::{Caller, ExternalId, Timestamp, UserId};
use iam_identity::{Admission, AuthenticationError, Credential, PresentedKey};

use crate::Api;
use crate::respond::ApiError;

/// An authenticated caller, with the claims of its credential.
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    /// The time when the token was issued. `None` for API keys and for tokens without `iat`.
    pub(crate) issued_at: Option<Timestamp>,
    /// The caller's external id, if an external issuer issued the token.
    pub(crate) external_id: Option<Arc<ExternalId>>,
    /// The proof that the token was verified. `None` for API keys.
    admission: Option<Admission>,
}

impl Authenticated {
    /// Checks the credential again: a slow body can delay the request long after the first check.
    pub(crate) async fn recheck(self, request: &HttpRequest, api: &Api) -> Result<Self, ApiError> {
        let verifier = &api.services().verifier;
        match (&self.admission, self.caller) {
            (Some(admission), Caller::User { id, .. }) if verifier.is_still_good(admission) => {
                check_cut_off(id, self.issued_at, api).await?;
                Ok(self)
            }
            _ => authenticate(request, api).await,
        }
    }
}

/// Authenticates the caller by the `Authorization` header. Without a valid credential, the response is 401.
pub(crate) async fn authenticate(request: &HttpRequest, api: &Api) -> Result<Authenticated, ApiError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let header = match (headers.next(), headers.next()) {
        // Two headers are ambiguous, so neither is accepted.
        (Some(_), Some(_)) => Some(""),
        (Some(value), None) => Some(value.to_str().unwrap_or_default()),
        (None, _) => None,
    };
    match Credential::of(header)? {
        Credential::Token(token) => person(token, api).await,
        Credential::ApiKey(key) => service(&key, api).await,
    }
}

async fn person(token: &str, api: &Api) -> Result<Authenticated, ApiError> {
    let (verified, admission) = api.services().verifier.admit(token).await?;
    check_cut_off(verified.user_id, verified.issued_at, api).await?;
    Ok(Authenticated {
        caller: Caller::User { id: verified.user_id, is_super_admin: verified.is_super_admin },
        issued_at: verified.issued_at,
        external_id: verified.external_id,
        admission: Some(admission),
    })
}

async fn check_cut_off(user: UserId, issued_at: Option<Timestamp>, api: &Api) -> Result<(), ApiError> {
    if api.services().application.is_cut_off(user, issued_at).await? {
        return Err(AuthenticationError::Expired.into());
    }
    Ok(())
}

async fn service(presented: &PresentedKey, api: &Api) -> Result<Authenticated, ApiError> {
    let now = now().ok_or_else(ApiError::internal)?;
    let application = &api.services().application;
    match application.admit_service(presented.prefix(), |digest| presented.matches(digest), now).await? {
        ServiceAdmission::Admitted(service) => {
            Ok(Authenticated { caller: Caller::Service(service), issued_at: None, external_id: None, admission: None })
        }
        ServiceAdmission::Invalid => Err(AuthenticationError::Invalid.into()),
        ServiceAdmission::Expired => Err(AuthenticationError::Expired.into()),
    }
}

fn now() -> Option<Timestamp> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).ok()?)
}
