//! Mounts the API into an Actix application.

use actix_web::guard;
use actix_web::web::{self, Data, ServiceConfig};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::Api;
use crate::middleware::Observe;
use crate::routes::fallback;
use crate::routes::openapi;

/// Mounts the complete API into an Actix application: operations, health checks, API documentation and middleware.
pub fn configure(config: &mut ServiceConfig, api: &Data<Api>) {
    config.app_data(Data::clone(api)).service(
        web::scope("")
            .wrap(Observe::new(api))
            .configure(openapi::register)
            .service(web::resource(openapi::PATH).guard(guard::Get()).to(openapi::serve))
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from(openapi::PATH)))
            .route("/docs", web::get().to(fallback::docs))
            .default_service(web::route().to(fallback::no_such_route)),
    );
}
