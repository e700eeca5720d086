//! What can go wrong with an attempt, and what that says about it.

use outrigger_filters::outcome::Outcome;

/// Why an attempt, or a request as a whole, did not get its answer.
///
/// The constructor decides whose fault it is (through [`Outcome`]) and whether the upstream can have seen any
/// of the request; nothing downstream of it guesses.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    /// False only if it is certain that no byte of the request reached the upstream.
    pub(crate) sent: bool,
    /// For the operator; never holds what a client must not see.
    pub(crate) detail: &'static str,
}

impl Failure {
    /// The upstream certainly never saw the request.
    pub(crate) const fn unsent(outcome: Outcome, detail: &'static str) -> Self {
        Self { outcome, sent: false, detail }
    }

    /// The upstream may have seen some or all of the request.
    pub(crate) const fn sent(outcome: Outcome, detail: &'static str) -> Self {
        Self { outcome, sent: true, detail }
    }

    /// Classifies what ended a connection before the head of the answer.
    pub(crate) fn of_exchange(error: &hyper::Error) -> Self {
        let source = std::error::Error::source(error);
        if source.and_then(|source| source.downcast_ref::<h2::Error>()).is_some_and(is_refused) {
            return Self::unsent(Outcome::ConnectionTerminated, "the upstream refused the stream unseen");
        }
        let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
        match io {
            Some(error) => Self::of_stream(error),
            None if error.is_parse() => {
                Self::sent(Outcome::HttpProtocolError, "the answer is not valid HTTP")
            }
            None => Self::sent(Outcome::ConnectionTerminated, CLOSED),
        }
    }

    /// Classifies what ended a stream before the head of the answer.
    pub(crate) fn of_stream(error: &std::io::Error) -> Self {
        if refused_by_tls(error) {
            // TLS 1.3: the server judges our certificate after our side of the handshake is over.
            Self::sent(Outcome::TlsAlertReceived, "the endpoint refused our certificate, or the lack of one")
        } else {
            Self::sent(Outcome::ConnectionTerminated, CLOSED)
        }
    }
}

/// Whether the peer says that it did nothing about the stream: it reset it as refused (RFC 9113 §8.7), or went away in
/// good order with a last stream before it (§6.8).
fn is_refused(error: &h2::Error) -> bool {
    let reason = error.reason();
    let refused = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (refused || (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)))
}

const CLOSED: &str = "the upstream closed the connection before answering";

fn refused_by_tls(error: &std::io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::AlertReceived(_)))
}
