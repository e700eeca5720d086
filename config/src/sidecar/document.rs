//! `sidecar.yaml` as written.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use outrigger_filters::unit::{Percent, Size, Timespan};
use serde::Deserialize;

/// What the process is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SidecarDocument {
    pub(super) service: Option<String>,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) listeners: Option<Listeners>,
    pub(super) admin: Option<Admin>,
    pub(super) policy: Option<PolicySource>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) telemetry: Option<Telemetry>,
    pub(super) limits: Option<Limits>,
    pub(super) trusted_peers: Option<Vec<String>>,
    pub(super) via_responses: Option<bool>,
}

/// Where requests are taken.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listeners {
    pub(super) inbound: Option<Inbound>,
    pub(super) outbound: Option<Outbound>,
}

/// Requests to the app.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    pub(super) address: Option<String>,
    pub(super) tls: Option<Tls>,
}

/// Requests of the app.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    pub(super) address: Option<String>,
}

/// TLS of the inbound listener.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) client_auth: Option<ClientAuth>,
}

/// Whether clients must have a certificate, where `client_ca` is given. Default `required`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientAuth {
    Required,
    Optional,
}

/// The operators' door.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) address: Option<String>,
}

/// Where policy comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicySource {
    pub(super) file: Option<PathBuf>,
    pub(super) probation: Option<Timespan>,
}

/// What the process tells.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) access_log: Option<AccessLog>,
}

/// The access log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessLog {
    pub(super) path: Option<PathBuf>,
    pub(super) ok_sample: Option<Percent>,
}

/// What the process allows itself and its peers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) max_connections: Option<usize>,
    pub(super) max_headers: Option<usize>,
    pub(super) max_header_bytes: Option<Size>,
    pub(super) head_timeout: Option<Timespan>,
    pub(super) idle_timeout: Option<Timespan>,
    pub(super) tls_timeout: Option<Timespan>,
    pub(super) drain: Option<Timespan>,
}
