//! The configurations of the contenders: one worker, no logs, kept-alive connections on both sides.
//!
//! With policies each has rate limits that are asked on every request and never bite; nginx has `limit_conn`,
//! Envoy admission control, retries, breakers and outlier detection besides.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::peer::Mode;

/// A rate no machine reaches.
const RATE: u32 = 10_000_000;

/// Writes a configuration and says where.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let file = dir.join(name);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The policy: without limits, or with one for all and one for each client.
pub(crate) fn outrigger(mode: Mode, upstream: SocketAddr) -> String {
    let limits = match mode {
        Mode::Bare => String::new(),
        Mode::Policies => format!(
            "
      rate_limits:
        - {{ name: global, rate: {RATE}/s, burst: {RATE} }}
        - {{ name: per-client, rate: {RATE}/s, burst: {RATE}, key: [client_ip] }}"
        ),
    };
    format!(
        "version: 1
service: load-test
inbound:
  app: http://{upstream}
  routes:
    - name: all
      match: {{ path_prefix: / }}{limits}
"
    )
}

/// nginx, with `limit_req` by client and `limit_conn` by server.
pub(crate) fn nginx(
    mode: Mode,
    http1: SocketAddr,
    h2: SocketAddr,
    upstream: SocketAddr,
    dir: &Path,
) -> String {
    let (zones, limits) = match mode {
        Mode::Bare => (String::new(), ""),
        Mode::Policies => (
            format!(
                "limit_req_zone $binary_remote_addr zone=rate:10m rate={RATE}r/s;
  limit_conn_zone $server_name zone=connections:10m;"
            ),
            "limit_req zone=rate burst=100000 nodelay; limit_conn connections 10000;",
        ),
    };
    let dir = dir.display();
    format!(
        "worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  {zones}
  upstream app {{ server {upstream} max_fails=3; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {http1};
    listen {h2} http2;
    http2_max_concurrent_streams 128;
    {limits}
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
    }}
  }}
}}
"
    )
}

/// HAProxy, with a rate counted by client in a stick table.
pub(crate) fn haproxy(mode: Mode, http1: SocketAddr, h2: SocketAddr, upstream: SocketAddr) -> String {
    let limits = match mode {
        Mode::Bare => String::new(),
        Mode::Policies => format!(
            "
  stick-table type ip size 100k expire 30s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {RATE} }}"
        ),
    };
    format!(
        "global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend in
  bind {http1}
  bind {h2} proto h2{limits}
  default_backend app
backend app
  server app {upstream} pool-max-conn 256
"
    )
}

/// Envoy, as a mesh would configure it.
pub(crate) fn envoy(mode: Mode, listen: SocketAddr, upstream: SocketAddr) -> String {
    let (route, filters, cluster) = match mode {
        Mode::Bare => ("", String::new(), ""),
        Mode::Policies => (ENVOY_ROUTE, envoy_filters(), ENVOY_CLUSTER),
    };
    format!(
        "static_resources:
  listeners:
  - address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: app{route} }} }}]
          http_filters:{filters}
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: app
    connect_timeout: 1s
    type: STATIC{cluster}
    load_assignment:
      cluster_name: app
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {upstream} }} }}] }}]
",
        listen = envoy_address(listen),
        upstream = envoy_address(upstream),
    )
}

fn envoy_address(address: SocketAddr) -> String {
    format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
}

const ENVOY_ROUTE: &str =
    ", timeout: 5s, retry_policy: { retry_on: \"5xx,connect-failure\", num_retries: 2, per_try_timeout: 1s }";

const ENVOY_CLUSTER: &str = "
    circuit_breakers:
      thresholds:
      - { max_connections: 1024, max_pending_requests: 1024, max_requests: 1024, max_retries: 10, track_remaining: true }
    outlier_detection: { consecutive_5xx: 5 }";

fn envoy_filters() -> String {
    format!(
        "
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limit
              token_bucket: {{ max_tokens: {RATE}, tokens_per_fill: {RATE}, fill_interval: 1s }}
              filter_enabled: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
              filter_enforced: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
          - name: envoy.filters.http.admission_control
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl
              enabled: {{ default_value: true, runtime_key: admission.enabled }}
              success_criteria: {{ http_criteria: {{ http_success_status: [{{ start: 100, end: 500 }}] }} }}"
    )
}
