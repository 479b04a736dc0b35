//! Mounts the console: its middleware, and the routes of its pages.

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, Route};

use crate::console::Console;
use crate::error::PageError;
use crate::guard::guard;
use crate::path::PATH;
use crate::session::with_sessions;
use crate::{assets, pages};

/// Mounts the console into an Actix application.
pub fn configure(config: &mut ServiceConfig, console: &Data<Console>) {
    let guarded = |console: &Data<Console>| {
        let console = Data::clone(console);
        from_fn(move |request, next| guard(Data::clone(&console), request, next))
    };
    let sessions = Data::clone(console);
    // The files need no session, so they are available while the storage is not.
    let files = web::scope(assets::PATH)
        .wrap(guarded(console))
        .service(page("/{hash}/{name}", pages::files::serve))
        .default_service(web::route().to(not_found));
    let scope =
        web::scope(PATH)
            .app_data(Data::clone(console))
            .app_data(QueryConfig::default().error_handler(|_, _| {
                PageError::Invalid("The address contains an invalid parameter".to_owned()).into()
            }))
            .app_data(PathConfig::default().error_handler(|_, _| PageError::NotFound.into()))
            .wrap(from_fn(move |request, next| with_sessions(Data::clone(&sessions), request, next)))
            .wrap(guarded(console))
            .configure(routes)
            .default_service(web::route().to(not_found));
    config.service(files).service(scope);
}

/// Returns the resource of a page.
fn page<F, Args>(path: &str, show: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path).get(show).default_service(wrong_method("GET, HEAD"))
}

/// Returns the resource to which forms are sent.
fn form<F, Args>(path: &str, send: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path).post(send).default_service(wrong_method("POST"))
}

/// Returns the resource of a page to which forms are also sent.
fn page_with_form<F, Args, G, Sent>(path: &str, show: F, send: G) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
    G: Handler<Sent>,
    Sent: FromRequest + 'static,
    G::Output: Responder + 'static,
{
    web::resource(path).get(show).post(send).default_service(wrong_method("GET, HEAD, POST"))
}

/// Returns the route for requests with another method than those that are allowed.
fn wrong_method(allowed: &'static str) -> Route {
    web::route().to(move || async move { PageError::WrongMethod(allowed).error_response() })
}

fn routes(config: &mut ServiceConfig) {
    config
        .service(page("", pages::start::show))
        .service(page("/", pages::start::without_slash))
        .service(page("/sign-in", pages::sign_in::show))
        .service(form("/sign-in/demo", pages::sign_in::as_demo_user))
        .service(form("/sign-in/token", pages::sign_in::with_token))
        .service(page("/sign-in/provider/{number}", pages::provider::begin))
        .service(page("/sign-in/callback", pages::provider::callback))
        .service(page("/sign-out/provider/{number}", pages::provider::end))
        .service(form("/sign-out", pages::sign_in::sign_out))
        .service(page("/health", pages::health::page::show))
        .service(page("/health/figures", pages::health::page::refresh))
        .service(page("/companies", pages::companies::list))
        .service(page("/companies/options", pages::companies::options))
        .service(page("/companies/{company}", pages::overview::show))
        .service(page("/companies/{company}/search", pages::search::show))
        .configure(levels)
        .configure(matrix)
        .configure(users)
        .configure(decisions);
}

fn levels(config: &mut ServiceConfig) {
    config
        .service(page_with_form("/companies/{company}/levels", pages::levels::list::show, pages::levels::list::create))
        .service(page("/companies/{company}/levels/compare", pages::levels::compare::show))
        .service(page_with_form(
            "/companies/{company}/levels/{level}",
            pages::levels::level::show,
            pages::levels::level::update,
        ))
        .service(form("/companies/{company}/levels/{level}/delete", pages::levels::level::delete))
        .service(page_with_form(
            "/companies/{company}/levels/{level}/matrix",
            pages::matrix::editor::show,
            pages::matrix::editor::with_draft,
        ));
}

fn matrix(config: &mut ServiceConfig) {
    config
        .service(page_with_form(
            "/companies/{company}/matrix",
            pages::matrix::overview::show,
            pages::matrix::overview::with_draft,
        ))
        .service(form("/companies/{company}/matrix/review", pages::matrix::review::show))
        .service(form("/companies/{company}/matrix/save", pages::matrix::save::save));
}

fn users(config: &mut ServiceConfig) {
    config
        .service(page("/companies/{company}/users", pages::users::list::show))
        .service(page("/companies/{company}/users/open", pages::users::list::open))
        .service(form("/companies/{company}/users/review", pages::users::review::show))
        .service(form("/companies/{company}/users/change", pages::users::review::change))
        .service(page("/companies/{company}/users/{user}", pages::users::user::show))
        .service(form("/companies/{company}/users/{user}/sign-out", pages::users::user::sign_out));
}

fn decisions(config: &mut ServiceConfig) {
    config
        .service(page("/companies/{company}/why", pages::decisions::why::show))
        .service(page("/companies/{company}/who-can", pages::decisions::who_can::show))
        .service(page("/companies/{company}/who-can.csv", pages::decisions::export::show));
}

async fn not_found() -> HttpResponse {
    PageError::NotFound.error_response()
}
