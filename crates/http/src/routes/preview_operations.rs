//! The changes that can be previewed, and the search for the change that a request to preview specifies.

use std::sync::LazyLock;

use actix_web::dev::{Path, ResourceDef, Url};
use actix_web::http::{Method, StatusCode, Uri};
use iam_application::{
    AssignUserLevels, Change, ChangeFeaturePermissions, ChangeViewPermissions, CreateCompany, CreateFeature,
    CreateModule, CreateUserLevel, CreateView, DeleteFeature, DeleteModule, DeleteUserLevel, DeleteView,
    EditAssignments, FieldCode, RemoveUser, SetCompanyCeilings, SetCompanyModules, SetModuleFeatures, SetModuleViews,
    SwitchCompanyModule, UpdateCompany, UpdateFeature, UpdateModule, UpdateUserLevel, UpdateView,
};

use super::fallback::matches_pattern;
use super::openapi::ALLOWED_METHODS;
use super::preview_request::{Previewable, preview_of};
use crate::extract::Input;

/// The path of the operation that previews changes.
const PREVIEWS: &str = "/api/iam/previews";

const fn previewable<C: Change + Input>(method: Method, pattern: &'static str) -> Previewable {
    let status = if C::CREATES { StatusCode::CREATED } else { StatusCode::OK };
    Previewable { method, pattern, status, preview: |call| Box::pin(preview_of::<C>(call)) }
}

static OPERATIONS: [Previewable; 28] = [
    previewable::<CreateUserLevel>(Method::POST, "/api/iam/user-levels"),
    previewable::<UpdateUserLevel>(Method::PATCH, "/api/iam/user-levels/{id}"),
    previewable::<DeleteUserLevel>(Method::DELETE, "/api/iam/user-levels/{id}"),
    previewable::<ChangeViewPermissions>(Method::PUT, "/api/iam/user-levels/{id}/permissions/views"),
    previewable::<ChangeViewPermissions>(Method::PATCH, "/api/iam/user-levels/{id}/permissions/views"),
    previewable::<ChangeFeaturePermissions>(Method::PUT, "/api/iam/user-levels/{id}/permissions/features"),
    previewable::<ChangeFeaturePermissions>(Method::PATCH, "/api/iam/user-levels/{id}/permissions/features"),
    previewable::<AssignUserLevels>(Method::PUT, "/api/iam/users/{userId}/user-levels"),
    previewable::<AssignUserLevels>(Method::PUT, "/api/iam/users/{userId}/user-levels/{levelId}"),
    previewable::<AssignUserLevels>(Method::DELETE, "/api/iam/users/{userId}/user-levels/{levelId}"),
    previewable::<EditAssignments>(Method::POST, "/api/iam/assignments"),
    previewable::<RemoveUser>(Method::DELETE, "/api/iam/users/{userId}"),
    previewable::<CreateCompany>(Method::POST, "/api/iam/companies"),
    previewable::<SetCompanyModules>(Method::PUT, "/api/iam/companies/{companyId}/modules"),
    previewable::<SwitchCompanyModule>(Method::PATCH, "/api/iam/companies/{companyId}/modules/{moduleId}"),
    previewable::<UpdateCompany>(Method::PATCH, "/api/iam/companies/{companyId}"),
    previewable::<SetCompanyCeilings>(Method::PUT, "/api/iam/companies/{companyId}/ceilings"),
    previewable::<CreateView>(Method::POST, "/api/iam/views"),
    previewable::<UpdateView>(Method::PATCH, "/api/iam/views/{id}"),
    previewable::<DeleteView>(Method::DELETE, "/api/iam/views/{id}"),
    previewable::<CreateFeature>(Method::POST, "/api/iam/features"),
    previewable::<UpdateFeature>(Method::PATCH, "/api/iam/features/{id}"),
    previewable::<DeleteFeature>(Method::DELETE, "/api/iam/features/{id}"),
    previewable::<CreateModule>(Method::POST, "/api/iam/modules"),
    previewable::<UpdateModule>(Method::PATCH, "/api/iam/modules/{id}"),
    previewable::<DeleteModule>(Method::DELETE, "/api/iam/modules/{id}"),
    previewable::<SetModuleViews>(Method::PUT, "/api/iam/modules/{id}/views"),
    previewable::<SetModuleFeatures>(Method::PUT, "/api/iam/modules/{id}/features"),
];

/// The operations with their compiled patterns.
static ROUTES: LazyLock<Vec<(ResourceDef, &'static Previewable)>> =
    LazyLock::new(|| OPERATIONS.iter().map(|operation| (ResourceDef::new(operation.pattern), operation)).collect());

/// The field of a request that specifies no change, with the code and the message of the error.
type Problem = (&'static str, FieldCode, String);

/// Returns the URI that a path with an optional query specifies.
pub(crate) fn parse_path(path: &str) -> Result<Uri, Problem> {
    let invalid = || {
        let what = "must be a path of this service with an optional query, such as /api/iam/user-levels";
        ("path", FieldCode::Invalid, what.to_owned())
    };
    let is_path = path.starts_with('/') && !path.starts_with("//") && !path.contains('#');
    Uri::try_from(path).ok().filter(|uri| is_path && uri.authority().is_none()).ok_or_else(invalid)
}

/// Returns the operation with this method and path, and the matched path.
pub(crate) fn find(method: &Method, uri: &Uri) -> Result<(&'static Previewable, Path<Url>), Problem> {
    let mut path = Path::new(Url::new(uri.clone()));
    for (route, operation) in ROUTES.iter().filter(|(_, operation)| operation.method == method) {
        if route.capture_match_info(&mut path) {
            return Ok((operation, path));
        }
    }
    let text = uri.path();
    if text == PREVIEWS {
        return Err(("path", FieldCode::Invalid, "must not be a preview".to_owned()));
    }
    let Some((pattern, methods)) = ALLOWED_METHODS.iter().find(|(pattern, _)| matches_pattern(pattern, text)) else {
        return Err((
            "path",
            FieldCode::Unknown,
            "is not the path of an operation; the paths begin with /api/iam/".to_owned(),
        ));
    };
    if !methods.split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(("method", FieldCode::Unknown, format!("is not one of the methods of the path: {methods}")));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Err(("method", FieldCode::Invalid, "must be the method of a change, not of a read".to_owned()));
    }
    Err(("path", FieldCode::Unknown, format!("is an operation without previews: {method} {pattern}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_that_can_be_previewed_is_an_operation() {
        for Previewable { method, pattern, .. } in &OPERATIONS {
            let methods = ALLOWED_METHODS.get(*pattern).unwrap();
            assert!(methods.split(", ").any(|allowed| allowed == method.as_str()), "{method} {pattern}");
        }
    }
}
