//! Mounts the console: its middleware, and the routes of its pages.

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};

use crate::console::Console;
use crate::error::PageError;
use crate::guard::guard;
use crate::pages::platform::catalog::editor;
use crate::pages::platform::catalog::kind::Kind;
use crate::path::PATH;
use crate::session::Sessions;
use crate::{assets, pages};

/// Mounts the console into an Actix application.
pub fn configure(config: &mut ServiceConfig, console: &Data<Console>) {
    // The files need no session, so they are available while the storage is not.
    let files = web::scope(assets::PATH)
        .wrap(from_fn(guard))
        .route("/{hash}/{name}", web::get().to(pages::files::serve))
        .default_service(web::route().to(not_found));
    let scope = web::scope(PATH)
        .app_data(Data::clone(console))
        .wrap(Sessions(Data::clone(console)))
        .wrap(from_fn(guard))
        .configure(routes)
        .default_service(web::route().to(not_found));
    config.service(files).service(scope);
}

fn routes(config: &mut ServiceConfig) {
    config
        .route("", web::get().to(pages::start::show))
        .route("/sign-in", web::get().to(pages::sign_in::show))
        .route("/sign-in/demo", web::post().to(pages::sign_in::as_demo_user))
        .route("/sign-in/token", web::post().to(pages::sign_in::with_token))
        .route("/sign-in/provider/{number}", web::get().to(pages::provider::begin))
        .route("/sign-in/callback", web::get().to(pages::provider::callback))
        .route("/sign-out/provider/{number}", web::get().to(pages::provider::end))
        .route("/sign-out", web::post().to(pages::sign_in::sign_out))
        .route("/health", web::get().to(pages::health::page::show))
        .route("/health/figures", web::get().to(pages::health::page::refresh))
        .route("/companies", web::get().to(pages::companies::list))
        .route("/companies", web::post().to(pages::platform::create::create))
        .route("/companies/new", web::get().to(pages::platform::create::show))
        .route("/companies/options", web::get().to(pages::companies::options))
        .route("/companies/{company}", web::get().to(pages::overview::show))
        .route("/companies/{company}/search", web::get().to(pages::search::show))
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
        .route("/companies/{company}/levels", web::get().to(pages::levels::list::show))
        .route("/companies/{company}/levels", web::post().to(pages::levels::list::create))
        .route("/companies/{company}/levels/compare", web::get().to(pages::levels::compare::show))
        .route("/companies/{company}/levels/{level}", web::get().to(pages::levels::level::show))
        .route("/companies/{company}/levels/{level}", web::post().to(pages::levels::level::update))
        .route("/companies/{company}/levels/{level}/delete", web::post().to(pages::levels::level::delete))
        .route("/companies/{company}/levels/{level}/matrix", web::get().to(pages::matrix::editor::show))
        .route("/companies/{company}/levels/{level}/matrix", web::post().to(pages::matrix::editor::with_draft));
}

fn matrix(config: &mut ServiceConfig) {
    config
        .route("/companies/{company}/matrix", web::get().to(pages::matrix::overview::show))
        .route("/companies/{company}/matrix", web::post().to(pages::matrix::overview::with_draft))
        .route("/companies/{company}/matrix/review", web::post().to(pages::matrix::review::show))
        .route("/companies/{company}/matrix/save", web::post().to(pages::matrix::save::save));
}

fn users(config: &mut ServiceConfig) {
    config
        .route("/companies/{company}/users", web::get().to(pages::users::list::show))
        .route("/companies/{company}/users/open", web::get().to(pages::users::list::open))
        .route("/companies/{company}/users/review", web::post().to(pages::users::review::show))
        .route("/companies/{company}/users/change", web::post().to(pages::users::review::change))
        .route("/companies/{company}/users/{user}", web::get().to(pages::users::user::show))
        .route("/companies/{company}/users/{user}/sign-out", web::post().to(pages::users::user::sign_out));
}

