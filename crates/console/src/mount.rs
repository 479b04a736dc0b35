//! Mounts the console: its middleware, and the routes of its pages.

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};

use crate::console::Console;
use crate::error::PageError;
use crate::guard::guard;
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
        .route("/companies/options", web::get().to(pages::companies::options))
        .route("/companies/{company}", web::get().to(pages::overview::show))
        .route("/companies/{company}/search", web::get().to(pages::search::show))
        .configure(levels)
        .configure(matrix)
        .configure(users)
        .configure(decisions)
        .configure(audit);
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

async fn not_found() -> HttpResponse {
    PageError::NotFound.error_response()
}
