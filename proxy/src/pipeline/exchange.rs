//! One request from its head to the last byte of its answer, and the one record of it.
//!
//! An exchange is begun once and finished once: explicitly, or by being dropped, which means that the client
//! left. It travels inside the response's body, so what it holds (permits, counters, the record) is settled at
//! the end of the stream and not at its head.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use outrigger_filters::chain::{Admitted, Chain};
use outrigger_filters::clock::Nanos;
use outrigger_filters::filter::Quota;
use outrigger_filters::outcome::Outcome;

use super::attempt::Try;
use super::lineage::Ancestor;
use super::outgoing::Added;
use crate::hygiene::request_id::RequestId;
use crate::hygiene::seen::{Field, Seen};
use crate::server::connection::Connection;
use crate::snapshot::Snapshot;
use crate::telemetry::{Detail, Flags, Record, RouteSeries};
use crate::upstream::line;
use crate::worker::Worker;

/// A request in flight.
pub(crate) struct Exchange {
    pub(crate) worker: Rc<Worker>,
    pub(crate) record: Record,
    pub(crate) started: Nanos,
    pub(crate) is_grpc: bool,
    /// As it goes on, once it has been cleaned. It stays here, so that it can be sent more than once.
    pub(crate) request: Request<()>,
    /// The head of the answer, once it is here.
    pub(crate) response: Response<()>,
    /// The try under way.
    pub(super) attempt: Option<Try>,
    /// Which fields it came with.
    pub(crate) seen: Seen,
    /// What is said about it beside its own fields.
    pub(crate) added: Added,
    /// The host that was asked for.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) client: IpAddr,
    pub(crate) request_id: RequestId,
    /// When the caller, or whoever the call is made for, waits no longer; none if neither says so.
    pub(crate) deadline: Option<Nanos>,
    /// When it has taken too long, by its route or its deadline.
    pub(crate) total_at: Nanos,
    /// It is somebody's retry already.
    pub(crate) is_retry: bool,
    /// While it is with the app, the app's calls inherit from it.
    pub(super) ancestor: Option<Ancestor>,
    /// Some of it may have reached the upstream.
    pub(crate) sent: bool,
    /// Whoever gets the answer had better not ask again.
    pub(crate) no_retry: bool,
    /// When the head of the answer came.
    pub(crate) answered_at: Nanos,
    /// Leave to call the dependency.
    pub(crate) call: Option<line::Place>,
    /// For the log: why, where the outcome alone does not say.
    pub(crate) detail: &'static str,
    pub(super) connection: Rc<Connection>,
    /// What the caller may be told about the quota nearest its end.
    pub(crate) quota: Option<(Arc<Chain>, Quota)>,
    /// Of chains with filters that wait to hear of the end.
    admitted: Vec<Admitted>,
    finished: bool,
}

impl Exchange {
    /// Begins with the series of requests that have no route; see [`Exchange::routed`].
    pub(crate) fn begin(
        connection: &Rc<Connection>,
        snapshot: &Snapshot,
        request: Request<()>,
        started: Nanos,
    ) -> Box<Self> {
        let (worker, seen) = (&connection.worker, Seen::of(request.headers()));
        let (wall, direction) = (worker.wall_ms(started), connection.direction());
        let mut record = snapshot.unmatched(direction).record(wall, snapshot.generation);
        record.method = request.method().into();
        record.proto = request.version().into();
        worker.telemetry.begin(direction);
        connection.signals.begin();
        let headers = request.headers();
        let known = connection.trusted && seen.has(Field::RequestId);
        let request_id = RequestId::of(headers, known, wall, &mut worker.random.borrow_mut());
        Box::new(Self {
            worker: Rc::clone(worker),
            record,
            started,
            is_grpc: seen.has(Field::ContentType) && super::is_grpc(headers.get(header::CONTENT_TYPE)),
            added: Added::default(),
            host: host(&request, seen),
            client: connection.client_ip(headers, seen),
            request_id,
            deadline: None,
            total_at: started,
            is_retry: false,
            ancestor: None,
            sent: false,
            no_retry: false,
            answered_at: started,
            call: None,
            detail: "",
            connection: Rc::clone(connection),
            quota: None,
            admitted: Vec::new(),
            finished: false,
            seen,
            request,
            response: Response::new(()),
            attempt: None,
        })
    }

    /// It has a route.
    pub(crate) fn routed(&mut self, series: RouteSeries) {
        series.name(&mut self.record);
    }

    /// Holds what `gates` admitted until the end. Their rules count from `first` in the record.
    pub(crate) fn hold(&mut self, gates: &Arc<Chain>, first: u16, admitted: Admitted) {
        self.record.shadow |= admitted.shadowed().wrapping_shl(u32::from(first));
        if let Some(quota) = admitted.quota() {
            self.quota = Some((Arc::clone(gates), *quota));
        }
        if admitted.owes() {
            self.admitted.push(admitted);
        }
    }

    /// The head of the answer is on its way.
    pub(crate) fn answered(&mut self, status: u16, from_upstream: bool, now: Nanos) {
        self.record.status = status;
        self.record.timings.ttfb = micros(self.started, now);
        self.record.flags = self.record.flags.with(Flags::RESPONSE_STARTED);
        if from_upstream {
            self.record.flags = self.record.flags.with(Flags::FROM_UPSTREAM);
        }
    }

    /// It is over.
    pub(crate) fn finish(&mut self, outcome: Outcome, now: Nanos) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.end_attempt(outcome, now);
        self.record.outcome = outcome;
        self.record.timings.total = micros(self.started, now);
        if self.record.timings.ttfb == 0 {
            self.record.timings.ttfb = self.record.timings.total;
        }
        for admitted in self.admitted.drain(..).rev() {
            admitted.settle(outcome, now);
        }
        self.connection.signals.end(now);
        // Whoever waits for it need not wait for the rest.
        (self.call, self.ancestor) = (None, None);
        let detail = Detail {
            method: b"",
            path: self.request.uri().path().as_bytes(),
            client: Some(self.client),
            host: self.host.as_ref().map_or(b"", HeaderValue::as_bytes),
            request_id: self.request_id.as_bytes(),
            detail: self.detail.as_bytes(),
        };
        self.worker.telemetry.finish(&self.record, &detail);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.finished {
            self.record.flags = self.record.flags.with(Flags::CLIENT_CANCELLED);
            let now = self.worker.now();
            // Dropped by a panic of ours, or because the client left.
            let ours = std::thread::panicking();
            self.finish(if ours { Outcome::ProxyInternalError } else { Outcome::ClientCancelled }, now);
        }
    }
}

fn host(request: &Request<()>, seen: Seen) -> Option<HeaderValue> {
    match request.headers().get(header::HOST).filter(|_| seen.has(Field::Host)) {
        Some(host) => Some(host.clone()),
        None => HeaderValue::from_str(request.uri().authority()?.as_str()).ok(),
    }
}

/// Microseconds from `start` to `end`, for a record.
pub(crate) fn micros(start: Nanos, end: Nanos) -> u32 {
    u32::try_from(end.since(start).as_micros()).unwrap_or(u32::MAX)
}
