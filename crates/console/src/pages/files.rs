//! Serves the style sheet, scripts and images.

use actix_web::http::header::{self, ContentEncoding};
use actix_web::{HttpRequest, HttpResponse};

use crate::assets;
use crate::error::PageError;
use crate::gzip::accepts_gzip;

/// `GET /console/assets/{hash}/{name}`
pub(crate) async fn serve(request: HttpRequest) -> Result<HttpResponse, PageError> {
    let asset = assets::find(request.path()).ok_or(PageError::NotFound)?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, asset.media_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::VARY, "Accept-Encoding"));
    if accepts_gzip(&request) && !asset.compressed.is_empty() {
        return Ok(response.insert_header(ContentEncoding::Gzip).body(asset.compressed.as_slice()));
    }
    Ok(response.body(asset.content))
}
