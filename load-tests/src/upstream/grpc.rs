//! A gRPC echo that knows nothing of protobuf: messages are length-prefixed bytes and go back as they came.
//!
//! Wire format: the gRPC specification of HTTP/2, "Responses" and "Trailers-Only".

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Sender;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};

use super::answer::ok;
use super::bodies::{Body, BodyError, fed, full};

/// `Unary` echoes (streams of messages too), `Fail` fails, any other method is unimplemented.
pub(crate) fn answer(method: &str, request: Request<Incoming>) -> Response<Body> {
    match method {
        "Unary" => echo(request),
        "Fail" => trailers_only("3", "failed as asked"),
        _ => trailers_only("12", "no such method"),
    }
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let (sender, body) = fed();
    tokio::spawn(pump(request.into_body(), sender));
    let mut response = ok(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

async fn pump(mut body: Incoming, mut sender: Sender<Bytes, BodyError>) {
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data(),
            Err(error) => return sender.abort(error.into()),
        };
        if let Ok(data) = data
            && sender.send_data(data).await.is_err()
        {
            return; // the caller left
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    drop(sender.send_trailers(trailers).await);
}

/// An error without a message: head and end of stream in one.
fn trailers_only(status: &'static str, message: &'static str) -> Response<Body> {
    let mut response = ok(full(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(status));
    headers.insert("grpc-message", HeaderValue::from_static(message));
    response
}
