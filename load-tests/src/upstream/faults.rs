//! Answers that break off: what a crashing or overloaded upstream looks like on the wire.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::header::{CONTENT_LENGTH, HeaderValue};

use super::answer::{Context, ok};
use super::bodies::{Body, fed, filler};

/// Length that a broken answer promises, and how much of it arrives.
const PROMISED: HeaderValue = HeaderValue::from_static("1000");
const SENT: usize = 500;
/// Time for the half that is sent to leave before the connection is cut under it.
const FLUSH: Duration = Duration::from_millis(20);

/// No head at all: the connection is reset with the request read.
pub(crate) async fn reset(context: &Context) -> Response<Body> {
    context.link.reset();
    std::future::pending().await
}

/// The head and half of the body, then a reset.
pub(crate) fn reset_body(context: &Context) -> Response<Body> {
    let link = Arc::clone(&context.link);
    let (mut sender, body) = fed();
    tokio::spawn(async move {
        drop(sender.send_data(filler(SENT)).await);
        tokio::time::sleep(FLUSH).await;
        link.reset();
    });
    promising(body)
}

/// The head and half of the body, then an orderly end of the connection (of the stream, with an error, on h2).
pub(crate) fn truncate() -> Response<Body> {
    let (mut sender, body) = fed();
    tokio::spawn(async move {
        drop(sender.send_data(filler(SENT)).await);
        tokio::time::sleep(FLUSH).await;
        sender.abort("truncated as asked".into());
    });
    promising(body)
}

fn promising(body: Body) -> Response<Body> {
    let mut response = ok(body);
    response.headers_mut().insert(CONTENT_LENGTH, PROMISED);
    response
}
