//! The sample service: orders of its own, and stock that it asks the inventory for through its sidecar.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The host by which the policy knows the inventory.
pub(crate) const INVENTORY: &str = "inventory.internal";

/// The running service; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves on `listen`; `outbound` is the sidecar's listener for calls of the service.
pub(crate) async fn start(listen: SocketAddr, outbound: SocketAddr) -> anyhow::Result<Service> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        // The listener fails only for want of descriptors; a demo may end there.
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(
                    move |request| async move { Ok::<_, Infallible>(answer(request, outbound).await) },
                );
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(Service { address, task })
}

async fn answer(request: Request<Incoming>, outbound: SocketAddr) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => {
            let paths = ["/v1/orders", "/v1/stock", "/healthz"];
            respond(StatusCode::OK, &json!({ "service": "orders", "paths": paths }))
        }
        (&Method::GET, "/healthz") => respond(StatusCode::OK, &json!({ "status": "up" })),
        (&Method::GET, "/v1/orders") => {
            respond(StatusCode::OK, &json!({ "orders": [{ "id": 1, "item": "paddle", "count": 2 }] }))
        }
        (&Method::POST, "/v1/orders") => respond(StatusCode::CREATED, &json!({ "id": 2 })),
        (&Method::GET, "/v1/stock") => match stock(outbound).await {
            Ok((status, body)) => respond(status, &body),
            Err(error) => respond(StatusCode::BAD_GATEWAY, &json!({ "error": format!("{error:#}") })),
        },
        _ => respond(StatusCode::NOT_FOUND, &json!({ "error": "no such path" })),
    }
}

/// Asks the inventory as any client would: its host, the sidecar's port.
async fn stock(outbound: SocketAddr) -> anyhow::Result<(StatusCode, Value)> {
    let stream = TcpStream::connect(outbound).await.context("the sidecar does not listen")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/echo/stock/paddle").header(HOST, INVENTORY).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let by = response.headers().get("x-upstream").and_then(|name| name.to_str().ok()).map(str::to_owned);
    if by.is_none() {
        // Not the inventory's answer: the sidecar's own, which says why.
        let problem = response.into_body().collect().await?.to_bytes();
        return Ok((status, serde_json::from_slice(&problem).unwrap_or(Value::Null)));
    }
    Ok((StatusCode::OK, json!({ "item": "paddle", "left": 7, "answered_by": by })))
}

fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{body}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
