//! The style sheet, scripts and images of the console. They are part of the program, and their URLs contain a hash of their
//! content, so browsers cache them forever.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{self, ContentEncoding};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::error::PageError;
use crate::page::accepts_gzip;

/// The number of bytes of the hash in a URL.
const HASH_BYTES: usize = 8;

/// A file of the console.
pub(crate) struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    compressed: Vec<u8>,
    /// The URL of the file.
    url: String,
}

/// All files.
struct Assets {
    style: Asset,
    htmx: Asset,
    script: Asset,
    matrix: Asset,
    icon: Asset,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("console.css", "text/css; charset=utf-8", include_bytes!("../assets/console.css")),
    htmx: Asset::new("htmx.js", "text/javascript; charset=utf-8", include_bytes!("../assets/htmx/htmx.min.js")),
    script: Asset::new("console.js", "text/javascript; charset=utf-8", include_bytes!("../assets/console.js")),
    matrix: Asset::new("matrix.js", "text/javascript; charset=utf-8", include_bytes!("../assets/matrix.js")),
    icon: Asset::new("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
});

impl Asset {
    fn new(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        let hash: String = Sha256::digest(content).iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self {
            name,
            media_type,
            content,
            compressed: gzip(content, Compression::best()),
            url: format!("/console/assets/{hash}/{name}"),
        }
    }
}

/// Returns the URL of the style sheet.
pub(crate) fn style() -> &'static str {
    &ASSETS.style.url
}

/// Returns the URL of htmx.
pub(crate) fn htmx() -> &'static str {
    &ASSETS.htmx.url
}

/// Returns the URL of the console's own script, an ES module.
pub(crate) fn script() -> &'static str {
    &ASSETS.script.url
}

/// Returns the URL of the script of the matrix, an ES module.
pub(crate) fn matrix() -> &'static str {
    &ASSETS.matrix.url
}

/// Returns the URL of the icon.
pub(crate) fn icon() -> &'static str {
    &ASSETS.icon.url
}

/// Compresses bytes. The result is empty if the compression fails.
pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), level);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Serves a file.
pub(crate) async fn serve(request: HttpRequest, file: Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let Assets { style, htmx, script, matrix, icon } = &*ASSETS;
    let asset = [style, htmx, script, matrix, icon].into_iter().find(|asset| asset.url == request.path());
    let asset = asset.filter(|asset| asset.name == file.1).ok_or(PageError::NotFound)?;
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