fn decisions(config: &mut ServiceConfig) {
    config
        .route("/companies/{company}/why", web::get().to(pages::decisions::why::show))
        .route("/companies/{company}/view-as", web::get().to(pages::view_as::page::show))
        .route("/companies/{company}/who-can", web::get().to(pages::decisions::who_can::show))
        .route("/companies/{company}/who-can.csv", web::get().to(pages::decisions::export::show));
}

fn audit(config: &mut ServiceConfig) {
    config
        .route("/audit", web::get().to(pages::audit::list::of_platform))
        .route("/audit.csv", web::get().to(pages::audit::export::of_platform))
        .route("/companies/{company}/audit", web::get().to(pages::audit::list::of_company))
        .route("/companies/{company}/audit.csv", web::get().to(pages::audit::export::of_company));
}

fn settings(config: &mut ServiceConfig) {
    use pages::platform::settings::{ceilings, erase, modules, overview, status};
    config
        .route("/companies/{company}/settings", web::get().to(overview::show))
        .route("/companies/{company}/settings/name", web::post().to(overview::rename))
        .route("/companies/{company}/settings/modules", web::post().to(modules::save))
        .route("/companies/{company}/settings/modules/review", web::post().to(modules::review))
        .route("/companies/{company}/settings/ceilings", web::get().to(ceilings::show))
        .route("/companies/{company}/settings/ceilings", web::post().to(ceilings::with_draft))
        .route("/companies/{company}/settings/ceilings/review", web::post().to(ceilings::review))
        .route("/companies/{company}/settings/ceilings/save", web::post().to(ceilings::save))
        .route("/companies/{company}/settings/status", web::get().to(status::show))
        .route("/companies/{company}/settings/status", web::post().to(status::change))
        .route("/companies/{company}/settings/erase", web::get().to(erase::show))
        .route("/companies/{company}/settings/erase", web::post().to(erase::erase));
}

fn credentials(config: &mut ServiceConfig) {
    use pages::platform::{api_keys, issuers};
    config
        .route("/api-keys", web::get().to(api_keys::list::show))
        .route("/api-keys", web::post().to(api_keys::create::create))
        .route("/api-keys/new", web::get().to(api_keys::create::show))
        .route("/api-keys/{key}", web::get().to(api_keys::key::show))
        .route("/api-keys/{key}/revoke", web::post().to(api_keys::key::revoke))
        .route("/issuers", web::get().to(issuers::show));
}

fn catalog(config: &mut ServiceConfig) {
    use pages::platform::catalog::{features, menu, menu_items, modules, order, sub_items, views};
    config
        .route("/catalog", web::get().to(views::list))
        .route("/catalog/views", web::get().to(views::list))
        .route("/catalog/features", web::get().to(features::list))
        .route("/catalog/modules", web::get().to(modules::list))
        .route("/catalog/menu", web::get().to(menu::show))
        .route("/catalog/menu/move", web::post().to(order::change));
    entries::<views::Views>(config);
    entries::<features::Features>(config);
    entries::<modules::Modules>(config);
    entries::<menu_items::MenuItems>(config);
    entries::<sub_items::SubItems>(config);
}

/// Mounts the forms of a kind of entries of the catalog.
fn entries<K: Kind>(config: &mut ServiceConfig) {
    let path = |page: &str| format!("/catalog/{}{page}", K::SEGMENT);
    config
        .route(&path(""), web::post().to(editor::create::<K>))
        .route(&path("/new"), web::get().to(editor::new::<K>))
        .route(&path("/{id}"), web::get().to(editor::show::<K>))
        .route(&path("/{id}"), web::post().to(editor::update::<K>))
        .route(&path("/{id}/delete"), web::post().to(editor::delete::<K>))
        .route(&path("/{id}/{part}"), web::post().to(editor::set_content::<K>));
}

async fn not_found() -> HttpResponse {
    PageError::NotFound.error_response()
}
