//! The style sheet, scripts and images of the console. They are part of the program, and their URLs contain a hash of their
//! content, so browsers cache them forever.

use std::sync::LazyLock;

use flate2::Compression;
use sha2::{Digest, Sha256};

use crate::gzip::gzip;

/// The path of all files.
pub(crate) const PATH: &str = "/console/assets";

/// The number of bytes of the hash in a URL.
const HASH_BYTES: usize = 8;

/// A file of the console.
pub(crate) struct Asset {
    pub(crate) media_type: &'static str,
    pub(crate) content: &'static [u8],
    /// The compressed content. It is empty if the compression fails.
    pub(crate) compressed: Vec<u8>,
    /// The URL of the file.
    url: String,
}

/// All files.
struct Assets {
    style: Asset,
    htmx: Asset,
    script: Asset,
    matrix: Asset,
    menu: Asset,
    icon: Asset,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("console.css", "text/css; charset=utf-8", include_bytes!("../assets/console.css")),
    htmx: Asset::new("htmx.js", "text/javascript; charset=utf-8", include_bytes!("../assets/htmx/htmx.min.js")),
    script: Asset::new("console.js", "text/javascript; charset=utf-8", include_bytes!("../assets/console.js")),
    matrix: Asset::new("matrix.js", "text/javascript; charset=utf-8", include_bytes!("../assets/matrix.js")),
    menu: Asset::new("menu.js", "text/javascript; charset=utf-8", include_bytes!("../assets/menu.js")),
    icon: Asset::new("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
});

impl Asset {
    fn new(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        let hash: String = Sha256::digest(content).iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self {
            media_type,
            content,
            compressed: gzip(content, Compression::best()),
            url: format!("{PATH}/{hash}/{name}"),
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

/// Returns the URL of the script of the menu's tree, an ES module.
pub(crate) fn menu() -> &'static str {
    &ASSETS.menu.url
}

/// Returns the URL of the icon.
pub(crate) fn icon() -> &'static str {
    &ASSETS.icon.url
}

/// Returns the file with this path.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    let Assets { style, htmx, script, matrix, menu, icon } = &*ASSETS;
    [style, htmx, script, matrix, menu, icon].into_iter().find(|asset| asset.url == path)
}
