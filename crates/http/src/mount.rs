//! Mounts the API into an Actix application.

use actix_web::guard;
use actix_web::web::{self, Data, ServiceConfig};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::Api;
use crate::middleware::Observe;
use crate::routes::fallback;
use crate::routes::openapi;

/// Mounts the complete API into an Actix application: operations, health checks and middleware, the API
/// documentation if [`HttpOptions::documentation`](crate::HttpOptions::documentation) is set, and the pages in
/// [`HttpOptions::pages`](crate::HttpOptions::pages).
pub fn configure(config: &mut ServiceConfig, api: &Data<Api>) {
    let scope = web::scope("").wrap(Observe::new(api)).configure(openapi::register);
    let scope = if api.options().documentation { scope.configure(configure_documentation) } else { scope };
    let scope = match &api.options().pages {
        Some(pages) => scope.configure(|config| (pages.mount)(config)),
        None => scope,
    };
    config.app_data(Data::clone(api)).service(scope.default_service(web::route().to(fallback::no_such_route)));
}

/// Mounts the API documentation into an Actix application: the OpenAPI document at `/openapi.json`, and the pages that
/// display it at `/docs/`. [`configure`] calls this function for an API with public documentation. The documentation
/// needs neither the state nor the middleware of the API.
pub fn configure_documentation(config: &mut ServiceConfig) {
    config
        .service(web::resource(openapi::PATH).guard(guard::Get()).to(openapi::serve))
        .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from(openapi::PATH)))
        .route("/docs", web::get().to(fallback::docs));
}
