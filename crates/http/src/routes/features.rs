//! Manages the features of the catalog, and the views that they are shown on.

use actix_web::{delete, get, patch, post, put};
use iam_application::{CreateFeature, DeleteFeature, SetFeatureViews, UpdateFeature};
use iam_domain::{Action, Category, Description, Feature, FeatureId, FeatureKey, Name, ResourceType, ViewId};
use utoipa::ToSchema;

use super::data;
use super::views::{SetViewsData, ViewsData};
use crate::extract::{Authorized, Input, Platform, ReadCatalog, RequestReader};
use crate::respond::{ApiResponse, ApiResult, Message, Success};

data! {
    /// The features, sorted by key. Features without a key are last.
    FeaturesData { features: Vec<Feature> }
    /// The feature.
    FeatureData { feature: Feature }
    /// The features after the change, sorted by key.
    SetFeaturesData { features: Vec<Feature>, message }
}

/// The feature specified in the path.
pub(crate) struct OneFeature(FeatureId);

impl Input for OneFeature {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        request.path("id").map(Self)
    }
}

/// Lists all features, sorted by key. Features without a key are last.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<FeaturesData>)))]
#[get("/api/iam/features")]
pub(crate) async fn list_features(call: Authorized<ReadCatalog>) -> ApiResult {
    let features = call.application().features().await?;
    ApiResponse::ok().data(FeaturesData { features })
}

/// Returns a feature.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<FeatureData>), (status = 404)))]
#[get("/api/iam/features/{id}")]
pub(crate) async fn get_feature(call: Authorized<ReadCatalog, OneFeature>) -> ApiResult {
    let feature = call.application().feature(call.input.0).await?;
    ApiResponse::ok().etag(&feature)?.data(FeatureData { feature })
}

/// The feature to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct NewFeature {
    /// The unique key. It must not have the form of a UUID.
    #[schema(required = false)]
    key: FeatureKey,
    /// The display name.
    name: Name,
    /// The description.
    #[schema(required = false)]
    description: Description,
    /// The type of the resource that the feature controls.
    #[schema(required = false)]
    resource_type: ResourceType,
    /// The custom actions, in addition to the standard actions.
    #[schema(required = false)]
    actions: Vec<Action>,
    /// The category.
    #[schema(required = false)]
    category: Category,
    /// Whether the feature is enabled. Default: `true`.
    #[schema(required = false)]
    enabled: bool,
}

impl Input for CreateFeature {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let mut body = request.body()?;
        let (key, name) = (body.optional("key"), body.required("name"));
        let (description, resource_type) = (body.optional("description"), body.optional("resourceType"));
        let (actions, category) = (body.optional_list("actions"), body.optional("category"));
        let enabled = body.or("enabled", true);
        Some(Self {
            key: key?,
            name: name?,
            description: description?,
            resource_type: resource_type?,
            actions: actions?,
            category: category?,
            enabled: enabled?,
        })
    }
}

/// Creates a feature.
#[utoipa::path(
    tag = "Catalog",
    request_body = NewFeature,
    responses(
        (status = 201, body = Success<FeatureData>),
        (status = 409, description = "The key is already in use, or reserved"),
    ),
)]
#[post("/api/iam/features")]
pub(crate) async fn create_feature(call: Authorized<Platform, CreateFeature>) -> ApiResult {
    let done = call.execute().await?;
    let location = format!("/api/iam/features/{}", done.value.id);
    ApiResponse::created_once(done.is_repeated, &location)
        .commit(done.stamp)
        .etag(&done.value)?
        .data(FeatureData { feature: done.value })
}

/// A partial update of a feature. Omitted fields remain unchanged, and `null` clears an optional field.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct FeaturePatch {
    /// The new unique key.
    key: Option<FeatureKey>,
    /// The new display name.
    #[schema(required = false)]
    name: Name,
    /// The new description.
    description: Option<Description>,
    /// The new type of the resource that the feature controls.
    resource_type: Option<ResourceType>,
    /// The new list of custom actions. Permissions for removed actions are deleted.
    actions: Option<Vec<Action>>,
    /// The new category.
    category: Option<Category>,
    /// Whether the feature is enabled for all companies.
    #[schema(required = false)]
    enabled: bool,
}

impl Input for UpdateFeature {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let id = request.path("id");
        let if_match = request.if_match();
        let mut body = request.body()?;
        let (key, name) = (body.patch("key"), body.optional("name"));
        let (description, resource_type) = (body.patch("description"), body.patch("resourceType"));
        let (actions, category) = (body.list_patch("actions"), body.patch("category"));
        let enabled = body.optional("enabled");
        Some(Self {
            if_match,
            id: id?,
            key: key?,
            name: name?,
            description: description?,
            resource_type: resource_type?,
            actions: actions?,
            category: category?,
            enabled: enabled?,
        })
    }
}

/// Updates a feature.
#[utoipa::path(
    tag = "Catalog",
    request_body = FeaturePatch,
    responses((status = 200, body = Success<FeatureData>), (status = 404), (status = 409), (status = 412)),
)]
#[patch("/api/iam/features/{id}")]
pub(crate) async fn update_feature(call: Authorized<Platform, UpdateFeature>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).etag(&done.value)?.data(FeatureData { feature: done.value })
}

impl Input for DeleteFeature {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        Some(Self { id: request.path("id")?, if_match: request.if_match() })
    }
}

/// Deletes a feature, including its permissions and mappings.
///
/// A feature that a menu item uses cannot be deleted (409).
#[utoipa::path(
    tag = "Catalog",
    responses((status = 200, body = Success<Message>), (status = 404), (status = 409), (status = 412)),
)]
#[delete("/api/iam/features/{id}")]
pub(crate) async fn delete_feature(call: Authorized<Platform, DeleteFeature>) -> ApiResult {
    let done = call.execute().await?;
    ApiResponse::ok().commit(done.stamp).message("Feature deleted successfully")
}

/// Lists the views that a feature is shown on, sorted by URL.
#[utoipa::path(tag = "Catalog", responses((status = 200, body = Success<ViewsData>), (status = 404)))]
#[get("/api/iam/features/{id}/views")]
pub(crate) async fn get_feature_views(call: Authorized<ReadCatalog, OneFeature>) -> ApiResult {
    let views = call.application().feature_views(call.input.0).await?;
    ApiResponse::ok().etag(&views)?.data(ViewsData { views })
}

/// A request to replace the views on which a feature is shown.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the type only defines the OpenAPI schema of the request body")]
pub(crate) struct FeatureViewIds {
    /// The ids of all views on which the feature is shown after the change, without duplicates.
    view_ids: Vec<ViewId>,
}

impl Input for SetFeatureViews {
    fn read(request: &mut RequestReader<'_>) -> Option<Self> {
        let (feature, if_match) = (request.path("id"), request.if_match());
        let views = request.body()?.list("viewIds");
        Some(Self { feature: feature?, views: views?, if_match })
    }
}

/// Replaces the views that a feature is shown on.
#[utoipa::path(
    tag = "Catalog",
    request_body = FeatureViewIds,
    responses((status = 200, body = Success<SetViewsData>), (status = 404), (status = 412)),
)]
#[put("/api/iam/features/{id}/views")]
pub(crate) async fn set_feature_views(call: Authorized<Platform, SetFeatureViews>) -> ApiResult {
    let done = call.execute().await?;
    let data = SetViewsData { message: "Feature views updated successfully", views: done.value };
    ApiResponse::ok().commit(done.stamp).etag(&data.views)?.data(data)
}
