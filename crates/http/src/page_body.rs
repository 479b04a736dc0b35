//! The body of a request for a page. As for operations of the API, the client must send it fast enough, and its bytes count
//! as in flight.

use std::io;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::stream;

use crate::extract::body::Pace;
use crate::page_account::Account;
use crate::respond::ApiError;

/// A body, as far as it has been read.
struct Body {
    payload: Payload,
    pace: Pace,
    received: usize,
    account: Rc<Account>,
}

type Part = Result<Bytes, PayloadError>;

/// Returns the body with the limits of the API. If the body exceeds a limit, the last part is an I/O error that contains the
/// [`Refusal`](iam_application::Refusal).
pub(crate) fn limited(payload: Payload, account: Rc<Account>) -> Payload {
    let pace = Pace::new(account.api.options().body_timeout);
    let body = Body { payload, pace, received: 0, account };
    Payload::Stream { payload: Box::pin(stream::unfold(Some(body), part)) }
}

async fn part(body: Option<Body>) -> Option<(Part, Option<Body>)> {
    let mut body = body?;
    match body.next().await {
        Ok(part) => part.map(|part| (part, Some(body))),
        Err(error) => Some((Err(PayloadError::Io(io::Error::other(Account::refusal(&error)))), None)),
    }
}

impl Body {
    async fn next(&mut self) -> Result<Option<Part>, ApiError> {
        let Account { span, connection, .. } = self.account.as_ref();
        let part = {
            let _reading = span.reading_body();
            self.pace.next(&mut self.payload).await?
        };
        if let Some(Ok(bytes)) = &part {
            self.received += bytes.len();
            self.account.hold(self.received)?;
        }
        if let Some(connection) = connection {
            connection.body_read(part.is_none());
        }
        Ok(part)
    }
}
