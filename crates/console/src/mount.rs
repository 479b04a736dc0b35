//! Mounts the console: its middleware, and the routes of its pages.

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, Route};

use crate::console::Console;
use crate::error::PageError;
use crate::guard::guard;
use crate::pages::platform::catalog::editor;
use crate::pages::platform::catalog::kind::Kind;
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
        .service(page_with_form("/companies", pages::companies::list, pages::platform::create::create))
        .service(page("/companies/new", pages::platform::create::show))
        .service(page("/companies/options", pages::companies::options))
        .service(page("/companies/{company}", pages::overview::show))
        .service(page("/companies/{company}/search", pages::search::show))
        .configure(levels)
        .configure(matrix)
        .configure(users)
        .configure(decisions)
        .configure(audit)
        .configure(settings)
        .configure(credentials)
        .configure(catalog);
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
        .service(page("/companies/{company}/view-as", pages::view_as::page::show))
        .service(page("/companies/{company}/who-can", pages::decisions::who_can::show))
        .service(page("/companies/{company}/who-can.csv", pages::decisions::export::show));
}

fn audit(config: &mut ServiceConfig) {
    config
        .service(page("/audit", pages::audit::list::of_platform))
        .service(page("/audit.csv", pages::audit::export::of_platform))
        .service(page("/companies/{company}/audit", pages::audit::list::of_company))
        .service(page("/companies/{company}/audit.csv", pages::audit::export::of_company));
}

fn settings(config: &mut ServiceConfig) {
    use pages::platform::settings::{ceilings, erase, modules, overview, status};
    config
        .service(page("/companies/{company}/settings", overview::show))
        .service(form("/companies/{company}/settings/name", overview::rename))
        .service(form("/companies/{company}/settings/modules", modules::save))
        .service(form("/companies/{company}/settings/modules/review", modules::review))
        .service(page_with_form("/companies/{company}/settings/ceilings", ceilings::show, ceilings::with_draft))
        .service(form("/companies/{company}/settings/ceilings/review", ceilings::review))
        .service(form("/companies/{company}/settings/ceilings/save", ceilings::save))
        .service(page_with_form("/companies/{company}/settings/status", status::show, status::change))
        .service(page_with_form("/companies/{company}/settings/erase", erase::show, erase::erase));
}

fn credentials(config: &mut ServiceConfig) {
    use pages::platform::{api_keys, issuers};
    config
        .service(page_with_form("/api-keys", api_keys::list::show, api_keys::create::create))
        .service(page("/api-keys/new", api_keys::create::show))
        .service(page("/api-keys/{key}", api_keys::key::show))
        .service(form("/api-keys/{key}/revoke", api_keys::key::revoke))
        .service(page("/issuers", issuers::show));
}

fn catalog(config: &mut ServiceConfig) {
    use pages::platform::catalog::{features, menu, menu_items, modules, order, sub_items, views};
    config
        .service(page("/catalog", views::list))
        .service(page_with_form("/catalog/views", views::list, editor::create::<views::Views>))
        .service(page_with_form("/catalog/features", features::list, editor::create::<features::Features>))
        .service(page_with_form("/catalog/modules", modules::list, editor::create::<modules::Modules>))
        .service(page("/catalog/menu", menu::show))
        .service(form("/catalog/menu/move", order::change))
        .service(form("/catalog/menu-items", editor::create::<menu_items::MenuItems>))
        .service(form("/catalog/sub-items", editor::create::<sub_items::SubItems>));
    entries::<views::Views>(config);
    entries::<features::Features>(config);
    entries::<modules::Modules>(config);
    entries::<menu_items::MenuItems>(config);
    entries::<sub_items::SubItems>(config);
}

/// Mounts the pages and forms of the entries of a kind.
fn entries<K: Kind>(config: &mut ServiceConfig) {
    let path = |page: &str| format!("/catalog/{}/{page}", K::SEGMENT);
    config
        .service(page(&path("new"), editor::new::<K>))
        .service(page_with_form(&path("{id}"), editor::show::<K>, editor::update::<K>))
        .service(form(&path("{id}/delete"), editor::delete::<K>))
        .service(form(&path("{id}/{part}"), editor::set_content::<K>));
}

async fn not_found() -> HttpResponse {
    PageError::NotFound.error_response()
}
