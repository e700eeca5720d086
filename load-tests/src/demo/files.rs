//! The files of the demo, commented for the people who edit them.

use std::net::SocketAddr;

use super::service::INVENTORY;
use crate::sidecar::Addresses;

/// What the sidecar is: read once at start.
pub(crate) fn sidecar(addresses: Addresses) -> String {
    let Addresses { inbound, outbound, admin } = addresses;
    format!(
        "# What this sidecar is, read at start. `cargo demo` writes it anew each time.
service: orders
workers: 1
listeners:
  inbound:  {{ address: \"{inbound}\" }}      # requests to the service come in here
  outbound: {{ address: \"{outbound}\" }}      # the service calls its dependencies through here
admin: {{ address: \"{admin}\" }}
policy: {{ file: policy.yaml }}
state_dir: ./state
telemetry:
  access_log: {{ path: access.log, ok_sample: 100% }}
limits: {{ drain: 5s }}
trusted_peers: [127.0.0.0/8]
"
    )
}

/// What the sidecar does: read again whenever it is saved.
pub(crate) fn policy(service: SocketAddr, primary: SocketAddr, replica: SocketAddr) -> String {
    format!(
        "# What the sidecar does. Edit and save: it takes effect at once, and a mistake changes nothing.
# `cargo demo` writes this file anew each time and keeps yours as policy.yaml.previous.
version: 1
service: orders

inbound:
  app: http://{service}
  defaults:
    timeouts: {{ total: 15s, connect: 1s }}
  routes:
    - name: list-orders
      match: {{ methods: [GET], path: /v1/orders }}
      rate_limits:
        # Try `rate: 50/s`, or `mode: shadow` to count without refusing.
        - {{ name: per-client, rate: 5/s, burst: 10, key: [client_ip], headers: always }}

    - name: create-order
      match: {{ methods: [POST], path: /v1/orders }}
      timeouts: {{ total: 3s }}
      rate_limits:
        - {{ name: global, rate: 1000/s, burst: 1000 }}
        - {{ name: per-tenant, rate: 100/s, burst: 200, key: [{{ header: x-tenant }}] }}

dependencies:
  inventory:
    hosts: [{INVENTORY}]
    endpoints:
      - address: {primary}
      # The replica runs at {replica}; this version of the sidecar knows primaries only.
    timeouts: {{ total: 2s, connect: 1s }}
    rate_limits:
      - {{ name: calls, rate: 200/s }}
"
    )
}
