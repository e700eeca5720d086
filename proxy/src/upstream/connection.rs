//! Connections as an endpoint counts them, and the shared ones of HTTP/2, each driven by a task of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::TokioIo;

use super::cluster::Endpoint;
use super::pool::Slot;
use super::stream::Stream;
use crate::pipeline::inflow::RequestBody;
use crate::worker::LocalExecutor;

/// Bytes of an answer's fields that are accepted.
const MAX_HEADER_LIST: u32 = 128 * 1024;
/// What one HTTP/2 stream and one connection may have in flight towards us: bounds memory, feeds fast bodies.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// Requests on one HTTP/2 connection before another is opened; what servers commonly allow.
const MAX_STREAMS: usize = 100;

pub(crate) type SendResult = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// Counts a connection of an endpoint while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Endpoint>);

impl Counted {
    pub(crate) fn connection(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A shared HTTP/2 connection.
pub(crate) struct H2 {
    send: http2::SendRequest<RequestBody>,
    pub(crate) streams: Cell<usize>,
}

impl H2 {
    /// Speaks HTTP/2 on `stream`; `held` is let go when the connection is over.
    pub(crate) async fn handshake(stream: Stream, held: (Slot, Counted)) -> hyper::Result<Rc<Self>> {
        let (send, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::task::spawn_local(async move {
            // How it ended, the requests on it have learnt already.
            let _ = connection.await;
            drop(held);
        });
        Ok(Rc::new(Self { send, streams: Cell::new(0) }))
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.send.is_closed()
    }

    pub(crate) async fn send(&self, request: Request<RequestBody>) -> SendResult {
        let mut send = self.send.clone();
        send.try_send_request(request).await
    }

    /// Whether another request may share it.
    pub(crate) fn has_room(&self) -> bool {
        !self.send.is_closed() && self.streams.get() < MAX_STREAMS
    }
}
