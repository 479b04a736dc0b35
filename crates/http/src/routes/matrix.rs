//! Returns the matrices of all levels of a company in one response.

use actix_web::{HttpRequest, get};
use iam_application::{CompanyMatrix, FeatureCell, LevelMatrix, Stamped, ViewCell};
use iam_domain::{Action, Description, FeatureId, Name, Scope, UserLevelId, ViewId, ViewState};
use iam_permissions_cache::{AvailableCatalog, AvailableFeature, AvailableView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Authorized, ReadIam};
use crate::respond::{ApiResponse, ApiResult, Success};

/// A cell of a view matrix.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatrixViewCell {
    /// The view.
    view_id: ViewId,
    /// The state that the level sets for the view.
    state: ViewState,
    /// Whether callers other than super admins may change or remove the cell. `false` if the cell is pinned.
    modifiable: bool,
}

/// A cell of a feature matrix.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatrixFeatureCell {
    /// The feature.
    feature_id: FeatureId,
    /// The action on the feature.
    #[schema(value_type = String)]
    action: Action,
    /// `true` if the level allows the action, and `false` if it denies the action.
    value: bool,
    /// The scope with which the action is allowed.
    scope: Scope,
    /// Whether callers other than super admins may change or remove the cell. `false` if the cell is pinned.
    modifiable: bool,
}

/// A level with its two matrices.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatrixLevel {
    /// The id of the level.
    id: UserLevelId,
    /// The name of the level.
    name: Name,
    /// The description of the level.
    #[schema(value_type = String)]
    description: Description,
    /// Whether the level was created when the company was provisioned.
    is_default: bool,
    /// The cells of the view matrix, sorted by view id.
    views: Vec<MatrixViewCell>,
    /// The cells of the feature matrix, sorted by feature id and action.
    features: Vec<MatrixFeatureCell>,
}

/// The matrices of all levels of the company, and the catalog.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatrixData {
    /// All views of the catalog, sorted by URL. They include views that are not available in the company.
    views: Vec<AvailableView>,
    /// All features of the catalog, sorted by key. Features without a key are last. They include features that are not
    /// available in the company.
    features: Vec<AvailableFeature>,
    /// The levels of the company, sorted by name.
    levels: Vec<MatrixLevel>,
}

impl From<LevelMatrix> for MatrixLevel {
    fn from(LevelMatrix { level, views, features }: LevelMatrix) -> Self {
        let view = |ViewCell { view, state, modifiable }| MatrixViewCell { view_id: view, state, modifiable };
        let feature = |FeatureCell { feature, action, rule, modifiable }| MatrixFeatureCell {
            feature_id: feature,
            action,
            value: rule.value,
            scope: rule.scope,
            modifiable,
        };
        Self {
            id: level.id,
            name: level.name,
            description: level.description,
            is_default: level.is_default,
            views: views.into_iter().map(view).collect(),
            features: features.into_iter().map(feature).collect(),
        }
    }
}

impl From<CompanyMatrix> for MatrixData {
    fn from(CompanyMatrix { catalog, levels }: CompanyMatrix) -> Self {
        let AvailableCatalog { views, features } = AvailableCatalog::of(catalog.views(), catalog.features());
        Self { views, features, levels: levels.into_iter().map(MatrixLevel::from).collect() }
    }
}

/// Returns the matrices of all levels of the company, and the views and features of the catalog.
#[utoipa::path(tag = "Permissions", responses((status = 200, body = Success<MatrixData>), (status = 304)))]
#[get("/api/iam/matrix")]
pub(crate) async fn get_matrix(request: HttpRequest, call: Authorized<ReadIam>) -> ApiResult {
    let Stamped { versions, value, .. } = call.application().matrix(call.company()?).await?;
    ApiResponse::ok().versions(versions).data_unless_known(request.headers(), MatrixData::from(value))
}
