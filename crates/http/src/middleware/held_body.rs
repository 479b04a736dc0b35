//! The body of a large response. It counts as in flight until it is sent, and is sent in parts.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use crate::in_flight::Held;

/// Maximum size of a part, in bytes. The HTTP service copies each part into the write buffer of the connection.
const PART: usize = 64 * 1024;

/// The body of a large response.
pub(super) struct HeldBody {
    pub(super) bytes: Bytes,
    pub(super) _held: Held,
}

impl MessageBody for HeldBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let part = self.bytes.len().min(PART);
        Poll::Ready(Some(Ok(self.bytes.split_to(part))))
    }
}
