//! Authenticates the caller: a user by a token, or a service by an API key.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use iam_application::ServiceAuthentication;
use iam_domain::{Caller, ClaimedProfile, ExternalId, Timestamp, UserId};
use iam_identity::{Admission, AuthenticationError, Credential, PresentedKey, Verified};
use iam_traces::{SpanKind, child, traced};

use crate::middleware::RequestSpan;
use crate::respond::ApiError;
use crate::{Api, Services};

/// An authenticated caller, with the claims of its credential.
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    /// The time when the token was issued (`iat`). `None` for API keys and for tokens without `iat`.
    pub(crate) issued_at: Option<Timestamp>,
    /// The caller's external id, if an external issuer issued the token.
    pub(crate) external_id: Option<Arc<ExternalId>>,
    /// The verified token, which [`Self::recheck`] revalidates. `None` for API keys.
    admission: Option<Admission>,
}

impl Authenticated {
    /// Returns the profile that the token contains, if its issuer provides profiles.
    pub(crate) fn profile(&self) -> Option<&Arc<ClaimedProfile>> {
        self.admission.as_ref().and_then(Admission::profile)
    }

    /// Revalidates the credential. The credential may have expired or been revoked while a slow client was sending the
    /// body.
    pub(crate) async fn recheck(self, request: &HttpRequest, api: &Api, span: &RequestSpan) -> Result<Self, ApiError> {
        let verifier = &api.services().verifier;
        match (&self.admission, self.caller) {
            (Some(admission), Caller::User { id, .. }) if verifier.is_still_valid(admission) => {
                check_cut_off(id, self.issued_at, api).await?;
                Ok(self)
            }
            _ => authenticate(request, api, span).await,
        }
    }
}

/// Authenticates the caller by the `Authorization` header, and records the caller in the span of the request. If the
/// credential is missing or invalid, the response is 401.
pub(crate) async fn authenticate(
    request: &HttpRequest,
    api: &Api,
    span: &RequestSpan,
) -> Result<Authenticated, ApiError> {
    let trace = child("authenticate", SpanKind::Internal, Vec::new);
    let outcome = traced(trace, credential_holder(request, api, span), ApiError::failure).await;
    if let Err(ApiError { authentication: Some(error), .. }) = &outcome {
        metrics::counter!("iam_authentication_failures_total", "reason" => error.reason()).increment(1);
        api.check_failures(api.options().clients.of(request))?;
        api.failures().record(api.options().clients.of(request));
    }
    outcome
}

async fn credential_holder(request: &HttpRequest, api: &Api, span: &RequestSpan) -> Result<Authenticated, ApiError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let header = match (headers.next(), headers.next()) {
        // Two `Authorization` headers are ambiguous, so the request is rejected.
        (Some(_), Some(_)) => Some(""),
        (Some(value), None) => Some(value.to_str().unwrap_or_default()),
        (None, _) => None,
    };
    match Credential::of(header)? {
        Credential::Token(token) => {
            let admitted = match api.services().verifier.admit_cached(token) {
                Some(admitted) => admitted,
                None => {
                    api.check_failures(api.options().clients.of(request))?;
                    api.services().verifier.admit(token).await
                }
            };
            person(admitted?, api, span).await
        }
        Credential::ApiKey(key) => service(&key, api, span).await,
    }
}

async fn person(
    (verified, admission): (Verified, Admission),
    api: &Api,
    span: &RequestSpan,
) -> Result<Authenticated, ApiError> {
    let caller = Caller::User { id: verified.user_id, is_super_admin: verified.is_super_admin };
    span.record_actor(caller);
    check_cut_off(verified.user_id, verified.issued_at, api).await?;
    Ok(Authenticated {
        caller,
        issued_at: verified.issued_at,
        external_id: verified.external_id,
        admission: Some(admission),
    })
}

async fn check_cut_off(user: UserId, issued_at: Option<Timestamp>, api: &Api) -> Result<(), ApiError> {
    if api.services().application.is_cut_off(user, issued_at).await? {
        return Err(AuthenticationError::Revoked.into());
    }
    Ok(())
}

async fn service(presented: &PresentedKey, api: &Api, span: &RequestSpan) -> Result<Authenticated, ApiError> {
    let Services { application, clock, .. } = api.services();
    match application.authenticate_service(presented.prefix(), |digest| presented.matches(digest), clock.now()).await? {
        ServiceAuthentication::Admitted(service) => {
            let caller = Caller::Service(service);
            span.record_actor(caller);
            Ok(Authenticated { caller, issued_at: None, external_id: None, admission: None })
        }
        ServiceAuthentication::Unknown => Err(AuthenticationError::Untrusted.into()),
        ServiceAuthentication::Revoked => Err(AuthenticationError::RevokedKey.into()),
        ServiceAuthentication::Expired => Err(AuthenticationError::Expired.into()),
    }
}
