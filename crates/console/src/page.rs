//! The response with a page.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentEncoding};
use actix_web::{HttpRequest, HttpResponse, Responder};
use flate2::Compression;
use maud::Markup;

use crate::gzip::{accepts_gzip, gzip};

/// Minimum size of a page that is compressed.
const MIN_COMPRESSED: usize = 1024;

/// A page, or a fragment of a page that htmx inserts.
#[derive(Debug)]
pub(crate) struct Page {
    status: StatusCode,
    html: String,
}

impl Page {
    /// Creates the response with this status.
    pub(crate) fn new(status: StatusCode, html: Markup) -> Self {
        Self { status, html: html.into_string() }
    }

    /// Creates the response with a fragment of a page.
    pub(crate) fn fragment(html: Markup) -> Self {
        Self::new(StatusCode::OK, html)
    }

    /// Returns the page with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Returns the response without compression.
    pub(crate) fn into_response(self) -> HttpResponse {
        HttpResponse::build(self.status)
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .body(self.html)
    }
}

impl Responder for Page {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let compressed = (self.html.len() >= MIN_COMPRESSED && accepts_gzip(request))
            .then(|| gzip(self.html.as_bytes(), Compression::fast()))
            .filter(|compressed| !compressed.is_empty());
        match compressed {
            Some(compressed) => HttpResponse::build(self.status)
                .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
                .insert_header(ContentEncoding::Gzip)
                .insert_header((header::VARY, "Accept-Encoding"))
                .body(compressed),
            None => self.into_response(),
        }
    }
}

/// Returns a redirect after a form was handled, or to the page that replaces the requested one.
pub(crate) fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}
