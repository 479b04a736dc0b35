//! Compresses responses.

use std::io::Write;

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptEncoding, ContentEncoding, Encoding, Header, Preference};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Compresses bytes. The result is empty if the compression fails.
pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), level);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Returns `true` if the client accepts compressed responses.
pub(crate) fn accepts_gzip(request: &HttpRequest) -> bool {
    AcceptEncoding::parse(request).is_ok_and(|accepted| {
        accepted.iter().any(|item| {
            item.quality.to_string() != "0"
                && matches!(item.item, Preference::Specific(Encoding::Known(ContentEncoding::Gzip)))
        })
    })
}
