//! Upgraded connections: WebSocket echo (RFC 6455) and raw echo.

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer::text;
use super::bodies::{Body, full};

/// Echoes WebSocket messages until the client closes.
pub(crate) fn websocket(mut request: Request<Incoming>) -> Response<Body> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let accept = key.map(|key| derive_accept_key(key.as_bytes()));
    let Some(accept) = accept.and_then(|accept| HeaderValue::from_str(&accept).ok()) else {
        return text(StatusCode::BAD_REQUEST, "/ws wants a WebSocket handshake\n");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            echo_messages(upgraded).await;
        }
    });
    switching("websocket", Some((SEC_WEBSOCKET_ACCEPT, accept)))
}

/// Echoes bytes until the client closes.
pub(crate) fn raw(mut request: Request<Incoming>) -> Response<Body> {
    if request.headers().get(UPGRADE).is_none_or(|protocol| protocol != "echo") {
        return text(StatusCode::UPGRADE_REQUIRED, "/upgrade wants `upgrade: echo`\n");
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            // An error here is the client's departure.
            drop(tokio::io::copy(&mut reader, &mut writer).await);
        }
    });
    switching("echo", None)
}

/// Text and binary messages go back; pings are answered by the library, and so is the closing handshake.
async fn echo_messages(upgraded: Upgraded) {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let echoed = message.is_text() || message.is_binary();
        if echoed && socket.send(message).await.is_err() {
            return; // the client left
        }
    }
}

fn switching(protocol: &'static str, extra: Option<(HeaderName, HeaderValue)>) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(protocol));
    headers.extend(extra);
    response
}
