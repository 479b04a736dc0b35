//! The admin console in the process of the test, and browsers that use it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{App, test};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, LocalBoxStream, StreamExt as _};
use iam_application::{FigureSource, Figures, RecentOperations};
use iam_console::{Console, ConsoleOptions, ConsoleServices, DemoUser};
use iam_domain::{Clock, UserId};
use iam_http::{Api, HttpOptions, Pages, Services};
use iam_identity::{TokenVerifier, system_clock};

use super::answer::Answer;
use super::api::{Fine, TestApi, secret, token};

/// The parts of a body.
type Parts = LocalBoxStream<'static, Result<Bytes, PayloadError>>;

type Call = Rc<dyn Fn(test::TestRequest, Option<Parts>) -> LocalBoxFuture<'static, Answer>>;

/// The address of a browser on another machine.
const ELSEWHERE: &str = "192.0.2.7:4711";

/// One replica of the service with its console.
#[derive(Clone)]
pub struct TestConsole(Call);

/// What a console needs besides the application of a test API.
pub struct Setting {
    pub verifier: TokenVerifier,
    pub clock: Clock,
    pub options: ConsoleOptions,
    pub http: HttpOptions,
    pub figures: Arc<dyn FigureSource>,
}

/// Figures that a test determines.
#[derive(Default)]
pub struct FixedFigures {
    pub history: Vec<Figures>,
    pub operations: RecentOperations,
}

impl FigureSource for FixedFigures {
    fn replica(&self) -> &str {
        "replica-of-the-test"
    }

    fn history(&self) -> Vec<Figures> {
        self.history.clone()
    }

    fn operations(&self) -> RecentOperations {
        self.operations.clone()
    }
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            verifier: TokenVerifier::hs256(&secret()),
            clock: system_clock(),
            options: ConsoleOptions::default(),
            http: HttpOptions::default(),
            figures: Arc::new(FixedFigures::default()),
        }
    }
}

impl Setting {
    /// Adds a demo user.
    pub fn demo(mut self, user: UserId, label: &str, is_super_admin: bool) -> Self {
        let (label, description) = (label.to_owned(), String::new());
        self.options.demo_users.push(DemoUser { user, label, description, is_super_admin });
        self
    }
}

impl TestConsole {
    /// Creates a console of the application of this API.
    pub async fn of(api: &TestApi, setting: Setting) -> Self {
        let Setting { verifier, clock, options, http, figures } = setting;
        let (application, verifier) = (Arc::clone(&api.application), Arc::new(verifier.with_clock(clock.clone())));
        let services = ConsoleServices {
            application: Arc::clone(&application),
            verifier: Arc::clone(&verifier),
            clock: clock.clone(),
            probe: Arc::new(Fine),
            figures,
        };
        let console = Console::new(services, options);
        let pages = Pages {
            path: iam_console::PATH,
            mount: Arc::new(move |config| iam_console::configure(config, &console)),
            failed: iam_console::failed,
        };
        let services = Services { application, verifier, probe: Arc::new(Fine), clock };
        let api = Api::new(services, HttpOptions { pages: Some(pages), ..http });
        let app = App::new().configure(|config| iam_http::configure(config, &api));
        let service = Rc::new(test::init_service(app).await);
        Self(Rc::new(move |request, parts| {
            let service = Rc::clone(&service);
            Box::pin(async move {
                let mut request = request.to_request();
                if let Some(parts) = parts {
                    *request.payload() = Payload::from(parts);
                }
                let response = match test::try_call_service(service.as_ref(), request).await {
                    Ok(response) => response.into_parts().1.map_into_boxed_body(),
                    Err(error) => error.error_response(),
                };
                let (status, headers) = (response.status(), response.headers().clone());
                let body = actix_web::body::to_bytes(response.into_body()).await.unwrap().to_vec();
                Answer { status, headers, body }
            })
        }))
    }

    /// Returns a browser without cookies on another machine.
    pub fn browser(&self) -> Browser {
        Browser { console: self.clone(), cookies: RefCell::default(), address: ELSEWHERE.parse().unwrap() }
    }

    /// Returns a browser that is signed in with a token.
    pub async fn signed_in(&self, user: UserId, is_super_admin: bool) -> Browser {
        let browser = self.browser();
        browser.sign_in(&token(user, is_super_admin)).await.expect(303);
        browser
    }
}

/// A browser with its cookies.
#[derive(Clone)]
pub struct Browser {
    pub console: TestConsole,
    pub cookies: RefCell<BTreeMap<String, String>>,
    pub address: SocketAddr,
}

/// Returns the value of the first token in the forms of a page.
pub fn form_token(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once(r#"name="csrf" value=""#).expect("the page must contain a form with a token");
    rest.split('"').next().unwrap().to_owned()
}

impl Browser {
    /// Returns the same browser, which now reaches another replica.
    pub fn at(&self, console: &TestConsole) -> Self {
        Self { console: console.clone(), ..self.clone() }
    }

    /// Sends a request with the cookies of the browser, and stores the cookies of the response.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Answer {
        let parts = body.map(|body| stream::iter([Ok(Bytes::from(body))]).boxed_local());
        self.send_parts(method, path, headers, parts).await
    }

    async fn send_parts(&self, method: Method, path: &str, headers: &[(&str, &str)], parts: Option<Parts>) -> Answer {
        let mut request = test::TestRequest::default().method(method).uri(path).peer_addr(self.address);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.insert_header((header::HOST, "iam.example"));
        }
        for header in headers {
            request = request.insert_header(*header);
        }
        let cookies: Vec<_> = self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.insert_header((header::COOKIE, cookies.join("; ")));
        }
        if parts.is_some() {
            request = request.insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"));
        }
        let answer = (self.console.0)(request, parts).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let (name, value) = line.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// Sends a form as the browser does from a page of the console.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, &[("sec-fetch-site", "same-origin")], Some(encode(fields))).await
    }

    /// Sends a form of which the last byte is sent only after the given future completes.
    pub fn post_after(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        something: impl Future<Output = ()> + 'static,
    ) -> impl Future<Output = Answer> + 'static {
        let (browser, path) = (self.clone(), path.to_owned());
        let mut first = Bytes::from(encode(fields));
        let last = first.split_off(first.len() - 1);
        let last = async {
            something.await;
            Ok(last)
        };
        let parts = stream::iter([Ok(first)]).chain(stream::once(last)).boxed_local();
        async move {
            let same = [("sec-fetch-site", "same-origin")];
            browser.send_parts(Method::POST, &path, &same, Some(parts)).await
        }
    }

    /// Opens a page, and sends a form with the token of this page.
    pub async fn submit(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = form_token(&self.get(page).await);
        self.post(path, &[&[("csrf", token.as_str())], fields].concat()).await
    }

    /// Signs in with a token.
    pub async fn sign_in(&self, token: &str) -> Answer {
        self.submit("/console/sign-in", "/console/sign-in/token", &[("token", token)]).await
    }

    /// Returns `true` if the console knows who uses the browser.
    pub async fn is_signed_in(&self) -> bool {
        self.get("/console/companies").await.status == StatusCode::OK
    }
}

/// Encodes the fields of a form.
pub fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        for (part, end) in [(name, "="), (value, "")] {
            part.bytes().for_each(|byte| text.push_str(&format!("%{byte:02x}")));
            text.push_str(end);
        }
    }
    text
}
