//! The list of all operations. Both the mounted routes and the OpenAPI document are generated from this list.

mod entity_tags;
#[expect(clippy::indexing_slicing, reason = "indexing a missing JSON member yields null, and the document is constant")]
mod examples;
#[expect(clippy::indexing_slicing, reason = "indexing a missing JSON member yields null, and the document is constant")]
mod shared;
#[expect(clippy::indexing_slicing, reason = "indexing a missing JSON member yields null, and the document is constant")]
mod unions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::{Bytes, ServiceConfig};
use serde_json::Value;
use utoipa::OpenApi;

use crate::respond::{ApiError, ErrorBody};
use crate::routes;

macro_rules! operations {
    ($($module:ident :: {$($handler:ident),+ $(,)?}),+ $(,)?) => {
        #[derive(OpenApi)]
        #[openapi(
            paths($($(routes::$module::$handler),+),+),
            components(schemas(ErrorBody)),
        )]
        struct Operations;

        /// Mounts the routes of all operations.
        pub(crate) fn register(config: &mut ServiceConfig) {
            $($(config.service(routes::$module::$handler);)+)+
        }
    };
}

operations! {
    decisions::{navigation, current_permissions, check, checks, permissions_of_user, what_can},
    explain::{explain, explain_many},
    user_levels::{
        list_user_levels, create_user_level, get_user_level, update_user_level, delete_user_level,
    },
    assignments::{
        get_levels_of_user, assign_user_levels, assign_user_level, unassign_user_level, edit_assignments,
    },
    assignment_list::{list_ending_assignments},
    company_list::{list_companies},
    members::{list_users, list_holders},
    who_can::{who_can},
    matrices::{
        get_view_permissions, replace_view_permissions, edit_view_permissions, get_feature_permissions,
        replace_feature_permissions, edit_feature_permissions,
    },
    matrix::{get_matrix},
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
    directory::{get_company, create_company, update_company, erase_company},
    companies::{get_company_modules, set_company_modules, switch_company_module, provision_company},
    quotas::{get_company_quotas, set_company_quotas},
    ceilings::{get_company_ceilings, set_company_ceilings, preview_company_ceilings},
    previews::{preview_change},
    trail::{track, get_trail, clear_trail},
    users::{get_user, cut_off_user},
    profiles::{get_user_profile, set_user_profile, remove_user, get_companies_of_user, get_my_companies},
    me::{get_me, get_my_catalog},
    api_keys::{list_api_keys, create_api_key, get_api_key, revoke_api_key},
    audit::{list_audit_logs},
    health::{health, database_health, live, ready},
}

/// The path of the OpenAPI document.
pub(crate) const PATH: &str = "/openapi.json";

/// The methods that each path supports, as the value of the header `Allow`. The key is the path with its parameters in
/// braces. A path that supports GET also supports HEAD.
pub(crate) static ALLOWED_METHODS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let paths = Operations::openapi().paths.paths;
    let methods = paths.into_iter().map(|(path, item)| {
        let methods = [
            ("GET", item.get.is_some()),
            ("HEAD", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
            ("PATCH", item.patch.is_some()),
            ("DELETE", item.delete.is_some()),
        ];
        let allowed: Vec<_> = methods.into_iter().filter(|(_, is_allowed)| *is_allowed).map(|(name, _)| name).collect();
        (path, allowed.join(", "))
    });
    methods.collect()
});

/// Serves the OpenAPI document as JSON. The document is built when it is first requested, because it occupies several
/// megabytes of memory, and most processes never need it.
pub(crate) async fn serve() -> Result<HttpResponse, ApiError> {
    static JSON: LazyLock<Option<Bytes>> =
        LazyLock::new(|| serde_json::to_vec(&document().ok()?).ok().map(Bytes::from));
    let json = JSON.clone().ok_or_else(|| ApiError::internal("the OpenAPI document cannot be serialized"))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(json))
}

/// Returns the OpenAPI 3.1 document of all operations, including the parameters, headers and responses that operations
/// share.
///
/// # Errors
///
/// Returns an error if the document cannot be serialized.
pub fn document() -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(Operations::openapi())?;
    shared::complete(&mut document);
    unions::define(&mut document);
    examples::add(&mut document)?;
    Ok(document)
}
