//! The sign-in at an identity provider: the authorization code flow of OpenID Connect, with PKCE.

use std::time::Duration;

use iam_identity::{MAX_DOCUMENT_BYTES, http_client};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// Timeout of a request to the identity provider.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An issuer at whose identity provider people sign in.
#[derive(Debug, Clone)]
pub struct SignInIssuer {
    /// The issuer, which must be one of the trusted issuers.
    pub issuer: String,
    /// The id of the console as a client of the identity provider.
    pub client_id: String,
    /// The secret of the client. `None` for a public client.
    pub client_secret: Option<SecretString>,
}

/// The reason why a sign-in at the identity provider fails. The messages contain no response and no URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// The identity provider cannot be reached, or responds with an error.
    #[error("the identity provider does not respond as expected: {0}")]
    Unavailable(&'static str),
    /// The identity provider rejects the code.
    #[error("the identity provider rejects the code")]
    Code,
}

/// A part of the configuration that an identity provider publishes.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    end_session_endpoint: Option<Url>,
}

/// The part of a token response that contains the ID token.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct WithIdToken {
    id_token: String,
}

impl ExtraTokenFields for WithIdToken {}

type Tokens = StandardTokenResponse<WithIdToken, BasicTokenType>;

type OpenIdClient = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What a sign-in must remember until the person returns from the identity provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The issuer.
    pub(crate) issuer: String,
    /// The value that the identity provider returns unchanged.
    pub(crate) state: String,
    /// The value that the ID token contains.
    pub(crate) nonce: String,
    /// The secret of which the identity provider knows the hash.
    verifier: String,
    /// The page to which the person returns.
    pub(crate) to: String,
    /// The time of the beginning, in microseconds since the Unix epoch.
    pub(crate) began_at: i64,
}

/// Returns `true` if a request to this URL can be neither read nor changed on its way.
fn is_safe(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_local)
}

/// Sends a request. Redirects are not followed, and the size of the response is limited.
async fn send(request: HttpRequest) -> Result<HttpResponse, ProviderError> {
    let unavailable = |_| ProviderError::Unavailable("no response");
    let client = http_client(TIMEOUT).map_err(|_| ProviderError::Unavailable("no HTTP client"))?;
    let request = reqwest::Request::try_from(request).map_err(unavailable)?;
    let mut response = client.execute(request).await.map_err(unavailable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
            return Err(ProviderError::Unavailable("a response that is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    Ok(answer)
}

impl SignInIssuer {
    /// Returns the name of the issuer for people: the host of its URL.
    pub(crate) fn name(&self) -> String {
        let host = Url::parse(&self.issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.unwrap_or_else(|| self.issuer.clone())
    }

    /// Reads the configuration of the identity provider.
    async fn metadata(&self) -> Result<Metadata, ProviderError> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let address = Url::parse(&address).ok().filter(is_safe);
        let address = address.ok_or(ProviderError::Unavailable("its issuer is not an https URL"))?;
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = address.as_str().parse().map_err(|_| ProviderError::Unavailable("its URL is invalid"))?;
        let response = send(request).await?;
        if response.status().as_u16() != 200 {
            return Err(ProviderError::Unavailable("no configuration"));
        }
        let metadata = serde_json::from_slice::<Metadata>(response.body());
        let metadata = metadata.map_err(|_| ProviderError::Unavailable("its configuration is invalid"))?;
        let is_ours = metadata.issuer == self.issuer;
        if !is_ours || !is_safe(&metadata.authorization_endpoint) || !is_safe(&metadata.token_endpoint) {
            return Err(ProviderError::Unavailable("its configuration is of another issuer, or not secure"));
        }
        Ok(metadata)
    }

    fn client(&self, metadata: Metadata, callback: Url) -> OpenIdClient {
        let mut client = Client::new(ClientId::new(self.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint))
            .set_redirect_uri(RedirectUrl::from_url(callback));
        if let Some(secret) = &self.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        client
    }

    /// Begins a sign-in. Returns the address of the identity provider to which the person goes, and what the session must
    /// remember.
    pub(crate) async fn begin(
        &self,
        callback: Url,
        to: String,
        began_at: i64,
    ) -> Result<(Url, Pending), ProviderError> {
        let client = self.client(self.metadata().await?, callback);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random().into_secret();
        let (address, state) = client
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("openid".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .add_extra_param("nonce", nonce.clone())
            .set_pkce_challenge(challenge)
            .url();
        let (issuer, state, verifier) = (self.issuer.clone(), state.into_secret(), verifier.into_secret());
        Ok((address, Pending { issuer, state, nonce, verifier, to, began_at }))
    }

    /// Exchanges the code of a sign-in for its ID token, which is not verified yet.
    pub(crate) async fn id_token(
        &self,
        callback: Url,
        pending: &Pending,
        code: String,
    ) -> Result<String, ProviderError> {
        let client = self.client(self.metadata().await?, callback);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()));
        match request.request_async(&send).await {
            Ok(tokens) => Ok(tokens.extra_fields().id_token.clone()),
            Err(oauth2::RequestTokenError::ServerResponse(_)) => Err(ProviderError::Code),
            Err(oauth2::RequestTokenError::Request(error)) => Err(error),
            Err(_) => Err(ProviderError::Unavailable("its token response is invalid")),
        }
    }

    /// Returns the address at which the person also signs out of the identity provider, if it has one.
    pub(crate) async fn end_session(&self, back: &Url) -> Result<Option<Url>, ProviderError> {
        let Some(mut address) = self.metadata().await?.end_session_endpoint.filter(is_safe) else { return Ok(None) };
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("post_logout_redirect_uri", back.as_str());
        Ok(Some(address))
    }
}
