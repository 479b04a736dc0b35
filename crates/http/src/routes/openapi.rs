//! The list of all operations. Both the mounted routes and the OpenAPI document are generated from this list.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Bytes, ServiceConfig};
use utoipa::OpenApi;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::respond::{ApiError, ErrorBody};
use crate::routes;

macro_rules! operations {
    ($($module:ident :: {$($handler:ident),+ $(,)?}),+ $(,)?) => {
        #[derive(OpenApi)]
        #[openapi(
            paths($($(routes::$module::$handler),+),+),
            components(schemas(ErrorBody)),
            info(
                title = "IAM",
                description = "Multi-tenant authorization: decides what users may see and do, and explains why.",
            ),
        )]
        struct Operations;

        /// Mounts the routes of all operations.
        pub(crate) fn register(config: &mut ServiceConfig) {
            $($(config.service(routes::$module::$handler);)+)+
        }
    };
}

operations! {
    decisions::{navigation, current_permissions, check, checks, permissions_of_user},
    explain::{explain},
    user_levels::{
        list_user_levels, create_user_level, get_user_level, update_user_level, delete_user_level, get_levels_of_user,
        assign_user_levels, list_holders,
    },
    matrices::{get_view_permissions, replace_view_permissions, get_feature_permissions, replace_feature_permissions},
    views::{list_views, create_view, get_view, update_view, delete_view},
    features::{
        list_features, create_feature, get_feature, update_feature, delete_feature, get_feature_views,
        set_feature_views,
    },
    modules::{
        list_modules, create_module, get_module, update_module, delete_module, get_module_views, set_module_views,
        get_module_features, set_module_features,
    },
    menu::{
        list_menu_items, create_menu_item, get_menu_item, update_menu_item, delete_menu_item, list_sub_menu_items,
        create_sub_menu_item, get_sub_menu_item, update_sub_menu_item, delete_sub_menu_item,
    },
    companies::{get_company_modules, set_company_modules, switch_company_module, provision_company},
    trail::{track, get_trail, clear_trail},
    users::{get_user, cut_off_user},
    api_keys::{list_api_keys, create_api_key, get_api_key, revoke_api_key},
    audit::{list_audit_logs},
    health::{health, database_health, live, ready},
}

/// The path prefix of all operations that require authentication.
const AUTHENTICATED: &str = "/api/iam/";

/// The path of the OpenAPI document.
pub(crate) const PATH: &str = "/openapi.json";

/// The OpenAPI document. It is built lazily, since it takes megabytes of memory and most processes never need it.
pub(crate) static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(document);

/// Serves the OpenAPI document as JSON.
pub(crate) async fn serve() -> Result<HttpResponse, ApiError> {
    static JSON: LazyLock<Option<Bytes>> = LazyLock::new(|| serde_json::to_vec(&*DOCUMENT).ok().map(Bytes::from));
    let json = JSON.clone().ok_or_else(|| ApiError::internal("the OpenAPI document cannot be serialized"))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(json))
}

/// Builds the OpenAPI document with all operations, including the parameters and responses that they share.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Operations::openapi();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("token", scheme);
    for (path, item) in &mut document.paths.paths {
        let parameters = path_parameters(path);
        let needs_token = path.starts_with(AUTHENTICATED);
        let changes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let operations = changes.into_iter().map(|change| (change, true)).chain([(&mut item.get, false)]);
        for (operation, is_change) in operations {
            if let Some(operation) = operation {
                complete(operation, &parameters, needs_token, is_change);
            }
        }
    }
    document
}

/// Returns the OpenAPI descriptions of the parameters in a path. The path contains the name of each parameter in
/// braces, and the value of each parameter is an id.
fn path_parameters(path: &str) -> Vec<Parameter> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let text = ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
            if name == "userId" {
                let forms = "The user's UUID. For external users also the pathId or the URL-encoded issuer|subject.";
                parameter.description(Some(forms)).schema(Some(text))
            } else {
                let uuid = utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Uuid);
                parameter.schema(Some(text.format(Some(uuid))))
            }
        })
        .map(ParameterBuilder::build)
        .collect()
}

/// Adds the parameters, headers and error responses that many operations share to the description of an operation.
fn complete(operation: &mut Operation, path_parameters: &[Parameter], needs_token: bool, is_change: bool) {
    let parameters = operation.parameters.get_or_insert_default();
    parameters.extend(path_parameters.iter().cloned().map(RefOr::T));
    if !needs_token {
        return;
    }
    let names_company = path_parameters.iter().any(|parameter| parameter.name == "companyId");
    if !names_company {
        let description = "The id of the company. Alternatively, send companyId in the query or in the JSON body.";
        parameters.push(RefOr::T(text_header("X-Company-Id", description)));
    }
    for (name, description) in [
        (
            "X-IAM-Min-Version",
            "The minimum version that the response must reflect: the X-IAM-Version of an earlier response.",
        ),
        (
            "Cache-Control",
            "`no-cache` forces a read of the storage. The rate of such requests is limited for each caller.",
        ),
    ] {
        parameters.push(RefOr::T(text_header(name, description)));
    }
    let tags = operation.tags.clone().unwrap_or_default();
    let is_decision = tags.iter().any(|tag| tag == "Decisions");
    let changes_no_decision = tags.iter().any(|tag| ["Navigation trail", "API keys", "Users"].contains(&tag.as_str()));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if !matches!(status.as_str(), "200" | "201" | "304") {
            continue;
        }
        let mut add = |name: &str, description| response.headers.insert(name.to_owned(), RefOr::T(text(description)));
        if is_decision || (is_change && !changes_no_decision) {
            add("X-IAM-Version", "The version of the data that the response reflects, as an opaque string.");
        }
        if is_decision {
            add(
                "Age",
                "Only while the storage is unavailable: seconds since the data was last confirmed to be up to date.",
            );
            add("Warning", "Only while the storage is unavailable: warns that the response may be stale.");
        }
    }
    operation.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    for (status, description) in [
        ("400", "The request specifies no company, or is invalid"),
        ("401", "The caller is not authenticated"),
        ("403", "The caller lacks the permission"),
        ("503", "The storage is unavailable; see Retry-After"),
    ] {
        let response = operation.responses.responses.entry(status.to_owned());
        response.or_insert_with(|| RefOr::T(error_response(description)));
    }
}

/// Returns the OpenAPI description of a request header with a string value.
fn text_header(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(utoipa::openapi::Type::String)))
        .build()
}

/// Returns the OpenAPI description of a response header with a string value.
fn text(description: &str) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(utoipa::openapi::Type::String)))
        .build()
}

/// Returns the OpenAPI description of an error response.
fn error_response(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(Ref::from_schema_name("Error"))))
        .build()
}
