//! Envoy's response flags for our outcomes, so that runbooks and dashboards written for Envoy still find what
//! they look for. An alias loses detail; `outcome` is the word that counts.

use super::record::Outcome;

/// The flag, or nothing where Envoy has none.
pub(super) const fn envoy(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::DnsError | Outcome::DnsTimeout => "DF",
        Outcome::DestinationUnavailable => "UH",
        Outcome::ConnectionRefused
        | Outcome::ConnectionTimeout
        | Outcome::TlsCertificateError
        | Outcome::TlsProtocolError
        | Outcome::TlsAlertReceived => "UF",
        Outcome::ConnectionTerminated | Outcome::ConnectionReadTimeout | Outcome::ConnectionWriteTimeout => {
            "UC"
        }
        Outcome::HttpResponseTimeout => "UT",
        Outcome::HttpProtocolError | Outcome::HttpResponseIncomplete => "UPE",
        Outcome::RateLimited => "RL",
        Outcome::ConnectionLimitReached => "UO",
        Outcome::ClientCancelled => "DC",
        Outcome::RouteNotFound => "NR",
        Outcome::BadRequest => "DPE",
        _ => "",
    }
}
