//! After a 101: bytes both ways until one side ends or nothing moves.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use http::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use outrigger_filters::clock::Nanos;
use outrigger_filters::outcome::Outcome;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::answer::Answer;
use super::exchange::Exchange;
use super::outflow::ReplyBody;
use crate::server::connection::Connection;
use crate::snapshot::Route;
use crate::upstream::switched::Switched;
use crate::worker::Worker;

/// Read at once in each direction.
const CHUNK: usize = 16 * 1024;

/// Both ends of an agreed upgrade.
pub(super) struct Switch {
    pub(super) client: OnUpgrade,
    pub(super) answer: Answer,
}

/// Answers 101 and connects the two sides. Nothing is passed before the upstream has agreed.
pub(super) fn open(
    connection: &Rc<Connection>,
    mut exchange: Box<Exchange>,
    route: &Route,
    switch: Switch,
) -> Response<ReplyBody> {
    let Switch { client, answer } = switch;
    let Answer { mut lease, .. } = answer;
    let response = std::mem::take(&mut exchange.response);
    let now = exchange.worker.now();
    exchange.answered(response.status().as_u16(), true, now);
    // How long the tunnel lasts, and how it ends, says nothing about the upstream.
    if let Some(attempt) = &mut exchange.attempt {
        attempt.settle(Outcome::Ok, now);
    }
    connection.signals.tunnel();
    let idle = route.timeouts.stream_idle;
    let worker = Rc::clone(&exchange.worker);
    tokio::task::spawn_local(async move {
        let outcome = match (lease.switch(), client.await) {
            (Some(upstream), Ok(client)) => {
                let flow = Flow { worker: Rc::clone(&worker), last: Cell::new(worker.now()) };
                flow.run(upstream, client, idle, &mut exchange).await
            }
            (None, _) => Outcome::HttpUpgradeFailed,
            (_, Err(_)) => Outcome::ClientCancelled,
        };
        let now = worker.now();
        exchange.finish(outcome, now);
        drop(lease);
    });
    let (mut parts, _) = response.into_parts();
    crate::hygiene::hop::strip_response(&mut parts.headers, true);
    Response::from_parts(parts, ReplyBody::Empty)
}

struct Flow {
    worker: Rc<Worker>,
    last: Cell<Nanos>,
}

impl Flow {
    async fn run(
        &self,
        upstream: Switched,
        client: Upgraded,
        idle: std::time::Duration,
        exchange: &mut Exchange,
    ) -> Outcome {
        let (from_upstream, to_upstream) = tokio::io::split(upstream);
        let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
        let (sent, received) = (Cell::new(0), Cell::new(0));
        let both = async {
            // An end is passed on and the other side goes on; a side that broke off ends both.
            let up = self.pump(from_client, to_upstream, &received);
            let down = self.pump(from_upstream, to_client, &sent);
            let (up, down) = (async { up.await.map_err(|_| Outcome::ClientCancelled) }, async {
                down.await.map_err(|_| Outcome::ConnectionTerminated)
            });
            tokio::try_join!(up, down).err().unwrap_or(Outcome::Ok)
        };
        let outcome = tokio::select! {
            outcome = both => outcome,
            () = self.until_idle(idle) => Outcome::ConnectionReadTimeout,
        };
        exchange.record.bytes_in = received.get();
        exchange.record.bytes_out = sent.get();
        outcome
    }

    async fn pump<R, W>(
        &self,
        mut from: ReadHalf<R>,
        mut to: WriteHalf<W>,
        count: &Cell<u64>,
    ) -> io::Result<()>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        let mut chunk = vec![0; CHUNK];
        loop {
            let size = from.read(&mut chunk).await?;
            let Some(bytes) = chunk.get(..size).filter(|bytes| !bytes.is_empty()) else {
                return to.shutdown().await;
            };
            to.write_all(bytes).await?;
            to.flush().await?;
            self.last.set(self.worker.now());
            count.set(count.get().saturating_add(size as u64));
        }
    }

    async fn until_idle(&self, idle: std::time::Duration) {
        let mut timer = self.worker.timer();
        loop {
            let at = self.last.get().after(idle);
            timer.until(at).await;
            if self.last.get().after(idle) <= self.worker.now() {
                return;
            }
        }
    }
}
